"""Finds the largest and smallest values of a summary again, after they may have been taken away."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from message_service.analytics.figures import EXTREMES
from message_service.analytics.metrics import METRICS
from message_service.analytics.periods import after
from message_service.analytics.subjects import of_subject
from message_service.analytics.summaries import Summary
from message_service.catalogue.queries.analytics import (
    PARTS_OF_DAYS,
    SUMMARIES_OF_TENANTS,
    SUMMARY_SERIES,
)
from message_service.database.store import Store
from message_service.documents.analytics import AggregationType, Dimension
from message_service.documents.row import Row

_GROUPS: Mapping[object, str] = {min: "$min", max: "$max"}


async def find_extremes(store: Store, summary: Summary, names: Collection[str]) -> None:
    """Set extremes of a summary to those of what it is made of.

    A week or month is made of the days of the same subject, a day of the parts of conversations'
    days, and a day of all tenants of the days of each.
    """
    subject, kind, date = summary.place
    if kind is AggregationType.DAILY and subject.dimension is Dimension.GLOBAL:
        rows = await store.summarise_everywhere(
            SUMMARIES_OF_TENANTS,
            [_group(names, "")],
            kind=kind.value,
            since=date,
            until=after(kind, date),
        )
    elif kind is AggregationType.DAILY:
        rows = await _found(
            store,
            summary,
            PARTS_OF_DAYS,
            [{"$unwind": "$parts"}, *of_subject(subject, "parts"), _group(names, "parts.figures.")],
            dimension=Dimension.CONVERSATION.value,
        )
    else:
        rows = await _found(
            store,
            summary,
            SUMMARY_SERIES,
            [_group(names, "")],
            conversation_id=subject.conversation_id,
            subject=subject.name,
        )
    for row in rows:
        for name in names:
            if row[name] is None:
                summary.values.pop(name, None)
            else:
                summary.values[name] = row[name]


async def _found(
    store: Store, summary: Summary, query: Any, stages: list[dict[str, Any]], **values: str
) -> list[Row]:
    subject, kind, date = summary.place
    batches = store.scope(subject.tenant_id).summarise(
        query,
        stages,
        aggregation_type=AggregationType.DAILY.value,
        since=date,
        until=after(kind, date),
        **values,
    )
    return [row async for batch in batches for row in batch]


def _group(names: Collection[str], within: str) -> dict[str, Any]:
    return {
        "$group": {
            "_id": None,
            **{
                name: {_GROUPS[EXTREMES[name]]: f"${within or METRICS[name].group + '.'}{name}"}
                for name in names
            },
        }
    }
