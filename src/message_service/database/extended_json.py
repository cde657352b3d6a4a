"""Converts stored documents to JSON lines and back, lossless (Extended JSON v2, relaxed)."""

from __future__ import annotations

from datetime import UTC
from typing import Any, cast

from bson import json_util
from bson.errors import BSONError

from message_service import errors

_OPTIONS = json_util.RELAXED_JSON_OPTIONS.with_options(tz_aware=True, tzinfo=UTC)


def to_line(document: dict[str, Any]) -> str:
    """Return one line of JSON with sorted names, so that equal documents give equal bytes."""
    return json_util.dumps(
        document,
        json_options=_OPTIONS,
        sort_keys=True,
        ensure_ascii=False,
        separators=(",", ":"),
    )


def from_line(line: str) -> dict[str, Any]:
    """Return the document a line holds.

    Raises:
        InvalidInput: The line is not a JSON object.
    """
    try:
        document = json_util.loads(line, json_options=_OPTIONS)
    except (ValueError, TypeError, BSONError, OverflowError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise errors.InvalidInput("line", "is not a JSON object", "Restore the file as exported")
    return cast("dict[str, Any]", document)
