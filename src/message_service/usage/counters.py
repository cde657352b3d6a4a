"""What a message adds to the counters of its tenant, user and character.

A counter is a document of a subject and day. A message is brought into its counters in three steps,
each atomic for one document, so that whoever is killed blocks nobody and leaves nothing undone that
the next one would not see:

1. Each counter takes the message in and notes it under `applied`, with what it counts for.
2. The message notes what it is counted for (`token_usage.counted`), and its mark is removed.
3. The counters drop their notes.

A message that waits counts for what `applied` says, else for what the message itself says, else for
nothing. The difference to its present figures is what its counters lack.

What was spent remains spent when its message is edited, hidden or deleted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from message_service.database.decimals import decimal, exact
from message_service.documents.row import Row
from message_service.documents.token_usage import CostState, UsageState

KINDS = ("tenant", "user", "character")
"""Whose usage is counted."""

ANY = "*"
"""In a budget: every user, or every character, each for itself."""

Key = tuple[str, str, datetime]
"""Tenant, subject and day: what names a counter."""


def subject_of(kind: str, name: str) -> str:
    """Return the subject of a counter or budget."""
    return f"{kind}:{name}"


def day_of(moment: datetime) -> datetime:
    """Return the first moment of a moment's day, UTC."""
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def keys_of(message: Row) -> list[Key]:
    """Return the counters a message belongs to."""
    day = day_of(message["timestamps"]["created_at"])
    names = (message["tenant_id"], message["user_id"], message.get("character_id"))
    return [
        (message["tenant_id"], subject_of(kind, name), day)
        for kind, name in zip(KINDS, names, strict=True)
        if name is not None
    ]


def counted_of(fields: Mapping[str, Any]) -> Row:
    """Return what a message's `token_usage` counts for, as it is noted."""
    state = fields.get("cost_state") or fields.get("usage_state") or UsageState.UNKNOWN.value
    counted: Row = {"tokens": fields.get("total_tokens") or 0, "state": state}
    if fields.get("total_cost") is not None:
        counted |= {"cost": fields["total_cost"], "currency": fields["cost_currency"]}
    return counted


@dataclass(slots=True)
class Counter:
    """A counter in memory.

    Attributes:
        key: What names it.
        revision: The revision it was read at; 0 for one that does not exist yet.
        messages: Messages with usage.
        tokens: Their tokens.
        cost: Their cost by currency.
        unpriced: Messages among them whose tokens have no price.
        unknown: Messages among them whose tokens are not known.
        applied: By message id, the usage revision taken in and what it counts for.
    """

    key: Key
    revision: int = 0
    messages: int = 0
    tokens: int = 0
    cost: dict[str, Decimal] = field(default_factory=dict[str, Decimal])
    unpriced: int = 0
    unknown: int = 0
    applied: dict[str, tuple[int, Row]] = field(default_factory=dict[str, tuple[int, Row]])

    @classmethod
    def of(cls, row: Row) -> Counter:
        """Return a counter as stored."""
        return cls(
            (row["tenant_id"], row["subject"], row["date"]),
            row["revision"],
            row["messages"],
            row["tokens"],
            {currency: decimal(cost) for currency, cost in row.get("cost", {}).items()},
            row["unpriced"],
            row["unknown"],
            {each["message_id"]: (each["revision"], each["counted"]) for each in row["applied"]},
        )

    def take_in(self, message: Row) -> None:
        """Bring in a message as it is now, in the place of what it counted for before."""
        fields: Row = message["token_usage"]
        _, before = self.applied.get(message["message_id"], (0, fields.get("counted")))
        now = counted_of(fields)
        self._add(now, 1)
        if before is not None:
            self._add(before, -1)
        self.applied[message["message_id"]] = (fields["revision"], now)

    def _add(self, counted: Row, sign: int) -> None:
        self.messages += sign
        self.tokens += sign * counted["tokens"]
        currency = counted.get("currency")
        if currency is not None:
            added = sign * decimal(counted["cost"])
            self.cost[currency] = self.cost.get(currency, Decimal(0)) + added
        self.unpriced += sign * (counted["state"] == CostState.UNPRICED)
        self.unknown += sign * (counted["state"] == UsageState.UNKNOWN)

    def fields(self) -> Row:
        """Return the fields to store, one revision later."""
        return {
            "revision": self.revision + 1,
            "messages": self.messages,
            "tokens": self.tokens,
            "cost": {currency: exact(cost) for currency, cost in self.cost.items()},
            "unpriced": self.unpriced,
            "unknown": self.unknown,
            "applied": [
                {"message_id": message_id, "revision": revision, "counted": counted}
                for message_id, (revision, counted) in self.applied.items()
            ],
        }
