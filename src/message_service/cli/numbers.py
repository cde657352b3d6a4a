"""Numbers on the command line: `number` declares every numeric option and argument."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import typer

LONGEST_SECONDS = 86_400
"""A wait beyond a day is a slip of the finger."""

MOST = 2**31
"""More than there is of anything that is counted."""

_WHOLE = re.compile(r"[+-]?[0-9]{1,30}")
_DECIMAL = re.compile(
    r"[+-]?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:[eE][+-]?[0-9]{1,3})?"
)

Number = TypeVar("Number", int, float)


def number(kind: type[Number], lowest: Number, highest: Number, meaning: str) -> Any:
    """Declare an option that is a number within bounds.

    Any other value, such as `nan`, `inf` or a thousand digits, is refused as bad input with the
    option's name and the bounds.

    Args:
        kind: `int` for whole numbers, or `float` for seconds.
        lowest: The smallest number taken.
        highest: The largest.
        meaning: What it is, for the help.
    """
    whole = kind is int
    grammar = _WHOLE if whole else _DECIMAL
    bounds = f"{lowest:,} to {highest:,}"

    def parse(given: object) -> Number:
        text = str(given)
        if grammar.fullmatch(text) is not None:
            value = kind(text)
            if lowest <= value <= highest:
                return value
        shown = text if len(text) <= 40 else text[:40] + "..."
        what = "whole number" if whole else "number"
        raise typer.BadParameter(f"{shown!r} is not a {what} from {bounds}.")

    return typer.Option(
        parser=parse,
        metavar="INTEGER" if whole else "SECONDS",
        help=f"{meaning} [{bounds}]",
    )
