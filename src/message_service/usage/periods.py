"""Days, weeks and months of UTC."""

from __future__ import annotations

from datetime import datetime, timedelta

from message_service import errors
from message_service.clock import check_datetime
from message_service.documents.usage_counter import Period
from message_service.usage.counters import day_of


def check_period(since: datetime, until: datetime) -> tuple[datetime, datetime]:
    """Return the bounds of a period given by a caller, as UTC.

    Raises:
        InvalidInput: They are no moments, or reversed.
    """
    since, until = check_datetime("since", since), check_datetime("until", until)
    if until <= since:
        raise errors.InvalidInput("until", "is not after the beginning", "Swap the two dates")
    return since, until


def bounds(period: Period, moment: datetime) -> tuple[datetime, datetime]:
    """Return the first moment of the period a moment lies in, and the first one after it."""
    day = day_of(moment)
    match period:
        case Period.DAY:
            return day, day + timedelta(days=1)
        case Period.WEEK:
            monday = day - timedelta(days=day.weekday())
            return monday, monday + timedelta(days=7)
        case Period.MONTH:
            first = day.replace(day=1)
            return first, (first + timedelta(days=32)).replace(day=1)
