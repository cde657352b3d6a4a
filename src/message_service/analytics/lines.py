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
    Sum,
)
from message_service.reports.columns import Column, Kind, Line

KEYS = {
    Dimension.CONVERSATION: ("conversation_id",),
    Dimension.USER: ("user_id",),
    Dimension.CHARACTER: ("character_id",),
    Dimension.MODEL: ("provider", "model"),
    Dimension.TENANT: ("tenant_id",),
    Dimension.GLOBAL: (),
}
"""The columns that name one of several subjects."""

_CURRENCY = "currency"
_COST = "cost"


def in_columns(metric: Metric) -> bool:
    """Return whether a metric is a column of its own: a number, and no cost."""
    return not isinstance(metric.rule, (Costs, Single, Classes, Shares))


def is_distribution(metric: Metric) -> bool:
    """Return whether a metric is a distribution: a number for each of several classes."""
    return isinstance(metric.rule, (Classes, Shares))


def adds_up(metric: Metric) -> bool:
    """Return whether a metric of several summaries is the sum of theirs."""
    return isinstance(metric.rule, Sum)


def columns_of(names: Sequence[str], metrics: Sequence[Metric]) -> list[Column]:
    """Return the columns of a report; costs are the last two.

    Args:
        names: The columns that name a subject.
        metrics: The metrics.
    """
    return [
        Column("date", Kind.DATE),
        *(Column(name, Kind.TEXT) for name in names),
        *(Column(metric.name, kind_of(metric)) for metric in metrics),
        Column(_CURRENCY, Kind.TEXT),
        Column(_COST, Kind.MONEY),
    ]


async def lines_of(
    summaries: AsyncIterator[Summary], names: Sequence[str], metrics: Sequence[Metric]
) -> AsyncIterator[Line]:
    """Yield the lines of a report: one for a summary, and one more for each further currency.

    The metrics of a summary stand on its first line only, so that sums are right.
    """
    async for summary in summaries:
        for line in _lines(summary, names, metrics):
            yield line


def columns_of_all() -> list[Metric]:
    """Return every metric that is a column."""
    return [metric for metric in PUBLISHED.values() if in_columns(metric)]


def _lines(summary: Summary, names: Sequence[str], metrics: Sequence[Metric]) -> Iterator[Line]:
    key = [summary.key.get(name) for name in names]
    values = [summary.value(metric.name) for metric in metrics]
    for currency, cost in sorted(summary.token_metrics.costs.items()) or [(None, None)]:
        yield (summary.first, *key, *values, currency, cost)
        values = [None] * len(values)


def kind_of(metric: Metric) -> Kind:
    """Return what the values of a metric are."""
    return Kind.NUMBER if isinstance(metric.rule, (Ratio, Quantile)) else Kind.COUNT
