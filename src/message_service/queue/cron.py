"""Cron expressions in a time zone, read by the library cronsim.

Five fields, or six with seconds first. At the changes of summer time they behave as Debian's cron
does: a time that is skipped runs right after, one that comes twice runs once.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim

from message_service import errors
from message_service.arguments import check_text_argument
from message_service.clock import LATEST, to_milliseconds

_LONGEST = 200
_FIX = 'Use minute, hour, day, month and weekday, for example "0 3 * * MON"'


def next_time(cron: str, zone: ZoneInfo, after: datetime) -> datetime | None:
    """Return the first time of an expression after a moment; None when there is none.

    Args:
        cron: A checked expression.
        zone: The zone it is meant in.
        after: Any moment.
    """
    found = next(CronSim(cron, after.astimezone(zone)), None)
    if found is None or found.astimezone(UTC) > LATEST:
        return None
    return to_milliseconds(found.astimezone(UTC))


def last_time(cron: str, zone: ZoneInfo, until: datetime) -> datetime | None:
    """Return the last time of an expression up to a moment; None when there is none."""
    following_second = until.astimezone(zone).replace(microsecond=0) + timedelta(seconds=1)
    found = next(CronSim(cron, following_second, reverse=True), None)
    return None if found is None else to_milliseconds(found.astimezone(UTC))


def check_cron(cron: object, zone: ZoneInfo, now: datetime) -> datetime:
    """Return the next time of an expression.

    Raises:
        InvalidInput: It is no cron expression, or one that never comes true.
    """
    text = check_text_argument("cron", cron, most=_LONGEST, what="cron expression")
    try:
        found = next_time(text, zone, now)
    except Exception as error:  # cronsim's own, and whatever its parser stumbles over
        raise errors.InvalidInput(
            "cron", f"{text[:60]!r} is not a cron expression that can come true ({error})", _FIX
        ) from None
    if found is None:
        raise errors.InvalidInput("cron", f"{text[:60]!r} never comes true", _FIX)
    return found
