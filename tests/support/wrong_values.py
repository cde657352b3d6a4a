"""Values nobody should hand in, and everything a caller can hand them to."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, get_args

from pydantic import BaseModel

from message_service.documents.message import Role
from message_service.messages.runtime import Runtime


class Array:
    """As arrays of numbers: comparing gives an array, and that is neither true nor false."""

    def __eq__(self, other: object) -> Array:  # pyright: ignore
        return self

    __lt__ = __le__ = __gt__ = __ge__ = __ne__ = __eq__  # pyright: ignore
    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        raise ValueError("the truth value of an array is ambiguous")


def _holding_itself(kind: type[Any]) -> Any:
    made: Any = kind()
    if isinstance(made, dict):
        made["itself"] = made
    else:
        made.append(made)
    return made


def _nested(depth: int) -> list[Any]:
    made: list[Any] = []
    for _ in range(depth):
        made = [made]
    return made


FRESH: Mapping[str, Callable[[], Any]] = {
    "None": lambda: None,
    "True": lambda: True,
    "False": lambda: False,
    "0": lambda: 0,
    "-1": lambda: -1,
    "1": lambda: 1,
    "2**31": lambda: 2**31,
    "2**63": lambda: 2**63,
    "-2**63-1": lambda: -(2**63) - 1,
    "10**30": lambda: 10**30,
    "10**5000": lambda: 10**5_000,
    "1.5": lambda: 1.5,
    "1e308": lambda: 1e308,
    "nan": lambda: float("nan"),
    "inf": lambda: float("inf"),
    "-inf": lambda: float("-inf"),
    "1j": lambda: 1j,
    "Decimal nan": lambda: Decimal("nan"),
    "Decimal snan": lambda: Decimal("snan"),
    "Decimal inf": lambda: Decimal("inf"),
    "Decimal of 40 digits": lambda: Decimal("0." + "1" * 40),
    "digits": lambda: "0." + "1" * 40,
    "huge exponent": lambda: "1e999999",
    "empty text": lambda: "",
    "space": lambda: " ",
    "a": lambda: "a",
    "NUL": lambda: "a\0b",
    "lone surrogate": lambda: "a\ud800b",
    "newline": lambda: "main\n",
    "long text": lambda: "x" * 100_000,
    "$where": lambda: "$where",
    "a.b": lambda: "a.b",
    "quote": lambda: '"',
    "../..": lambda: "../..",
    "bytes": lambda: b"main",
    "no bytes": lambda: b"",
    "bytearray": lambda: bytearray(b"main"),
    "other enum": lambda: Role.USER,
    "naive": lambda: datetime(2025, 1, 1),  # noqa: DTZ001
    "first moment": lambda: datetime.min.replace(tzinfo=UTC),
    "before the first moment": lambda: datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
    "after the last moment": lambda: datetime.max.replace(tzinfo=timezone(timedelta(hours=-14))),
    "date": lambda: date(2025, 1, 1),
    "timedelta": lambda: timedelta(1),
    "list": list,
    "list of None": lambda: [None],
    "list of a list": lambda: [[]],
    "list of bytes": lambda: [b"main"],
    "list with a lone surrogate": lambda: ["\udc80"],
    "long list": lambda: ["x"] * 20_000,
    "tuple": lambda: (1, "a"),
    "dict": dict,
    "dict with a number as name": lambda: {1: 2},
    "dict with an operator": lambda: {"$where": "1"},
    "dict with a lone surrogate": lambda: {"a\ud800": "\ud800"},
    "set": set,
    "set of text": lambda: {"active"},
    "generator": lambda: (number for number in range(3)),
    "endless": itertools.count,
    "object": object,
    "class": lambda: int,
    "function": lambda: lambda *_: None,
    "array": Array,
    "list in itself": lambda: _holding_itself(list),
    "dict in itself": lambda: _holding_itself(dict),
    "deep list": lambda: _nested(5_000),
}
"""Made anew for each use: some can be used up."""

WRONG = tuple(FRESH)


def methods_of(root: object, name: str, seen: set[int] | None = None) -> Iterator[tuple[str, Any]]:
    """Yield every public method that can be reached through public attributes, by dotted name."""
    seen = set() if seen is None else seen
    if id(root) in seen:
        return
    seen.add(id(root))
    for attribute in sorted({*dir(type(root)), *getattr(root, "__dict__", {})}):
        if attribute.startswith("_"):
            continue
        value = getattr(root, attribute)
        dotted = f"{name}.{attribute}"
        if inspect.ismethod(value):
            yield dotted, value
        elif _is_of_the_service(value):
            yield from methods_of(value, dotted, seen)


def _is_of_the_service(value: object) -> bool:
    kind = type(value)
    # What holds data only has nothing to call; store and runtime are for packages of the service.
    return (
        kind.__module__.startswith("message_service")
        and kind is not Runtime
        and not kind.__module__.startswith("message_service.database")
        and not isinstance(value, BaseModel)
    )


def slots_within(value: object, path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    """Yield a place and every place within what stands there."""
    yield path
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from slots_within(inner, (*path, name))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from slots_within(inner, (*path, place))


def with_value(arguments: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """Return a copy of nested arguments with another value in one place."""
    if not path:
        return value
    copy = arguments.copy()
    copy[path[0]] = with_value(arguments[path[0]], path[1:], value)
    return copy


def fields_of(model: type[BaseModel], seen: set[str] | None = None) -> dict[str, Any]:
    """Return a place for every field of a model, groups with places of their own.

    Of the fields of groups, one of each type: what differs between types is what is checked.
    """
    places: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        kind = f"{field.annotation} {field.metadata}"
        if seen is None or kind not in seen:
            places[name] = _place_of(field.annotation, set() if seen is None else seen)
        if seen is not None:
            seen.add(kind)
    return places


def _place_of(annotation: Any, seen: set[str]) -> Any:
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return fields_of(kind, seen)
    return None


def named(value: object) -> str:
    """Return a value as a failure shows it."""
    try:
        shown = repr(value)
    except Exception as error:
        return f"<{type(value).__name__}: {type(error).__name__}>"
    return shown if len(shown) < 80 else f"{shown[:77]}..."
