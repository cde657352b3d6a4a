"""BSON encoding of values given by callers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import bson
from bson import ObjectId
from bson.errors import BSONError

from message_service import errors


def encoded_size(field: str, values: Mapping[str, Any]) -> int:
    """Return the BSON size of caller-given values, in bytes.

    Raises:
        InvalidInput: BSON cannot store one of the values.
    """
    try:
        return len(bson.encode(values))
    except (BSONError, OverflowError, UnicodeEncodeError, RecursionError) as error:
        raise errors.InvalidInput(
            field,
            f"cannot be stored ({error})",
            "Use strings, whole numbers below 2^63, floats, dates, lists and objects",
        ) from None


def object_id(text: str) -> ObjectId:
    """Return the `_id` for 24 hexadecimal digits, taken from a signed cursor."""
    return ObjectId(text)


def new_object_id() -> ObjectId:
    """Return a new `_id`."""
    return ObjectId()
