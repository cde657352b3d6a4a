"""The summaries of all tenants, for operators: kept up to date, checked, and read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, datetime

from message_service import errors
from message_service.analytics.asking import check_day, check_days, check_period
from message_service.analytics.checking import Checked
from message_service.analytics.reading import Reading
from message_service.analytics.results import Series, Summary
from message_service.analytics.rollup import Rollup
from message_service.analytics.subjects import GLOBAL
from message_service.arguments import check_flag, check_instance
from message_service.clock import Clock
from message_service.database.store import Store
from message_service.documents.analytics import EVERY
from message_service.loops.backlog import Backlog
from message_service.stopping import StopSignal


class Rollups(Backlog[Rollup]):
    """The summaries in `message_analytics`.

    Args:
        store: The database.
        clock: The present moment.
        holder: Name of this process, unique.
        poll: Seconds between looks at the work list when nothing wakes the loop.
    """

    def __init__(self, store: Store, clock: Clock, holder: str, poll: float) -> None:
        super().__init__(Rollup(store, clock, poll=poll), store, clock, holder, poll)
        self._reading = Reading(store, EVERY, clock)

    async def series(self, since: date, until: date, period: str = "day") -> Series:
        """Return the summaries of all tenants together, one for each day, week or month.

        A day is what each tenant calls so, in its time zone. Users and conversations are those of
        each tenant, added up.

        Args:
            since: The first day.
            until: The first day after the range, ten years later at most.
            period: `day`, `week` (from Monday) or `month`.

        Raises:
            InvalidInput: An argument is wrong.
        """
        first, end = check_days(since, until)
        return await self._reading.series(GLOBAL, check_period(period), first, end)

    def each_tenant(self, since: date, until: date, period: str = "day") -> AsyncIterator[Summary]:
        """Yield the summaries of each tenant that had messages, by date.

        Args:
            since: The first day.
            until: The first day after the range, ten years later at most.
            period: `day`, `week` (from Monday) or `month`.

        Raises:
            InvalidInput: An argument is wrong.
            Unavailable: The database cannot be reached; raised while summaries are read.
        """
        first, end = check_days(since, until)
        return self._reading.tenants(check_period(period), first, end)

    async def rebuild(
        self, since: date | None = None, until: date | None = None, stop: StopSignal | None = None
    ) -> bool:
        """Make the summaries of a range of days from nothing, for all tenants.

        Nothing is to be seen of it but what was wrong. The weeks and months that the days lie in
        are made again too. Summaries made from messages that were erased since are kept.

        Args:
            since: The first day; None for the first one with messages.
            until: The first day after the range; None for all days after.
            stop: Asks to stop after the month in progress.

        Returns:
            Whether all of them were made.

        Raises:
            InvalidInput: An argument is wrong.
            Unavailable: The database cannot be reached; finished work is kept.
        """
        asked = StopSignal() if stop is None else check_instance("stop", stop, StopSignal)
        progress = self._loop.work.progress
        await self._loop.work.settle()  # finds out whether other rules were in force
        before = await progress.read()
        for wanted in await self._loop.ranges.ranges(*_range(since, until)):
            if not await self._loop.ranges.make(wanted, asked):
                return False
        if since is None and until is None:
            await progress.finish(before)
        return True

    async def check(
        self,
        since: date | None = None,
        until: date | None = None,
        stop: StopSignal | None = None,
        *,
        repair: bool = False,
    ) -> Checked:
        """Compare the summaries of a range of days with the messages, for all tenants.

        Nobody writes summaries of a month while it is checked.

        Args:
            since: The first day; None for the first one with messages.
            until: The first day after the range; None for all days after.
            stop: Asks to stop after the month in progress.
            repair: Whether to make the summaries of months again in which some are wrong.

        Raises:
            InvalidInput: An argument is wrong.
            Conflict: This process stood still for a minute, so that others went on.
            Unavailable: The database cannot be reached.
        """
        asked = StopSignal() if stop is None else check_instance("stop", stop, StopSignal)
        check_flag("repair", repair)
        found = Checked()
        for wanted in await self._loop.ranges.ranges(*_range(since, until)):
            await self._loop.ranges.check(wanted, found, asked, repair=repair)
        return found


def _range(since: date | None, until: date | None) -> tuple[datetime | None, datetime | None]:
    first = None if since is None else check_day("since", since)
    end = None if until is None else check_day("until", until)
    if first is not None and end is not None and end <= first:
        raise errors.InvalidInput("until", "is not after the first day", "Swap the two dates")
    return first, end
