"""One page of a listing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from message_service.arguments import check_whole_number

MAX_PAGE = 1_000
"""Most items one page holds."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a listing, in the listing's order.

    Attributes:
        items: The items of the page.
        next: Cursor of the page after this one; None when the listing ended here.
        resume: Cursor after the last item, also at the end: items added later follow it. None for
            a listing that cannot be resumed.
        previous: Cursor of what lies before this page, for the same listing in the other
            direction; None for a listing with one direction.
    """

    items: list[T]
    next: str | None
    resume: str | None = None
    previous: str | None = None

    @property
    def has_more(self) -> bool:
        """Whether the listing went on when this page was read."""
        return self.next is not None

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


def check_limit(
    limit: int, field: str = "limit", *, lowest: int = 1, highest: int = MAX_PAGE
) -> None:
    """Check the size of a page.

    Raises:
        InvalidInput: It is not a whole number within bounds.
    """
    check_whole_number(field, limit, lowest, highest)
