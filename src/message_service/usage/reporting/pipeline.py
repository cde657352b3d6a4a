"""What the server adds up for a usage report.

It groups by all that tells messages apart, the state of their usage and the currency among it, so
that it does nothing but add up. Its rows are ordered, so that those of one group of the report
follow one another; `rows` puts them together. A second grouping by the server would take
twice as long where there are many groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from message_service.documents.token_usage import TokenClass
from message_service.usage.reporting.dimensions import Dimension

COSTS = ("total_cost", "prompt_cost", "completion_cost")
COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")

_USAGE = "$token_usage"
_STATE = {"usage_state": f"{_USAGE}.usage_state", "currency": f"{_USAGE}.cost_currency"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a report is to show.

    Attributes:
        by: What groups are told apart by.
        since: The first moment of the period.
        until: The first moment after it.
        zone: Whose days it has.
        detailed: Whether the classes of tokens are wanted, and the cost of prompts and replies.
    """

    by: Sequence[Dimension]
    since: datetime
    until: datetime
    zone: ZoneInfo
    detailed: bool = False


def stages_of(wanted: Wanted) -> list[Mapping[str, Any]]:
    """Return the stages that follow the choice of messages."""
    added = {name: f"{_USAGE}.{name}" for name in (*COUNTS, COSTS[0])}
    if wanted.detailed:
        added |= {name: f"{_USAGE}.{name}" for name in COSTS}
        added |= {kind.value: f"{_USAGE}.classes.{kind.value}" for kind in TokenClass}
    places = {each.name: each.place(wanted.zone, wanted.since, wanted.until) for each in wanted.by}
    names = {each.name: each.canonical(f"$_id.{each.name}") for each in wanted.by}
    return [
        {
            "$group": {
                "_id": {**places, **_STATE},
                "messages": {"$sum": 1},
                **{name: {"$sum": path} for name, path in added.items()},
            }
        },
        {
            "$project": {
                "_id": {**names, **{name: {"$ifNull": [f"$_id.{name}", None]} for name in _STATE}},
                "messages": 1,
                # As text: the driver makes decimals of BSON's slowly.
                **{n: {"$toString": f"${n}"} if n in COSTS else 1 for n in added},
            }
        },
        {"$sort": {"_id": 1}},
    ]
