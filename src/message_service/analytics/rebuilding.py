"""Ranges of days as a whole: made again from nothing, or checked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from message_service.analytics.applying import Applying
from message_service.analytics.checking import Checked, Checking
from message_service.analytics.folding import Range
from message_service.analytics.periods import DAY, after, local_day, periods
from message_service.analytics.work import Work
from message_service.analytics.zones import Zones
from message_service.catalogue.queries.analytics import TENANTS_WITH_MESSAGES
from message_service.database.store import Store
from message_service.documents.analytics import AggregationType
from message_service.stopping import StopSignal


class Rebuilding:
    """Works on ranges of days of all tenants, a month of a tenant at a time.

    Args:
        store: The database.
        work: Puts work in hand.
        applying: Reads summaries.
        zones: The time zones of tenants.
    """

    def __init__(self, store: Store, work: Work, applying: Applying, zones: Zones) -> None:
        self._store = store
        self._work = work
        self._zones = zones
        self._checking = Checking(store, applying)

    async def ranges(
        self, since: datetime | None = None, until: datetime | None = None
    ) -> list[Range]:
        """Return the days between two on which each tenant has messages."""
        rows = await self._store.aggregate_everywhere(TENANTS_WITH_MESSAGES)
        zones = await self._zones.of(row["_id"] for row in rows)
        found: list[Range] = []
        for row in rows:
            first = local_day(row["first"], zones[row["_id"]])
            end = local_day(row["last"], zones[row["_id"]]) + DAY
            first = first if since is None else max(first, since)
            end = end if until is None else min(end, until)
            if first < end:
                found.append(Range(row["_id"], first, end))
        return found

    async def make(self, wanted: Range, stop: StopSignal) -> bool:
        """Make the summaries of a tenant's days from nothing.

        Args:
            wanted: The days.
            stop: Asks to stop after the month in progress.

        Returns:
            Whether all of them were made.
        """
        zone = (await self._zones.of([wanted.tenant_id]))[wanted.tenant_id]
        for part in _months(wanted):
            if stop.requested:
                return False
            await self._work.make(part, zone)
        return True

    async def check(self, wanted: Range, into: Checked, stop: StopSignal, *, repair: bool) -> None:
        """Compare the summaries of a tenant's days with the messages.

        Args:
            wanted: The days.
            into: What was found is added to it.
            stop: Asks to stop after the month in progress.
            repair: Whether to make the summaries of a month again in which some are wrong.
        """
        zone = (await self._zones.of([wanted.tenant_id]))[wanted.tenant_id]
        for part in _months(wanted):
            if stop.requested:
                into.finished = False
                return
            found = Checked()
            async with self._work.held() as go_on:
                first = part.since == wanted.since
                await self._checking.check(part, zone, found, go_on, first=first)
            if repair and not found.is_right:
                await self._work.make(part, zone)
                into.repaired = True
            into.add(found)


def _months(wanted: Range) -> Iterator[Range]:
    for month in periods(AggregationType.MONTHLY, wanted.since, wanted.until):
        end = after(AggregationType.MONTHLY, month)
        yield Range(wanted.tenant_id, max(wanted.since, month), min(wanted.until, end))
