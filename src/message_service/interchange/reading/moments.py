"""Reads the moments in import formats. An invalid moment gives None, not an error."""

from __future__ import annotations

from datetime import UTC, datetime

from message_service import clock


def from_unix(value: object) -> datetime | None:
    """Return Unix seconds (an integer or a float) as a UTC datetime in milliseconds."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return _storable(datetime.fromtimestamp(value, UTC))
    except (OverflowError, ValueError, OSError):  # outside the calendar, or not finite
        return None


def from_iso(value: object) -> datetime | None:
    """Return an ISO 8601 moment as a UTC datetime in milliseconds; the default zone is UTC."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        if moment.utcoffset() is None:
            moment = moment.replace(tzinfo=UTC)
        return _storable(moment)
    except (OverflowError, ValueError):
        return None


def _storable(moment: datetime) -> datetime | None:
    if clock.why_not_storable(moment) is not None:
        return None
    return clock.to_milliseconds(moment.astimezone(UTC))
