"""Local time, by Python's table of time zones.

The server has a table of its own, which is as old as the server: MongoDB 6.0.5 knows nothing of
Egypt's summer time, which came back in 2023. So the server is told the offsets from UTC.
"""

from __future__ import annotations

import difflib
import functools
import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from message_service import errors
from message_service.arguments import check_text_argument

_STEP = timedelta(days=1)
_LONGEST = 100


@functools.cache
def _names() -> frozenset[str]:
    return frozenset(available_timezones())


def zone_of(name: str) -> ZoneInfo:
    """Return the time zone of an IANA name.

    Raises:
        InvalidInput: There is none; the error names similar ones.
    """
    check_text_argument("time_zone", name, most=_LONGEST)
    if name not in _names():
        similar = difflib.get_close_matches(name, _names(), 3, 0.5)
        raise errors.InvalidInput(
            "time_zone",
            f"there is no time zone {name[:60]!r}",
            f"Did you mean {', '.join(sorted(similar))}?" if similar else "Use one like Asia/Tokyo",
        )
    return ZoneInfo(name)


def offsets(
    zone: ZoneInfo, since: datetime, until: datetime
) -> Iterator[tuple[datetime, timedelta]]:
    """Yield the offsets from UTC in force in a period, each with the moment it ends."""
    moment, until = since.astimezone(UTC), until.astimezone(UTC)
    offset = _offset(zone, moment)
    while moment < until:
        later = min(moment + _STEP, until)
        if _offset(zone, later) != offset:
            later = _change(zone, moment, later)
            yield later, offset
            offset = _offset(zone, later)
        moment = later
    yield until, offset


def local_time(field: str, zone: ZoneInfo, since: datetime, until: datetime) -> Any:
    """Return an aggregation's expression for the local time of a moment of a period.

    Args:
        field: The field with the moment, as an expression.
        zone: The time zone.
        since: The first moment of the period.
        until: The first moment after it.

    Returns:
        An expression for a date that reads, as UTC, what a clock in the zone shows.
    """
    *earlier, (_, last) = offsets(zone, since, until)
    if not earlier:
        return {"$add": [field, _milliseconds(last)]} if last else field
    branches = [
        {"case": {"$lt": [field, end]}, "then": _milliseconds(offset)} for end, offset in earlier
    ]
    return {"$add": [field, {"$switch": {"branches": branches, "default": _milliseconds(last)}}]}


def _offset(zone: ZoneInfo, moment: datetime) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()


def _milliseconds(offset: timedelta) -> int:
    return offset // timedelta(milliseconds=1)


def _change(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """Return the first moment, a whole second, at which the offset is not that of `before`."""
    offset = _offset(zone, before)
    low, high = math.floor(before.timestamp()), math.ceil(after.timestamp())
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(zone, datetime.fromtimestamp(middle, UTC)) == offset:
            low = middle
        else:
            high = middle
    return datetime.fromtimestamp(high, UTC)
