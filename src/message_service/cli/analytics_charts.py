"""Charts of summaries along time."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from message_service import errors
from message_service.analytics.asking import check_metric, is_currency
from message_service.analytics.lines import adds_up
from message_service.analytics.results import Summary
from message_service.reports.charts import Point, draw, draw_lines


def along_time(rows: Sequence[Summary], measures: str, kind: str, title: str) -> bytes:
    """Return a chart of metrics, or of the cost in a currency.

    One that adds up is drawn as bars, on which what it is made of stands one over the other;
    averages, percentiles and several metrics are drawn as lines.

    Args:
        rows: The summaries.
        measures: The names of metrics with commas, or a currency.
        kind: `png` or `svg`.
        title: What the chart shows.

    Raises:
        InvalidInput: There is no such metric, one is no single number, or there is nothing to show.
    """
    names = [name.strip() for name in measures.split(",")]
    points = [point for name in names for point in _points(rows, name, several=len(names) > 1)]
    if not points:
        raise errors.InvalidInput("chart", f"has nothing to show: no {measures}", "Choose others")
    stacked = len(names) == 1 and (
        is_currency(measures) or adds_up(check_metric("chart_of", measures))
    )
    drawn = draw if stacked else draw_lines
    return drawn(points, kind, title=f"{', '.join(names)}, {title}", unit=_unit(names))


def _points(rows: Sequence[Summary], measure: str, *, several: bool) -> list[Point]:
    metric = None if is_currency(measure) else check_metric("chart_of", measure)
    points: list[Point] = []
    for row in rows:
        value = row.token_metrics.costs.get(measure) if metric is None else row.value(metric.name)
        if isinstance(value, (dict, str)):
            raise errors.InvalidInput("chart_of", f"{measure} is no single number", "Use another")
        if value:
            names = [*row.key.values(), measure] if several else [*row.key.values()]
            points.append(Point(row.first, " / ".join(names), Decimal(value)))
    return points


def _unit(names: Sequence[str]) -> str:
    """Return what the metrics are measured in, as far as it is the same."""
    units = {
        name if is_currency(name) else check_metric("chart_of", name).rule.unit for name in names
    }
    return ", ".join(sorted(units))
