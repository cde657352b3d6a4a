"""Checks of arguments, one for each kind of value; each error names the parameter and the fix.

Python does not enforce type annotations at run time. Every argument that is compared, counted,
iterated or sent is checked here first, so that a wrong value always raises `InvalidInput`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar, cast

from message_service import errors

MOST_NESTED = 64
"""Levels of nested values; BSON allows 100, and the caller's values start a few levels deep."""

MOST_VALUES = 100_000
"""Values within one argument; a part that is referred to many times counts each time."""

_SINGLE = frozenset({str, int, float, bool, bytes, datetime, Decimal, type(None)})

T = TypeVar("T")


def check_text_argument(
    field: str, value: object, *, most: int, least: int = 1, what: str = "text"
) -> str:
    """Return a text that can be sent and stored.

    Args:
        field: Name used in the error.
        value: Anything.
        most: Most characters.
        least: Fewest characters.
        what: Noun for the value, used in the error.

    Raises:
        InvalidInput: The value is not a string, is too short or too long, or contains a NUL or a
            lone surrogate.
    """
    if not isinstance(value, str):
        raise errors.InvalidInput(field, "is not a string", f"Give a {what} as str")
    if not least <= len(value) <= most:
        raise errors.InvalidInput(
            field,
            "is too long" if len(value) > most else "is empty",
            f"Use {least} to {most:,} characters" if least else f"Use at most {most:,} characters",
        )
    if "\0" in value or not is_unicode(value):
        raise errors.InvalidInput(
            field,
            "has a NUL character" if "\0" in value else "has a lone surrogate",
            "Remove the character, or replace it with U+FFFD",
        )
    return value


def is_unicode(value: str) -> bool:
    """Return whether a text can be encoded as UTF-8, that is, has no lone surrogate."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_whole_number(field: str, value: object, lowest: int, highest: int) -> int:
    """Return a whole number within bounds; True and False are not accepted.

    Raises:
        InvalidInput: The value is not a whole number within the bounds.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
        raise errors.InvalidInput(
            field, "is out of range", f"Use a whole number from {lowest:,} to {highest:,}"
        )
    return value


def check_revision(value: object) -> None:
    """Check the revision a caller read; None is accepted.

    Raises:
        InvalidInput: The value is not a whole number from 1 up.
    """
    if value is not None:
        check_whole_number("expected_revision", value, 1, 2**63 - 1)


def check_number(field: str, value: object, lowest: float, highest: float) -> float:
    """Return a number within bounds; NaN, True and False are not accepted.

    Raises:
        InvalidInput: The value is not a number within the bounds.
    """
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or (isinstance(value, float) and math.isnan(value))
        or not lowest <= value <= highest
    ):
        raise errors.InvalidInput(
            field, "is out of range", f"Use a number from {lowest:,g} to {highest:,g}"
        )
    return value


def check_flag(field: str, value: object) -> bool:
    """Return True or False; other truthy or falsy values are not accepted.

    Raises:
        InvalidInput: The value is neither True nor False.
    """
    if not isinstance(value, bool):
        raise errors.InvalidInput(field, "is neither True nor False", "Use True or False")
    return value


def check_sequence(field: str, value: object) -> Sequence[Any]:
    """Return a list or another sequence; strings, bytes and one-time iterators are not accepted.

    Raises:
        InvalidInput: The value is not such a sequence.
    """
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes, bytearray, memoryview)):
        raise errors.InvalidInput(field, "is not a list", "Give a list, for example list(values)")
    return cast("Sequence[Any]", value)


def check_mapping(field: str, value: object) -> Mapping[str, Any]:
    """Return a dictionary or another mapping whose names are strings.

    Raises:
        InvalidInput: The value is not such a mapping.
    """
    if not isinstance(value, Mapping):
        raise errors.InvalidInput(field, "is not an object", "Give a dict of names and values")
    names = cast("Mapping[object, Any]", value)
    plain = set(map(type, names)) <= {str}  # the common case, without a call for each name
    if not plain and not all(isinstance(name, str) for name in names):
        raise errors.InvalidInput(field, "has a name that is not a string", "Use strings as names")
    return cast("Mapping[str, Any]", value)


def check_instance(field: str, value: object, kind: type[T]) -> T:
    """Return an object of the service that the caller passes back to it.

    Raises:
        InvalidInput: The value is not an instance of `kind`.
    """
    if not isinstance(value, kind):
        raise errors.InvalidInput(field, f"is not a {kind.__name__}", f"Give a {kind.__name__}")
    return value


def check_finite(field: str, value: object) -> None:
    """Check that nested values are finite: no iterators, no cycles, no excessive depth or size.

    Raises:
        InvalidInput: The values are not finite; `field` names the place.
    """
    if type(value) in _SINGLE:
        return
    seen = 0
    stack: list[tuple[str, object, int]] = [(field, value, 0)]
    while stack:
        path, inner, depth = stack.pop()
        if isinstance(inner, Mapping):
            values = cast("Mapping[object, object]", inner)
            seen += len(values)
            for name, below in values.items():
                if type(below) not in _SINGLE:
                    # Deeper names would make the error's path too long to read.
                    named = f"{path}.{name}" if depth < 3 and isinstance(name, str) else path
                    stack.append((named.lstrip("."), below, depth + 1))
        elif isinstance(inner, (list, tuple)):
            several = cast("Sequence[object]", inner)
            seen += len(several)
            stack.extend(
                (path, below, depth + 1)
                for below in several[:MOST_VALUES]
                if type(below) not in _SINGLE
            )
        elif hasattr(inner, "__next__"):
            raise errors.InvalidInput(path, "can be read only once", "Give a list")
        if depth > MOST_NESTED or seen > MOST_VALUES:
            raise errors.InvalidInput(
                path or "value",
                "is nested too deeply or holds too much",
                f"Use at most {MOST_NESTED} levels, and no value that contains itself",
            )
