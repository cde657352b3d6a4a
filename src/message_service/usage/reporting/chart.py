"""The chart of a usage report."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from message_service import errors
from message_service.reports.charts import Point
from message_service.usage.reporting.rows import MESSAGES, UsageRow

MOST_POINTS = 20_000
"""Rows that are held in memory for a chart; more could not be told apart in it."""


def points_of(rows: Sequence[UsageRow], measure: str) -> list[Point]:
    """Return what a chart of rows shows: along time, or by their first dimension.

    Args:
        rows: The rows.
        measure: `messages`, `tokens` or a currency.

    Raises:
        InvalidInput: There is nothing to show, or too much.
    """
    if len(rows) > MOST_POINTS:
        raise errors.InvalidInput(
            "chart", f"would have more than {MOST_POINTS:,} bars", "Use --top, or a shorter --by"
        )
    points = [_point(row, amount) for row in rows if (amount := _amount(row, measure))]
    if not points:
        raise errors.InvalidInput(
            "chart", f"has nothing to show: no {measure} in the period", "Choose others"
        )
    return points


def _point(row: UsageRow, amount: Decimal) -> Point:
    names = [*row.key]
    place = next((name for name in names if isinstance(row.key[name], date)), None)
    if place is None and names:
        place = names[0]
    rest = " / ".join(_shown(row.key[name]) for name in names if name != place)
    if place is None:
        return Point("total", "", amount)
    value = row.key[place]
    return Point(value if isinstance(value, date) else _shown(value), rest, amount)


def _shown(value: object) -> str:
    return "(none)" if value is None else str(value)


def _amount(row: UsageRow, measure: str) -> Decimal:
    if measure == MESSAGES:
        return Decimal(row.messages)
    if measure == "tokens":
        return Decimal(row.total_tokens)
    return row.costs[measure].total if measure in row.costs else Decimal(0)
