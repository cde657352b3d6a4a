"""One tenant's summaries: the calls callers make."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date

from message_service.analytics.applying import Applying
from message_service.analytics.asking import (
    check_day,
    check_days,
    check_dimension,
    check_period,
    check_subject,
)
from message_service.analytics.periods import after, before, period_of, periods
from message_service.analytics.ranking import Measure, plain
from message_service.analytics.reading import Reading
from message_service.analytics.rebuilding import Rebuilding
from message_service.analytics.results import Comparison, Series, Summary, Top
from message_service.analytics.work import Work
from message_service.analytics.zones import Zones
from message_service.arguments import check_whole_number
from message_service.catalogue.queries.analytics import SUMMARIES_OF_DIMENSION
from message_service.clock import Clock
from message_service.database.scope import Scope
from message_service.database.store import Store
from message_service.reports.zones import zone_of

MOST_RANKED = 10_000


class Analytics:
    """What one tenant's messages amount to, by day, week and month.

    Everything is read from summaries, so it takes as long for a million messages as for ten. Days
    are those of the tenant's time zone.

    Args:
        store: The database.
        scope: The tenant's scope.
        clock: The present moment.
    """

    def __init__(self, store: Store, scope: Scope, clock: Clock) -> None:
        self._store = store
        self._scope = scope
        self._clock = clock
        self._reading = Reading(store, scope.tenant_id, clock)

    async def summary(
        self,
        day: date,
        period: str = "day",
        *,
        user_id: str | None = None,
        character_id: str | None = None,
        conversation_id: str | None = None,
        provider: str | None = None,
        model: str | None = None,
    ) -> Summary:
        """Return the summary of a day, or of the week or month it lies in.

        Without a subject it is the tenant's.

        Args:
            day: The day.
            period: `day`, `week` (from Monday) or `month`.
            user_id: Of this user.
            character_id: Of this character.
            conversation_id: Of this conversation.
            provider: Of this provider's model.
            model: Its model.

        Raises:
            InvalidInput: An argument is wrong.
        """
        kind = check_period(period)
        first = period_of(kind, check_day("day", day))
        subject = check_subject(
            self._scope.tenant_id,
            user_id=user_id,
            character_id=character_id,
            conversation_id=conversation_id,
            provider=provider,
            model=model,
        )
        found = await self._reading.series(subject, kind, first, after(kind, first))
        return found.summaries[0]

    async def series(
        self,
        since: date,
        until: date,
        period: str = "day",
        *,
        user_id: str | None = None,
        character_id: str | None = None,
        conversation_id: str | None = None,
        provider: str | None = None,
        model: str | None = None,
    ) -> Series:
        """Return the summaries of a range of days, one for each day, week or month.

        Weeks and months at the ends are whole: those that the first and the last day lie in. Days
        without messages are there, with zeros.

        Args:
            since: The first day.
            until: The first day after the range, ten years later at most.
            period: `day`, `week` (from Monday) or `month`.
            user_id: Of this user.
            character_id: Of this character.
            conversation_id: Of this conversation.
            provider: Of this provider's model.
            model: Its model.

        Raises:
            InvalidInput: An argument is wrong.
        """
        first, end = check_days(since, until)
        kind = check_period(period)
        subject = check_subject(
            self._scope.tenant_id,
            user_id=user_id,
            character_id=character_id,
            conversation_id=conversation_id,
            provider=provider,
            model=model,
        )
        return await self._reading.series(subject, kind, first, end)

    async def total(
        self,
        since: date,
        until: date,
        *,
        user_id: str | None = None,
        character_id: str | None = None,
        conversation_id: str | None = None,
        provider: str | None = None,
        model: str | None = None,
    ) -> Summary:
        """Return one summary of any range of days. Different users are counted exactly.

        To count them, the server looks at the summaries of conversations: that takes longer the
        more there are.

        Args:
            since: The first day.
            until: The first day after the range, ten years later at most.
            user_id: Of this user.
            character_id: Of this character.
            conversation_id: Of this conversation.
            provider: Of this provider's model.
            model: Its model.

        Raises:
            InvalidInput: An argument is wrong.
        """
        first, end = check_days(since, until)
        subject = check_subject(
            self._scope.tenant_id,
            user_id=user_id,
            character_id=character_id,
            conversation_id=conversation_id,
            provider=provider,
            model=model,
        )
        return await self._reading.total(subject, first, end)

    async def compare(
        self,
        since: date,
        until: date,
        *,
        user_id: str | None = None,
        character_id: str | None = None,
        conversation_id: str | None = None,
        provider: str | None = None,
        model: str | None = None,
    ) -> Comparison:
        """Return the summaries of a range of days and of the range before it.

        Before whole months lie as many months, before other ranges as many days.

        Args:
            since: The first day.
            until: The first day after the range, ten years later at most.
            user_id: Of this user.
            character_id: Of this character.
            conversation_id: Of this conversation.
            provider: Of this provider's model.
            model: Its model.

        Raises:
            InvalidInput: An argument is wrong.
        """
        first, end = check_days(since, until)
        subject = check_subject(
            self._scope.tenant_id,
            user_id=user_id,
            character_id=character_id,
            conversation_id=conversation_id,
            provider=provider,
            model=model,
        )
        return Comparison(
            await self._reading.total(subject, first, end),
            await self._reading.total(subject, before(first, end), first),
        )

    def each(
        self, by: str, since: date, until: date, period: str = "day"
    ) -> AsyncIterator[Summary]:
        """Yield the summaries of everybody, or everything, of one kind that had messages.

        They come by date and name, and are read as they are needed: there may be millions.

        Args:
            by: `user`, `character`, `conversation` or `model`.
            since: The first day.
            until: The first day after the range.
            period: `day`, `week` (from Monday) or `month`.

        Raises:
            InvalidInput: An argument is wrong.
            Unavailable: The database cannot be reached; raised while summaries are read.
        """
        dimension = check_dimension("by", by)
        first, end = check_days(since, until)
        return self._reading.each(dimension, check_period(period), first, end)

    async def top(
        self,
        by: str,
        since: date,
        until: date,
        *,
        order_by: str = "total_messages",
        limit: int = 10,
        period: str = "day",
    ) -> Top:
        """Return those with the most of a metric over a range of days.

        Args:
            by: `user`, `character`, `conversation` or `model`.
            since: The first day.
            until: The first day after the range.
            order_by: The metric, or a currency such as `USD` for the cost in it. Counts are added
                up over the range, averages and shares are computed over it.
            limit: How many to return, 10,000 at most.
            period: Which summaries are added up; whole weeks or months are faster than their days.

        Raises:
            InvalidInput: An argument is wrong.
        """
        dimension = check_dimension("by", by)
        first, end = check_days(since, until)
        kind = check_period(period)
        first = period_of(kind, first)
        measure = Measure(order_by, len([*periods(kind, first, end)]))
        check_whole_number("limit", limit, 1, MOST_RANKED)
        complete = await self._reading.complete_up_to()
        batches = self._scope.summarise(
            SUMMARIES_OF_DIMENSION,
            measure.stages(limit),
            dimension=dimension.value,
            aggregation_type=kind.value,
            since=first,
            until=end,
        )
        rows = [row async for batch in batches for row in batch]
        whole = plain(rows[0]["all"][0]["sum"]) if rows[0]["all"] else None
        total: int = rows[0]["all"][0]["total"] if rows[0]["all"] else 0
        return Top([measure.ranked(row, whole) for row in rows[0]["ranked"]], total, complete)

    async def time_zone(self) -> str:
        """Return the time zone whose days the summaries have."""
        return (await self._reading.zone()).key

    async def set_time_zone(self, time_zone: str) -> None:
        """Give the summaries the days of another time zone.

        All of the tenant's summaries are made again by it, while no others are written: set it
        early. Those of all tenants together add up what each tenant calls the same day.

        Args:
            time_zone: The zone's IANA name, such as `Asia/Tokyo`.

        Raises:
            InvalidInput: There is no such zone.
            Conflict: Messages that summaries were made from are erased; nobody knows which day of
                the other zone they belong to. Nothing is changed.
            Unavailable: The database cannot be reached; whoever works on summaries next finishes.
        """
        zone = zone_of(time_zone)
        if zone == await self._reading.zone():
            return
        applying = Applying(self._store, self._clock)
        work = Work(self._store, applying, self._clock)
        ranges = Rebuilding(self._store, work, applying, Zones(self._store))
        await ranges.set_zone(self._scope.tenant_id, zone)
