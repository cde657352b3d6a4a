"""The lines of a report of summaries in files: flat, a column for each metric."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence

from message_service.analytics.metrics import PUBLISHED, Metric
from message_service.analytics.results import Summary
from message_service.documents.analytics import Dimension
from message_service.documents.measures import (
    Classes,
    Costs,
    Quantile,
    Ratio,
    Shares,
    Single,
)
from message_service.reports.columns import Column, Kind, Line

KEYS = {
    Dimension.CONVERSATION: ("conversation_id",),
    Dimension.USER: ("user_id",),
    Dimension.CHARACTER: ("character_id",),
    Dimension.MODEL: ("provider", "model"),
    Dimension.TENANT: (),
    Dimension.GLOBAL: (),
}
"""The columns that name a subject."""

_CURRENCY = "currency"
_COST = "cost"


def in_columns(metric: Metric) -> bool:
    """Return whether a metric is a column of its own: a number, and no cost."""
    return not isinstance(metric.rule, (Costs, Single, Classes, Shares))


def columns_of(dimension: Dimension, metrics: Sequence[Metric]) -> list[Column]:
    """Return the columns of a report; costs are the last two."""
    return [
        Column("date", Kind.DATE),
        *(Column(name, Kind.TEXT) for name in KEYS[dimension]),
        *(Column(metric.name, _kind(metric)) for metric in metrics),
        Column(_CURRENCY, Kind.TEXT),
        Column(_COST, Kind.MONEY),
    ]


async def lines_of(
    summaries: AsyncIterator[Summary], metrics: Sequence[Metric]
) -> AsyncIterator[Line]:
    """Yield the lines of a report: one for a summary, and one more for each further currency.

    The metrics of a summary stand on its first line only, so that sums are right.
    """
    async for summary in summaries:
        for line in _lines(summary, metrics):
            yield line


def columns_of_all() -> list[Metric]:
    """Return every metric that is a column."""
    return [metric for metric in PUBLISHED.values() if in_columns(metric)]


def _lines(summary: Summary, metrics: Sequence[Metric]) -> Iterator[Line]:
    key = [summary.key.get(name) for name in KEYS[summary.dimension]]
    values = [summary.value(metric.name) for metric in metrics]
    for currency, cost in sorted(summary.token_metrics.costs.items()) or [(None, None)]:
        yield (summary.first, *key, *values, currency, cost)
        values = [None] * len(values)


def _kind(metric: Metric) -> Kind:
    return Kind.NUMBER if isinstance(metric.rule, (Ratio, Quantile)) else Kind.COUNT
