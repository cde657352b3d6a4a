"""A grain: what one conversation's messages of one day amount to, added up by the server.

It is told apart by user, character and model (its parts), so that every other summary is a sum of
parts of grains.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from message_service.analytics.figures import add, from_server
from message_service.analytics.metrics import FIGURES, Values
from message_service.analytics.periods import DAY, moments_of
from message_service.analytics.subjects import PartKey
from message_service.catalogue.queries.summarised_messages import SUMMARISED_MESSAGES, Stretch
from message_service.database.store import Store
from message_service.documents.measures import Figure, Histogram, Largest, Smallest, Tally
from message_service.documents.row import Row
from message_service.reports.zones import local_time
from message_service.usage.tiers import provider_of

_CREATED = "$timestamps.created_at"
_SLICE = 500
"""Messages of a conversation whose values are listed one by one in one row of the answer."""

_ACCUMULATORS: Mapping[type[Figure], str] = {
    Smallest: "$min",
    Largest: "$max",
    Histogram: "$push",
    Tally: "$push",
}

Parts = dict[PartKey, Values]
"""The figures of a grain, by part."""


class GrainKey(NamedTuple):
    """What names a grain: tenant, conversation and day (as midnight UTC)."""

    tenant_id: str
    conversation_id: str
    day: datetime


def group_stage(zone: ZoneInfo, since: datetime, until: datetime) -> dict[str, Any]:
    """Return the stage that adds up messages between two moments, by day, conversation and part.

    Histograms and tallies come as lists of values, which the client counts faster; so that no list
    gets too long, a long conversation has several rows.
    """
    local = local_time(_CREATED, zone, since, until)
    return {
        "$group": {
            "_id": {
                "tenant": "$tenant_id",
                "conversation": "$conversation_id",
                "day": {"$dateTrunc": {"date": local, "unit": "day"}},
                "user": "$user_id",
                "character": "$character_id",
                "provider": "$llm_metadata.provider",
                "model": "$llm_metadata.model",
                "currency": "$token_usage.cost_currency",
                "slice": {"$trunc": {"$divide": ["$sequence_number", _SLICE]}},
            },
            **{
                name: {_ACCUMULATORS.get(type(rule), "$sum"): _of(rule)}
                for name, rule in FIGURES.items()
            },
        }
    }


def _of(rule: Figure) -> Any:
    # A list takes in nulls; only what is removed is not in it.
    listed = isinstance(rule, (Histogram, Tally))
    return {"$ifNull": [rule.of, "$$REMOVE"]} if listed else rule.of


def take_in(grains: dict[GrainKey, Parts], row: Row) -> None:
    """Add a row of the server's answer to its grain."""
    found = row["_id"]
    key = GrainKey(found["tenant"], found["conversation"], found["day"])
    part = PartKey(
        found["user"],
        found.get("character"),
        provider_of(found.get("provider")),
        found.get("model"),
    )
    values = from_server(row, found.get("currency"))
    parts = grains.setdefault(key, {})
    if part in parts:
        add(parts[part], values)
    else:
        parts[part] = values


async def read_grains(
    store: Store, keys: Iterable[GrainKey], zones: Mapping[str, ZoneInfo]
) -> dict[GrainKey, Parts]:
    """Return the grains of these names, from the messages as they are now.

    Args:
        store: The database.
        keys: Their names.
        zones: The time zones of the tenants.

    Returns:
        The grains; empty ones for days without messages.
    """
    wanted: dict[GrainKey, Parts] = {key: {} for key in keys}
    for zone in {zones[key.tenant_id] for key in wanted}:
        stretches = [
            Stretch(key.tenant_id, key.conversation_id, *moments_of(key.day, key.day + DAY, zone))
            for key in wanted
            if zones[key.tenant_id] == zone
        ]
        found: dict[GrainKey, Parts] = {}
        for row in await _added_up(store, stretches, zone):
            take_in(found, row)
        # Where a clock is set back over midnight, messages of the day before may be among them.
        wanted |= {key: parts for key, parts in found.items() if key in wanted}
    return wanted


async def _added_up(store: Store, stretches: Sequence[Stretch], zone: ZoneInfo) -> list[Row]:
    since = min(each.since for each in stretches)
    until = max(each.until for each in stretches)
    return await store.summarise_everywhere(
        SUMMARISED_MESSAGES, [group_stage(zone, since, until)], stretches=stretches
    )
