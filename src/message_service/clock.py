"""Moments: always time-zone aware, in UTC, and cut to milliseconds (the precision of BSON)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol

from message_service import errors

EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
LATEST = datetime(2999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
"""Bounds of the moments that can be stored, inclusive: a date outside them is a mistake."""


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """The source of the current time; tests inject their own."""

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
    beyond = moment.microsecond % 1000
    return moment.replace(microsecond=moment.microsecond - beyond) if beyond else moment


def epoch_milliseconds(moment: datetime) -> int:
    """Return the whole milliseconds from 1970 to a moment, the form used in cursors."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def from_epoch_milliseconds(milliseconds: int) -> datetime:
    """Return the moment that is `milliseconds` after the beginning of 1970."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


def month_of(moment: datetime) -> str:
    """Return a moment's month as yyyymm."""
    return f"{moment.year:04}{moment.month:02}"


def check_datetime(field: str, moment: datetime) -> datetime:
    """Return `moment` as UTC milliseconds.

    Args:
        field: Name used in the error.
        moment: Any aware datetime.

    Raises:
        InvalidInput: `moment` is not a datetime, is naive (a naive time would be stored as if it
            were UTC), or lies outside the years 1900 to 2999.
    """
    if not isinstance(moment, datetime):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise errors.InvalidInput(
            field, "is not a datetime", "Pass a datetime, for example datetime.now(timezone.utc)"
        )
    problem = why_not_storable(moment)
    if problem is not None:
        raise errors.InvalidInput(field, *problem)
    return to_milliseconds(moment.astimezone(UTC))


def why_not_storable(moment: datetime) -> tuple[str, str] | None:
    """Return the problem of a moment and the fix, or None when the moment can be stored."""
    if moment.tzinfo is UTC and EARLIEST <= moment <= LATEST:  # the common case, at once
        return None
    if moment.utcoffset() is None:
        return (
            "the datetime has no time zone",
            "Pass an aware datetime, for example datetime.now(timezone.utc)",
        )
    try:
        inside = EARLIEST <= moment.astimezone(UTC) <= LATEST
    except OverflowError:
        inside = False
    if inside:
        return None
    return "lies outside the years 1900 to 2999", "Correct the date, or leave it out"
