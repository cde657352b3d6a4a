"""What reports return."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from message_service.documents.row import Row


@dataclass(frozen=True, slots=True)
class MissingPrice:
    """A model without a price.

    Attributes:
        provider: The provider; None when the messages name none.
        model: The model, likewise.
        tier: The tier of service.
        messages: How many messages it is.
        tokens: Their tokens.
        first: When the first was said.
        last: When the last was said.
    """

    provider: str | None
    model: str | None
    tier: str | None
    messages: int
    tokens: int
    first: datetime
    last: datetime

    @classmethod
    def of(cls, row: Row) -> MissingPrice:
        """Return it from a row of `usage.unpriced_models`."""
        key: Row = row["_id"]
        return cls(
            key.get("provider"),
            key.get("model"),
            key.get("tier"),
            row["messages"],
            row["tokens"],
            row["first"],
            row["last"],
        )
