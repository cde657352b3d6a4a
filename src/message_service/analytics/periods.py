"""Days, weeks and months of summaries.

A period is named by its first day, as midnight UTC, whatever the time zone: `2026-03-29` is 23
hours long in Berlin. `moments_of` tells when it begins and ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from message_service.documents.analytics import AggregationType

DAY = timedelta(days=1)

TYPES = tuple(AggregationType)


def local_day(moment: datetime, zone: ZoneInfo) -> datetime:
    """Return the day a moment falls on in a time zone."""
    local = moment.astimezone(zone)
    return datetime(local.year, local.month, local.day, tzinfo=UTC)


def moments_of(first: datetime, until: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return the bounds of the moments that fall on days from `first` to `until` (excluded).

    Where a clock is set back over midnight, a moment or two between them fall on the day before.
    """
    return _midnight(first, zone, fold=0), _midnight(until, zone, fold=1)


def period_of(kind: AggregationType, day: datetime) -> datetime:
    """Return the first day of the period a day lies in."""
    match kind:
        case AggregationType.DAILY:
            return day
        case AggregationType.WEEKLY:
            return day - day.weekday() * DAY
        case AggregationType.MONTHLY:
            return day.replace(day=1)


def after(kind: AggregationType, first: datetime) -> datetime:
    """Return the first day after a period."""
    match kind:
        case AggregationType.DAILY:
            return first + DAY
        case AggregationType.WEEKLY:
            return first + 7 * DAY
        case AggregationType.MONTHLY:
            return (first + 32 * DAY).replace(day=1)


def periods(kind: AggregationType, since: datetime, until: datetime) -> Iterator[datetime]:
    """Yield the first days of the periods that days from `since` to `until` (excluded) lie in."""
    first = period_of(kind, since)
    while first < until:
        yield first
        first = after(kind, first)


def cut(since: datetime, until: datetime) -> list[tuple[AggregationType, datetime, datetime]]:
    """Return a range of days as days, whole months, and days again, as far as there are any."""
    first = after(AggregationType.MONTHLY, period_of(AggregationType.MONTHLY, since - DAY))
    last = period_of(AggregationType.MONTHLY, until)
    if first >= last:
        return [(AggregationType.DAILY, since, until)]
    parts = [
        (AggregationType.DAILY, since, first),
        (AggregationType.MONTHLY, first, last),
        (AggregationType.DAILY, last, until),
    ]
    return [part for part in parts if part[1] < part[2]]


def before(since: datetime, until: datetime) -> datetime:
    """Return the first day of the range before another one: as many months, or else days."""
    if since.day != 1 or until.day != 1:
        return since - (until - since)
    months = 12 * (until.year - since.year) + until.month - since.month
    years, month = divmod(12 * since.year + since.month - 1 - months, 12)
    return since.replace(year=years, month=month + 1)


def _midnight(day: datetime, zone: ZoneInfo, *, fold: int) -> datetime:
    """Return when a day begins; of two midnights the first (`fold=0`) or the second one."""
    return datetime(day.year, day.month, day.day, tzinfo=zone, fold=fold).astimezone(UTC)
