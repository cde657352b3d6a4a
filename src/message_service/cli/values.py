"""Values on the command line that are more than a word: moments, and objects in JSON."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, tzinfo
from typing import Any, cast

from message_service import errors


def moment(field: str, text: str, zone: tzinfo = UTC) -> datetime:
    """Return a moment from an ISO date or time, of this zone unless it says otherwise.

    Raises:
        InvalidInput: It is neither.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise errors.InvalidInput(
            field, "is not a date", "Use 2026-01-31 or 2026-01-31T15:00:00+01:00"
        ) from None
    return found if found.tzinfo is not None else found.replace(tzinfo=zone)


def day(field: str, text: str) -> date:
    """Return a day written as an ISO date.

    Raises:
        InvalidInput: It is none.
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise errors.InvalidInput(field, "is not a day", "Use one like 2026-01-31") from None


def json_object(field: str, text: str) -> dict[str, Any]:
    """Return an object written in JSON.

    Raises:
        InvalidInput: It is no object in JSON.
    """
    try:
        found: object = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise errors.InvalidInput(field, "is not a JSON object", "Give names and values in braces")
    return cast("dict[str, Any]", found)
