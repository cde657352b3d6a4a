"""The columns of a report."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

Line = tuple[object, ...]
"""A line of a report: a value for each column, None where there is none."""


class Kind(StrEnum):
    """What the values of a column are: `str`, `date`, `int`, `float`, or `Decimal`."""

    TEXT = "text"
    DATE = "date"
    COUNT = "count"
    NUMBER = "number"
    MONEY = "money"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a report."""

    name: str
    kind: Kind
