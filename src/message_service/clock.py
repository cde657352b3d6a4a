"""Time, always aware, UTC and cut to milliseconds (what BSON can hold)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

from message_service import errors


class Clock(Protocol):
    """Where the service reads the time; tests inject their own."""

    def now(self) -> datetime:
        """Return the present moment, aware, UTC, whole milliseconds."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the present moment, aware, UTC, whole milliseconds."""
        return to_milliseconds(datetime.now(UTC))


def to_milliseconds(moment: datetime) -> datetime:
    """Cut a datetime to the millisecond, as BSON stores it."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def check_datetime(field: str, moment: datetime) -> datetime:
    """Return `moment` as UTC milliseconds.

    Args:
        field: Name used in the error.
        moment: Any aware datetime.

    Raises:
        InvalidInput: `moment` is naive; a naive time would be stored as if it were UTC.
    """
    if moment.utcoffset() is None:
        raise errors.InvalidInput(
            field,
            "the datetime has no time zone",
            "Pass an aware datetime, for example datetime.now(timezone.utc)",
        )
    return to_milliseconds(moment.astimezone(UTC))
