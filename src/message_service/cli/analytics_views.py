"""What `analytics report` shows of a whole range: those with the most, a comparison, classes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from message_service.analytics.lines import kind_of
from message_service.analytics.metrics import Metric
from message_service.analytics.results import Comparison, Ranked, Summary, Top
from message_service.cli.context import console, print_table
from message_service.cli.exporting import write_lines
from message_service.cli.report_files import TABLE
from message_service.cli.running import run_once
from message_service.reports.charts import Point
from message_service.reports.columns import Column, Kind, Line
from message_service.reports.formats import FORMATS
from message_service.stopping import StopSignal
from message_service.usage.money import shown

_PARTS = ("share", "change")
"""Columns that a table shows in percent."""


@dataclass(frozen=True, slots=True)
class View:
    """A table that fits into memory.

    Attributes:
        title: What it shows.
        columns: Its columns.
        lines: Its lines.
        points: The same as bars of a chart.
    """

    title: str
    columns: Sequence[Column]
    lines: Sequence[Line]
    points: Sequence[Point] = ()

    def show(self, name: str, output: Path) -> None:
        """Print it, or write it in a format."""
        if name != TABLE:
            pieces = FORMATS[name](self.columns, _each(self.lines))
            run_once(write_lines(pieces, output, StopSignal()))
        elif self.lines:
            header = [column.name for column in self.columns]
            print_table(self.title, header, [self._cells(line) for line in self.lines])
        else:
            console.print(f"no messages ({self.title})", markup=False, highlight=False)

    def _cells(self, line: Line) -> list[str]:
        return [
            f"{value:.1%}" if column.name in _PARTS and isinstance(value, float) else cell(value)
            for column, value in zip(self.columns, line, strict=True)
        ]


def ranked_view(found: Top, names: Sequence[str], metric: Metric | None, order_by: str) -> View:
    """Return those with the most of a metric, or of the cost in a currency (without metric)."""
    kind = Kind.MONEY if metric is None else kind_of(metric)
    return View(
        f"{len(found.ranked):,} of {found.total:,}, most {order_by} first",
        [
            *(Column(name, Kind.TEXT) for name in names),
            Column(order_by, kind),
            Column("share", Kind.NUMBER),
            Column("messages", Kind.COUNT),
        ],
        [
            (*(each.key.get(name) for name in names), each.value, each.share, each.messages)
            for each in found.ranked
        ],
        [Point(_label(each), "", Decimal(each.value or 0)) for each in found.ranked],
    )


def compared_view(found: Comparison, metrics: Sequence[Metric], title: str) -> View:
    """Return metrics of a range beside those of the range before; costs are the last lines."""
    lines: list[Line] = []
    for metric in metrics:
        now, before = found.now.value(metric.name), found.before.value(metric.name)
        if now or before:
            lines.append((metric.name, None, now, before, None, None, found.change(metric.name)))
    now_costs, then = found.now.token_metrics.costs, found.before.token_metrics.costs
    for currency in sorted({*now_costs, *then}):
        cost, before = now_costs.get(currency), then.get(currency)
        change = float(((cost or 0) - before) / before) if before else None
        lines.append(("cost", currency, None, None, cost, before, change))
    return View(
        f"{title}, beside {found.before.first} to {found.before.until}",
        [
            Column("metric", Kind.TEXT),
            Column("currency", Kind.TEXT),
            Column("now", Kind.NUMBER),
            Column("before", Kind.NUMBER),
            Column("cost now", Kind.MONEY),
            Column("cost before", Kind.MONEY),
            Column("change", Kind.NUMBER),
        ],
        lines,
    )


def distribution_view(found: Summary, metric: Metric, title: str) -> View:
    """Return the classes of a distribution, or the most frequent topics."""
    classes: dict[str, Any] = found.value(metric.name) or {}
    kind = Kind.COUNT if metric.rule.unit == "messages" else Kind.NUMBER
    return View(
        f"{metric.name}, {title}",
        [Column("class", Kind.TEXT), Column(metric.rule.unit, kind)],
        [*classes.items()],
        [Point(name, "", Decimal(value)) for name, value in classes.items()],
    )


def cell(value: Any) -> str:
    """Return a value as tables show it."""
    if value is None:
        return "-"
    if isinstance(value, Decimal):
        return shown(value, 6)
    if isinstance(value, float):
        return f"{value:,.6g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _label(each: Ranked) -> str:
    return " / ".join(each.key.values())


async def _each(lines: Sequence[Line]) -> AsyncIterator[Line]:
    for line in lines:
        yield line
