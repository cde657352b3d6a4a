"""Checks for free-form metadata, whose names and values the caller chooses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from message_service import errors
from message_service.arguments import check_finite
from message_service.database.encoding import encoded_size

_FEW = 12
_WITHIN = 2**63
_SIMPLE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")

MAX_METADATA_BYTES = 16_384
"""Bound on the BSON size of each such part (custom metadata, request headers)."""


def check_free_form(field: str, values: object, *, most: int = MAX_METADATA_BYTES) -> None:
    """Check free-form metadata: shape first, then size.

    Args:
        field: Name used in the error.
        values: Anything.
        most: Most bytes of its BSON.

    Raises:
        InvalidInput: The value is not a mapping; a name starts with `$` or `_`, or holds a dot or
            NUL; the value is nested too deep (or contains itself), is too large, or holds a
            value that BSON cannot store.
    """
    if _is_small(values):
        return
    check_shape(field, values)
    size = encoded_size(field, cast("Mapping[str, Any]", values))
    if size > most:
        raise errors.InvalidInput(field, f"has {size:,} bytes", f"Use at most {most:,}")


def _is_small(values: object) -> bool:
    """Whether this is a small object of numbers, such as a usage block: right, at a glance."""
    if type(values) is not dict or len(values) > _FEW:  # pyright: ignore[reportUnknownArgumentType]
        return False
    for name, value in cast("dict[object, object]", values).items():
        if type(name) is not str or _SIMPLE_NAME.fullmatch(name) is None:
            return False
        if type(value) is int:
            if not -_WITHIN < value < _WITHIN:
                return False
        elif value is not None and (type(value) is not dict or not _is_flat(value)):  # pyright: ignore[reportUnknownArgumentType]
            return False
    return True


def _is_flat(values: dict[object, object]) -> bool:
    return len(values) <= _FEW and all(
        type(name) is str
        and _SIMPLE_NAME.fullmatch(name) is not None
        and (value is None or (type(value) is int and -_WITHIN < value < _WITHIN))
        for name, value in values.items()
    )


def check_shape(field: str, values: object) -> None:
    """Check names, depth and number of values, in bounded time for any input.

    Raises:
        InvalidInput: As for `check_free_form`, except for the size.
    """
    if not isinstance(values, Mapping):
        raise errors.InvalidInput(field, "is not an object", "Give names and values")
    check_finite(field, cast("object", values))
    stack: list[tuple[str, object]] = [(field, cast("object", values))]
    while stack:
        path, value = stack.pop()
        if isinstance(value, Mapping):
            for name, inner in cast("Mapping[object, object]", value).items():
                _check_name(path, name)
                stack.append((f"{path}.{name}"[:200], inner))
        elif isinstance(value, (list, tuple)):
            stack.extend((path, inner) for inner in cast("list[object]", value))


def _check_name(path: str, name: object) -> None:
    if not isinstance(name, str) or name.startswith(("$", "_")) or "." in name or "\0" in name:
        raise errors.InvalidInput(
            f"{path}.{str(name)[:40]!r}",
            "is not an acceptable name",
            "Use names that are strings without dots and start with neither $ nor _",
        )
