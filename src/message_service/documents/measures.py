"""How the metrics of a summary are made: each metric is a field that carries its rule.

Figures (`Figure`) are made from messages and merge: those of a week from those of its days. Results
(`Result`) are computed from figures whenever a summary is written. See `documents.analytics`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Expression = Any
"""An aggregation's expression over a message."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric's rule.

    Attributes:
        unit: What its number counts.
        purpose: What it tells, in one line.
    """

    unit: str
    purpose: str


@dataclass(frozen=True, slots=True)
class Figure(Measure):
    """What messages add to a summary.

    Attributes:
        of: Expression for what one message adds; nothing when it is missing or null.
    """

    of: Expression


class Sum(Figure):
    """The sum over all messages."""


class Smallest(Figure):
    """The smallest value."""


class Largest(Figure):
    """The largest value."""


class Costs(Figure):
    """The sum of amounts, by currency."""


class Histogram(Figure):
    """How many values lie in each bucket of `analytics.histogram`; not all messages have one."""


class Tally(Figure):
    """How many messages have each label; `of` is a list of labels."""


@dataclass(frozen=True, slots=True)
class Distinct(Measure):
    """How many different ones there are.

    Attributes:
        of: `user` or `conversation`.
    """

    of: str


class Result(Measure):
    """What is computed from figures."""


@dataclass(frozen=True, slots=True)
class Ratio(Result):
    """One figure divided by another; absent when that is zero.

    Attributes:
        part: Name of the figure above the line.
        whole: Name of the figure below it.
        scale: What the quotient is divided by; the figure above the line is in such units.
    """

    part: str
    whole: str
    scale: int = 1


@dataclass(frozen=True, slots=True)
class Quantile(Result):
    """A value that a share of the values does not exceed, within 1 %.

    Attributes:
        of: Name of the histogram.
        share: The share, between 0 and 1.
        least: Name of the smallest value; the result is not below it.
        most: Name of the largest value; the result is not above it.
    """

    of: str
    share: float
    least: str
    most: str


@dataclass(frozen=True, slots=True)
class Classes(Result):
    """How many values lie in each class of the source design.

    Attributes:
        of: Name of the histogram.
        bounds: The largest value of each class, and its label; None for no bound.
    """

    of: str
    bounds: Mapping[str, int | None]


@dataclass(frozen=True, slots=True)
class Shares(Result):
    """The shares of the most frequent labels; the rest is `(others)`.

    Attributes:
        of: Name of the tally.
    """

    of: str


@dataclass(frozen=True, slots=True)
class Single(Result):
    """A cost and its currency, when there is but one; see `Costs`.

    Attributes:
        of: Name of the costs.
        currency: Whether the currency is meant instead of the amount.
    """

    of: str
    currency: bool = False
