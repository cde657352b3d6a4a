"""What `analytics report` is asked for, and what does not go together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from message_service import errors
from message_service.analytics.asking import DIMENSIONS, one_of
from message_service.analytics.lines import KEYS
from message_service.documents.analytics import Dimension

BY = (*DIMENSIONS, "tenant")
"""Of what each can be shown for itself."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for.

    Attributes:
        since: The first day.
        until: The first day after the range.
        period: The length of periods.
        by: The dimension of which each is shown for itself.
        named: The subject, by the library's arguments.
        all_tenants: Whether all tenants are meant.
    """

    since: date
    until: date
    period: str
    by: str | None
    named: Mapping[str, str]
    all_tenants: bool

    @property
    def title(self) -> str:
        """The range, for titles."""
        return f"{self.since} to {self.until}"

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that name a subject."""
        return () if self.by is None else KEYS[Dimension(self.by)]

    def check(self, *, top: bool, compare: bool, order_by: str | None) -> None:
        """Check what does not go together.

        Raises:
            InvalidInput: Something does not.
        """
        if self.by is not None:
            one_of("by", self.by, BY)
            if self.named:
                raise errors.InvalidInput(
                    "by", f"is given beside {next(iter(self.named))}", "Leave out one"
                )
        if order_by is not None and not top:
            raise errors.InvalidInput("order_by", "is given without top", "Give --top too")
        if top and (self.by is None or compare):
            raise errors.InvalidInput("top", "is of one kind", "Give --by, and no --compare")
        if compare and self.by is not None:
            raise errors.InvalidInput("compare", "is of one subject", "Leave out --by")
        if (self.by == Dimension.TENANT) > self.all_tenants:
            raise errors.InvalidInput("by", "is tenant, of which one is shown", "Add --all-tenants")
        if self.all_tenants and (
            self.named or top or compare or self.by not in (None, Dimension.TENANT)
        ):
            raise errors.InvalidInput(
                "all_tenants", "is for all messages together", "Give --by tenant or nothing else"
            )
