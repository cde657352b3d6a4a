"""What a message adds to the counters of its tenant, user and character.

A counter is the sum over messages of what is noted in them as counted (`token_usage.counted`): a
message is counted in one transaction with the note. So a counter plus what is pending equals the
messages at every moment, whatever is killed.

What was spent remains spent when its message is edited, hidden or deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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


def subject_of(kind: str, name: str) -> str:
    """Return the subject of a counter or budget."""
    return f"{kind}:{name}"


def day_of(moment: datetime) -> datetime:
    """Return the first moment of a moment's day, UTC."""
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


_COUNTS = ("messages", "tokens", "unpriced", "unknown")


@dataclass(slots=True)
class Amounts:
    """Sums of usage.

    Attributes:
        messages: Messages with usage.
        tokens: Their tokens.
        cost: Their cost by currency.
        unpriced: Messages among them whose tokens have no price.
        unknown: Messages among them whose tokens are not known.
    """

    messages: int = 0
    tokens: int = 0
    cost: dict[str, Decimal] = field(default_factory=dict[str, Decimal])
    unpriced: int = 0
    unknown: int = 0

    def add(self, counted: Mapping[str, Any], sign: int = 1) -> None:
        """Add what one message counts for (`counted_of`), or take it away."""
        self.messages += sign
        self.tokens += sign * counted["tokens"]
        currency = counted.get("currency")
        if currency is not None:
            added = sign * decimal(counted["cost"])
            self.cost[currency] = self.cost.get(currency, Decimal(0)) + added
        self.unpriced += sign * (counted["state"] == CostState.UNPRICED)
        self.unknown += sign * (counted["state"] == UsageState.UNKNOWN)

    def increments(self) -> Row:
        """Return what `$inc` takes; empty when nothing changes."""
        values: Row = {f"cost.{unit}": exact(cost) for unit, cost in self.cost.items() if cost}
        counts = {name: getattr(self, name) for name in _COUNTS}
        return values | counts if values or any(counts.values()) else {}


def counted_of(fields: Mapping[str, Any]) -> Row:
    """Return what a message's `token_usage` counts for, as it is noted in the message."""
    state = fields.get("cost_state") or fields.get("usage_state") or UsageState.UNKNOWN.value
    counted: Row = {"tokens": fields.get("total_tokens") or 0, "state": state}
    if fields.get("total_cost") is not None:
        counted |= {"cost": fields["total_cost"], "currency": fields["cost_currency"]}
    return counted


Key = tuple[str, str, datetime]
"""Tenant, subject and day."""


def changes(messages: Iterable[Row]) -> dict[Key, Amounts]:
    """Return what messages, as read from the work list, change in the counters."""
    found: dict[Key, Amounts] = {}
    for message in messages:
        fields: Row = message["token_usage"]
        before: Row | None = fields.get("counted")
        day = day_of(message["timestamps"]["created_at"])
        tenant_id = message["tenant_id"]
        names = (tenant_id, message["user_id"], message.get("character_id"))
        for kind, name in zip(KINDS, names, strict=True):
            if name is None:
                continue
            sums = found.setdefault((tenant_id, subject_of(kind, name), day), Amounts())
            sums.add(counted_of(fields))
            if before is not None:
                sums.add(before, -1)
    return found
