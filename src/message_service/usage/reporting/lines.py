"""The lines of a usage report in files: flat, so that every column can be added up."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from decimal import Decimal

from message_service.documents.token_usage import TokenClass
from message_service.reports.columns import Column, Kind, Line
from message_service.usage.reporting.dimensions import Dimension
from message_service.usage.reporting.rows import MESSAGE_COUNTS, TOKEN_COUNTS, Spent, UsageRow

_COUNTS = (*MESSAGE_COUNTS, *TOKEN_COUNTS)


def columns_of(by: Sequence[Dimension], *, detailed: bool) -> list[Column]:
    """Return the columns of a report."""
    classes = [kind.value for kind in TokenClass] if detailed else []
    amounts = ["prompt_cost", "completion_cost"] if detailed else []
    return [
        *(Column(each.name, each.kind) for each in by),
        *(Column(name, Kind.COUNT) for name in (*_COUNTS, *classes)),
        Column("currency", Kind.TEXT),
        *(Column(name, Kind.MONEY) for name in (*amounts, "total_cost")),
    ]


async def lines_of(rows: AsyncIterator[UsageRow], *, detailed: bool) -> AsyncIterator[Line]:
    """Yield the lines of a report: one for a row, and one more for each further currency.

    The counts of a row stand on its first line; on the others they are 0, so that sums are right.
    """
    async for row in rows:
        for line in _lines(row, detailed=detailed):
            yield line


def _lines(row: UsageRow, *, detailed: bool) -> Iterator[Line]:
    counts = [getattr(row, name) for name in _COUNTS]
    if detailed:
        known = row.classes or {}
        counts += [known.get(kind, 0) for kind in TokenClass]
    for currency, spent in row.costs.items() or [(None, None)]:
        yield (*row.key.values(), *counts, currency, *_amounts(spent, detailed=detailed))
        counts = [0] * len(counts)


def _amounts(spent: Spent | None, *, detailed: bool) -> tuple[Decimal | None, ...]:
    if spent is None:
        return (None,) * (3 if detailed else 1)
    return (spent.prompt, spent.completion, spent.total) if detailed else (spent.total,)
