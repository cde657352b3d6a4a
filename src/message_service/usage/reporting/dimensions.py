"""What a usage report can be broken down by."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from message_service import errors
from message_service.arguments import check_text_argument
from message_service.documents.fields import MAX_NAME
from message_service.reports.columns import Kind
from message_service.reports.zones import local_time
from message_service.usage.tiers import PROVIDERS, TIERS

CREATED = "$timestamps.created_at"

Place = Callable[[ZoneInfo, datetime, datetime], Any]
"""Makes the expression that tells a message's group, from zone and period."""


@dataclass(frozen=True, slots=True)
class Dimension:
    """One thing that tells groups of messages apart.

    Attributes:
        name: What callers and columns call it.
        place: Makes the expression for a message.
        kind: What its values are.
        spellings: Other spellings of its values, with the canonical ones; None takes them as they
            are.
    """

    name: str
    place: Place
    kind: Kind = Kind.TEXT
    spellings: Mapping[str, str] | None = None

    def canonical(self, path: str) -> Any:
        """Return the expression for a value in its canonical spelling; null when there is none."""
        if self.spellings is None:
            return {"$ifNull": [path, None]}
        plain = {"$toLower": {"$trim": {"input": path}}}
        known = [
            {"case": {"$eq": ["$$plain", spelling]}, "then": name}
            for spelling, name in self.spellings.items()
        ]
        return {
            "$cond": [
                {"$gt": [path, None]},
                {
                    "$let": {
                        "vars": {"plain": plain},
                        "in": {"$switch": {"branches": known, "default": "$$plain"}},
                    }
                },
                None,
            ]
        }


def _field(path: str) -> Place:
    return lambda zone, since, until: f"${path}"


def _beginning_of(unit: str) -> Place:
    def place(zone: ZoneInfo, since: datetime, until: datetime) -> Any:
        local = local_time(CREATED, zone, since, until)
        return {"$dateTrunc": {"date": local, "unit": unit, "startOfWeek": "monday"}}

    return place


DIMENSIONS: Mapping[str, Dimension] = {
    each.name: each
    for each in (
        Dimension("day", _beginning_of("day"), Kind.DATE),
        Dimension("week", _beginning_of("week"), Kind.DATE),
        Dimension("month", _beginning_of("month"), Kind.DATE),
        Dimension("user", _field("user_id")),
        Dimension("character", _field("character_id")),
        Dimension("conversation", _field("conversation_id")),
        Dimension("provider", _field("llm_metadata.provider"), spellings=PROVIDERS),
        Dimension("model", _field("llm_metadata.model")),
        Dimension("role", _field("role")),
        Dimension("tier", _field("token_usage.billing_tier"), spellings=TIERS),
    )
}
"""Every dimension, by name."""


def dimensions(names: Iterable[str]) -> list[Dimension]:
    """Return the dimensions a caller names.

    Raises:
        InvalidInput: There is none of that name, or one is named twice.
    """
    if isinstance(names, str) or not isinstance(names, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise errors.InvalidInput("by", "is no list of names", "Give a list like ['user', 'day']")
    found: dict[str, Dimension] = {}
    for name in names:
        check_text_argument("by", name, most=MAX_NAME)
        if name not in DIMENSIONS:
            similar = difflib.get_close_matches(name, DIMENSIONS, 1)
            raise errors.InvalidInput(
                "by",
                f"there is no dimension {name[:60]!r}",
                f"Did you mean {similar[0]}?" if similar else f"Use {', '.join(DIMENSIONS)}",
            )
        if name in found:
            raise errors.InvalidInput("by", f"names {name} twice", "Name it once")
        found[name] = DIMENSIONS[name]
    return [*found.values()]
