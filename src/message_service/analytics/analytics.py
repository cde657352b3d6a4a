"""One tenant's summaries: the calls callers make."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, datetime
from zoneinfo import ZoneInfo

from message_service.analytics.applying import Applying
from message_service.analytics.asking import (
    check_day,
    check_days,
    check_dimension,
    check_period,
    check_subject,
)
from message_service.analytics.figures import read_groups
from message_service.analytics.freshness import complete_up_to
from message_service.analytics.periods import after, moments_of, period_of, periods
from message_service.analytics.ranking import Measure, plain
from message_service.analytics.rebuilding import Rebuilding
from message_service.analytics.results import Series, Summary, Top, groups_of
from message_service.analytics.subjects import Subject, subject_of
from message_service.analytics.work import Work
from message_service.analytics.zones import Zones
from message_service.arguments import check_whole_number
from message_service.catalogue.queries.analytics import SUMMARIES_OF_DIMENSION, SUMMARY_SERIES
from message_service.clock import Clock
from message_service.database.scope import Scope
from message_service.database.store import Store
from message_service.documents.analytics import AggregationType, Dimension
from message_service.documents.row import Row
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
        self._zones = Zones(store)

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
        (found,) = await self._read(subject, kind, first, after(kind, first))
        return found

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
        complete = await complete_up_to(self._store, self._clock)
        return Series(await self._read(subject, kind, first, end), complete)

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
        return self._each(dimension, check_period(period), first, end)

    async def _each(
        self, dimension: Dimension, kind: AggregationType, since: datetime, until: datetime
    ) -> AsyncIterator[Summary]:
        zone = await self._zone()
        async for row in self._scope.stream(
            SUMMARIES_OF_DIMENSION,
            dimension=dimension.value,
            aggregation_type=kind.value,
            since=period_of(kind, since),
            until=until,
        ):
            if row["message_metrics"]["total_messages"]:
                yield _summary(subject_of(row), kind, row["date"], zone, row)

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
        complete = await complete_up_to(self._store, self._clock)
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

    async def _read(
        self, subject: Subject, kind: AggregationType, since: datetime, until: datetime
    ) -> list[Summary]:
        firsts = [*periods(kind, since, until)]
        zone = await self._zone()
        rows = await self._scope.find(
            SUMMARY_SERIES,
            conversation_id=subject.conversation_id,
            subject=subject.name,
            aggregation_type=kind.value,
            since=firsts[0],
            until=until,
        )
        stored = {row["date"]: row for row in rows}
        return [_summary(subject, kind, first, zone, stored.get(first)) for first in firsts]

    async def time_zone(self) -> str:
        """Return the time zone whose days the summaries have."""
        return (await self._zone()).key

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
        if zone == await self._zone():
            return
        applying = Applying(self._store, self._clock)
        work = Work(self._store, applying, self._clock)
        ranges = Rebuilding(self._store, work, applying, self._zones)
        await ranges.set_zone(self._scope.tenant_id, zone)

    async def _zone(self) -> ZoneInfo:
        return await self._zones.of_one(self._scope.tenant_id)


def _summary(
    subject: Subject, kind: AggregationType, first: datetime, zone: ZoneInfo, row: Row | None
) -> Summary:
    until = after(kind, first)
    begins, ends = moments_of(first, until, zone)
    values = {} if row is None else read_groups(row)
    key = dict(subject.key)
    if subject.dimension is Dimension.CONVERSATION:
        key = {"conversation_id": subject.conversation_id}
    return Summary(
        subject.dimension,
        key,
        kind,
        first.date(),
        until.date(),
        begins,
        ends,
        updated_at=row["updated_at"] if row is not None and values else None,
        **groups_of(values),
    )
