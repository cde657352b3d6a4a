"""Charts of reports, as PNG or SVG."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from message_service import errors
from message_service.reports.formats import of_extra

KINDS = ("png", "svg")
"""The kinds of charts, by the ending of their file's name."""

OTHERS = "others"
"""What is shown together, because it would be too much to tell apart."""

_STYLE = {"svg.hashsalt": "message-service", "font.size": 9}
# The same picture of the same figures, byte for byte: no date, no random names.

_MOST_SERIES = 8
_MOST_BARS = 25


@dataclass(frozen=True, slots=True)
class Point:
    """An amount in a chart.

    Attributes:
        place: The day it is drawn at, or the name of its bar.
        series: What it is told apart by within its bar, by colour; empty for nothing.
        amount: How much it is.
    """

    place: date | str
    series: str
    amount: Decimal


def kind_of_chart(file: Path) -> str:
    """Return the kind of chart a file is to hold.

    Raises:
        InvalidInput: Its name has another ending than `.png` or `.svg`, or matplotlib is not
            installed.
    """
    kind = file.suffix.lower().removeprefix(".")
    if kind not in KINDS:
        raise errors.InvalidInput("chart", "is neither .png nor .svg", "Name a file like cost.png")
    of_extra("chart", "matplotlib")
    return kind


def draw_lines(points: Sequence[Point], kind: str, *, title: str, unit: str) -> bytes:
    """Return a chart with a line along time for each series: for what does not add up.

    The eight series with the largest amounts are shown; the title says so.

    Args:
        points: What is drawn; one for each day and series.
        kind: `png` or `svg`.
        title: What the chart shows.
        unit: What the amounts are.
    """
    plain = of_extra("chart", "matplotlib")
    figures = of_extra("chart", "matplotlib.figure")
    series = _largest((point.series, point.amount) for point in points)
    if len(series) > _MOST_SERIES:
        title += f" ({_MOST_SERIES} largest of {len(series):,})"
    with plain.rc_context(_STYLE):
        figure = figures.Figure(figsize=(9, 4.5), dpi=120)
        axes: Any = figure.add_subplot()
        for name in series[:_MOST_SERIES]:
            own = sorted(
                (p for p in points if p.series == name), key=lambda point: str(point.place)
            )
            amounts = [float(point.amount) for point in own]
            axes.plot([point.place for point in own], amounts, marker=".", label=f" {name}")
        axes.set_ylabel(unit)
        axes.set_ylim(0, None)
        axes.yaxis.set_major_formatter("{x:,.10g}")
        figure.autofmt_xdate()
        return _finished(figure, axes, kind, title=title, legend=series != [""])


def draw(
    points: Sequence[Point], kind: str, *, title: str, unit: str, in_order: bool = False
) -> bytes:
    """Return a bar chart: upright bars along a time axis, or level ones, the longest first.

    The eight largest series have a colour each, the rest is shown as `others`. Of level bars there
    are 25 at most; the title says so.

    Args:
        points: What is drawn; those of the same place and series add up.
        kind: `png` or `svg`.
        title: What the chart shows.
        unit: What the amounts are.
        in_order: Whether level bars come in the order of the points, and all of them.
    """
    plain = of_extra("chart", "matplotlib")
    figures = of_extra("chart", "matplotlib.figure")
    in_time = any(isinstance(point.place, date) for point in points)
    places: list[Any]
    if in_order:
        places = [*dict.fromkeys(point.place for point in points)]
    elif not in_time:
        bars = _largest((str(point.place), point.amount) for point in points)
        title += f" ({_MOST_BARS} largest of {len(bars):,})" if len(bars) > _MOST_BARS else ""
        places = bars[:_MOST_BARS]
        points = [point for point in points if point.place in places]
    else:
        places = sorted({point.place for point in points if isinstance(point.place, date)})
    series = _largest((point.series, point.amount) for point in points)
    if len(series) > _MOST_SERIES:
        series = [*series[:_MOST_SERIES], OTHERS]
    sums: dict[tuple[Any, str], Decimal] = {}
    for point in points:
        name = point.series if point.series in series else OTHERS
        sums[point.place, name] = sums.get((point.place, name), Decimal(0)) + point.amount
    with plain.rc_context(_STYLE):
        figure = figures.Figure(figsize=(9, 4.5 if in_time else 1.5 + 0.3 * len(places)), dpi=120)
        axes: Any = figure.add_subplot()
        beginnings = [0.0] * len(places)
        for name in series:
            amounts = [float(sums.get((place, name), 0)) for place in places]
            if in_time:
                axes.bar(places, amounts, _width(places), beginnings, label=f" {name}")
            else:
                axes.barh(range(len(places)), amounts, 0.8, beginnings, label=f" {name}")
            beginnings = [low + high for low, high in zip(beginnings, amounts, strict=True)]
        if in_time:
            axes.set_ylabel(unit)
            figure.autofmt_xdate()
        else:
            axes.set_yticks(range(len(places)), places, parse_math=False)
            axes.invert_yaxis()
            axes.set_xlabel(unit)
        amounts_axis = axes.yaxis if in_time else axes.xaxis
        amounts_axis.set_major_formatter("{x:,.10g}")
        (axes.set_ylim if in_time else axes.set_xlim)(0, 1.05 * max(beginnings))
        return _finished(figure, axes, kind, title=title, legend=series != [""])


def _finished(figure: Any, axes: Any, kind: str, *, title: str, legend: bool) -> bytes:
    """Return a chart as a file, with its title and legend."""
    axes.set_title(title, parse_math=False)
    axes.spines[["top", "right"]].set_visible(False)
    if legend:
        shown = axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
        for text in shown.get_texts():
            text.set_parse_math(False)
    file = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else {"Software": None}
    figure.savefig(file, format=kind, bbox_inches="tight", metadata=metadata)
    return file.getvalue()


def _largest(amounts: Iterable[tuple[str, Decimal]]) -> list[str]:
    """Return names by the sums of their amounts, the largest first."""
    sums: dict[str, Decimal] = {}
    for name, amount in amounts:
        sums[name] = sums.get(name, Decimal(0)) + amount
    return sorted(sums, key=lambda name: (-sums[name], name))


def _width(days: Sequence[date]) -> float:
    """Return how broad bars are, in days: as far apart as they stand, with some air."""
    apart = [(later - earlier).days for earlier, later in itertools.pairwise(days)]
    return 0.85 * min(apart, default=1)
