"""Ranges of days as a whole: made again from nothing, or checked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from message_service import errors
from message_service.analytics import subjects
from message_service.analytics.applying import Applying
from message_service.analytics.checking import Checked, Checking
from message_service.analytics.folding import Range, of_everybody
from message_service.analytics.periods import DAY, TYPES, after, local_day, moments_of, period_of
from message_service.analytics.work import Work
from message_service.analytics.zones import Zones
from message_service.catalogue.queries.analytics import FIRST_SUMMARY, LAST_SUMMARY
from message_service.catalogue.queries.summarised_messages import (
    FIRST_MESSAGE,
    TENANTS_WITH_MESSAGES,
)
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
        self._applying = applying
        self._zones = zones
        self._checking = Checking(store, applying)

    async def ranges(
        self, since: datetime | None = None, until: datetime | None = None
    ) -> list[Range]:
        """Return the days between two on which each tenant that has messages has summaries."""
        rows = await self._store.aggregate_everywhere(TENANTS_WITH_MESSAGES)
        zones = await self._zones.of(row["_id"] for row in rows)
        found: list[Range] = []
        for row in rows:
            first = local_day(row["first"], zones[row["_id"]])
            end = local_day(row["last"], zones[row["_id"]]) + DAY
            for date in await self._summarised(row["_id"]):
                first, end = min(first, date), max(end, date + DAY)
            first = first if since is None else max(first, since)
            end = end if until is None else min(end, until)
            if first < end:
                found.append(Range(row["_id"], first, end))
        return found

    async def _summarised(self, tenant_id: str) -> list[datetime]:
        """Return the first and the last day of a tenant that is summarised."""
        subject = subjects.tenant(tenant_id)
        found = [
            await self._store.scope(tenant_id).find_one(
                query,
                conversation_id=subject.conversation_id,
                subject=subject.name,
                aggregation_type=AggregationType.DAILY.value,
            )
            for query in (FIRST_SUMMARY, LAST_SUMMARY)
        ]
        return [row["date"] for row in found if row is not None]

    async def make(self, wanted: Range, stop: StopSignal) -> bool:
        """Make the summaries of a tenant's days from nothing.

        Args:
            wanted: The days.
            stop: Asks to stop after the month in progress.

        Returns:
            Whether all of them were made.
        """
        zone = await self._zones.of_one(wanted.tenant_id)
        async for part in self._months(wanted, zone):
            if stop.requested:
                return False
            await self._work.make(part, zone)
        return True

    async def _months(self, wanted: Range, zone: ZoneInfo) -> AsyncIterator[Range]:
        """Yield a range month by month, those with messages or summaries."""
        left = wanted
        while left.since < left.until:
            found = await self._first(left, zone)
            if found is None:
                break
            month = period_of(AggregationType.MONTHLY, max(found, left.since))
            end = min(after(AggregationType.MONTHLY, month), left.until)
            yield replace(left, since=max(month, left.since), until=end)
            left = replace(left, since=end)

    async def _first(self, wanted: Range, zone: ZoneInfo) -> datetime | None:
        """Return the first day of a range that has messages or summaries."""
        since, until = moments_of(wanted.since, wanted.until, zone)
        message = await self._store.scope(wanted.tenant_id).find_one(
            FIRST_MESSAGE, since=since, until=until
        )
        found = [
            await self._applying.first_with_messages(each, TYPES, each.first)
            for each in (wanted, of_everybody(wanted))
        ]
        if message is not None:
            found.append(local_day(message["timestamps"]["created_at"], zone))
        return min((day for day in found if day is not None), default=None)

    async def check(self, wanted: Range, into: Checked, stop: StopSignal, *, repair: bool) -> None:
        """Compare the summaries of a tenant's days with the messages.

        Args:
            wanted: The days.
            into: What was found is added to it.
            stop: Asks to stop after the month in progress.
            repair: Whether to make the summaries of a month again in which some are wrong.
        """
        zone = await self._zones.of_one(wanted.tenant_id)
        checked_to: datetime | None = None
        async for part in self._months(wanted, zone):
            if stop.requested:
                into.finished = False
                return
            found = Checked()
            async with self._work.held() as go_on:
                first = part.since != checked_to  # else its first week is checked already
                checked_to = part.until
                await self._checking.check(part, zone, found, go_on, first=first)
            if repair and not found.is_right:
                await self._work.make(part, zone)
                into.repaired = True
            into.add(found)

    async def set_zone(self, tenant_id: str, zone: ZoneInfo) -> None:
        """Give a tenant's summaries the days of another time zone.

        Raises:
            Conflict: Messages that summaries were made from are erased.
        """
        found = [each for each in await self.ranges() if each.tenant_id == tenant_id]
        if not found:
            found = [Range(tenant_id, _NO_DAYS, _NO_DAYS + DAY)]
        (wanted,) = found
        seen = Checked()
        await self.check(wanted, seen, StopSignal(), repair=False)
        if seen.erased:
            raise errors.Conflict(
                f"summaries were made from {seen.erased:,} messages that are erased since; "
                "nobody knows which day of another time zone these belong to"
            )
        # By another zone, the first and the last message fall on a day beside.
        around = Range(tenant_id, wanted.since - 2 * DAY, wanted.until + 2 * DAY)
        await self._work.cut_anew(around, zone)


_NO_DAYS = datetime(2000, 1, 1, tzinfo=UTC)
"""What is made again for a tenant without messages."""
