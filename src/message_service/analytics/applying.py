"""Carries out a piece of work: grains have changed, and with them every summary they are part of.

A summary notes the number of the work that wrote it last, and is written only while that is lower.
So the work may be carried out again after a kill, or by two processes at once, and each summary
takes it in once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from message_service import errors
from message_service.analytics.changes import (
    Delta,
    GrainChange,
    deltas,
    different_counted,
    distinct_of,
    grain_place,
)
from message_service.analytics.extremes import find_extremes
from message_service.analytics.figures import add
from message_service.analytics.folding import Range
from message_service.analytics.metrics import DISTINCT
from message_service.analytics.pages import PAGE
from message_service.analytics.periods import TYPES
from message_service.analytics.subjects import GLOBAL, subject_of
from message_service.analytics.summaries import (
    Members,
    Place,
    Summary,
    add_members,
    count_different,
    members_of,
)
from message_service.catalogue.queries.summary_upkeep import (
    FIRST_WITH_MESSAGES,
    SUMMARIES,
    SUMMARIES_BEFORE,
    SUMMARIES_CREATED,
    SUMMARY_OLDER,
    SummaryKey,
)
from message_service.clock import Clock
from message_service.database.query import Query
from message_service.database.store import Store
from message_service.documents.analytics import EVERY, AggregationType, Dimension
from message_service.documents.row import Row


class Applying:
    """Writes summaries.

    Args:
        store: The database.
        clock: The present moment.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def read(self, places: Iterable[Place]) -> dict[Place, Summary]:
        """Return the summaries that are stored."""
        rows = await self.rows(places)
        return {place: Summary.of_row(place, row) for place, row in rows.items()}

    async def rows(self, places: Iterable[Place], query: Query = SUMMARIES) -> dict[Place, Row]:
        """Return the documents of summaries that are stored."""
        by_key: dict[SummaryKey, Place] = {place.key: place for place in places}
        keys = [*by_key]
        found: dict[Place, Row] = {}
        for start in range(0, len(keys), PAGE):
            rows = await self._store.find_everywhere(query, keys=keys[start : start + PAGE])
            for row in rows:
                key = SummaryKey(
                    row["tenant_id"],
                    row["conversation_id"],
                    row["subject"],
                    row["aggregation_type"],
                    row["date"],
                )
                found[by_key[key]] = row
        return found

    async def with_messages(self, wanted: Range, applied: int = 2**63 - 1) -> AsyncIterator[Place]:
        """Yield the summaries of a range, but the grains, that have messages.

        Args:
            wanted: The range.
            applied: Only those written before the work of this number.
        """
        rows = self._store.scope(wanted.tenant_id).stream(
            SUMMARIES_BEFORE,
            dimensions=[each.value for each in Dimension],
            kinds=[kind.value for kind in TYPES],
            since=wanted.first,
            until=wanted.until,
            applied=applied,
        )
        async for row in rows:
            place = Place(subject_of(row), AggregationType(row["aggregation_type"]), row["date"])
            if wanted.has(place.kind, place.date) and not place.is_grain:
                yield place

    async def first_with_messages(
        self, wanted: Range, kinds: Sequence[AggregationType], since: datetime
    ) -> datetime | None:
        """Return the first day of the first summary, of some lengths, from a day on in a range."""
        found = await self._store.scope(wanted.tenant_id).find_one(
            FIRST_WITH_MESSAGES,
            dimensions=[each.value for each in Dimension],
            kinds=[kind.value for kind in kinds],
            since=since,
            until=wanted.until,
        )
        return None if found is None else found["date"]

    async def keep_dates(self, summaries: Iterable[Summary]) -> None:
        """Give summaries that are stored already the moment they were stored first."""
        made = {summary.place: summary for summary in summaries}
        for place, row in (await self.rows(made, SUMMARIES_CREATED)).items():
            made[place].created_at = row["created_at"]

    async def write(
        self, summaries: Sequence[Summary], number: int, zones: Mapping[str, ZoneInfo]
    ) -> None:
        """Store summaries that have not been written by this or later work.

        An insert costs the server half as much as a replacement, so those without a moment at
        which they were stored first are inserted.
        """
        for start in range(0, len(summaries), PAGE):
            page = summaries[start : start + PAGE]
            known = [each for each in page if each.created_at is not None]
            fresh = [each for each in page if each.created_at is None]
            known += await self.insert(fresh, number, zones)
            if known:
                rows = self._stored(known, number, zones)
                await self._store.replace_each(
                    SUMMARY_OLDER, [({**_guard(row), "applied": number}, row) for row in rows]
                )

    async def insert(
        self, summaries: Sequence[Summary], number: int, zones: Mapping[str, ZoneInfo]
    ) -> list[Summary]:
        """Store a page of summaries that are most likely not there; return those that are."""
        if not summaries:
            return []
        refused = await self._store.insert(
            SUMMARY_OLDER.collection,
            self._stored(summaries, number, zones),
            ordered=False,
            comment="message_analytics.first",
        )
        for refusal in refused:
            if not isinstance(refusal.error, errors.AlreadyExists):
                raise refusal.error
        return [summaries[refusal.position] for refusal in refused]

    def _stored(
        self, summaries: Iterable[Summary], number: int, zones: Mapping[str, ZoneInfo]
    ) -> list[Row]:
        now = self._clock.now()
        return [each.stored(number, now, _zone_of(each.place, zones)) for each in summaries]

    async def clear_left_behind(
        self, wanted: Range, number: int, zones: Mapping[str, ZoneInfo]
    ) -> None:
        """Empty the summaries of a range that the work of this number has not written.

        Nothing belongs to them any longer. A grain without messages was erased; it is kept.
        """
        left = [Summary(place) async for place in self.with_messages(wanted, number)]
        await self.keep_dates(left)
        await self.write(left, number, zones)

    async def clear_grains(self, wanted: Range, number: int, zones: Mapping[str, ZoneInfo]) -> None:
        """Empty the grains of a range that the work of this number has not written."""
        rows = self._store.scope(wanted.tenant_id).stream(
            SUMMARIES_BEFORE,
            dimensions=[Dimension.CONVERSATION.value],
            kinds=[AggregationType.DAILY.value],
            since=wanted.since,
            until=wanted.until,
            applied=number,
        )
        left = [
            Summary(Place(subject_of(row), AggregationType.DAILY, row["date"]))
            async for row in rows
        ]
        await self.keep_dates(left)
        await self.write(left, number, zones)

    async def apply(
        self, changes: Sequence[GrainChange], number: int, zones: Mapping[str, ZoneInfo]
    ) -> None:
        """Bring changes of grains into every summary."""
        places = [grain_place(change.key) for change in changes]
        stored = await self.read(places)
        grains: list[Summary] = []
        for place, change in zip(places, changes, strict=True):
            grain = Summary.of_grain(place, change.after)
            if place in stored:
                grain.created_at = stored[place].created_at
            grains.append(grain)
        await self.write(grains, number, zones)
        due = deltas(changes)
        # Weeks and months may have to look at their days for what was taken away.
        for kinds in ((AggregationType.DAILY,), (AggregationType.WEEKLY, AggregationType.MONTHLY)):
            part = {place: delta for place, delta in due.items() if place.kind in kinds}
            counted = _grains_counted(changes) if AggregationType.DAILY in kinds else {}
            await self._apply_kind(part, counted, number, zones)

    async def _apply_kind(
        self,
        due: Mapping[Place, Delta],
        counted: Mapping[tuple[Place, str], int],
        number: int,
        zones: Mapping[str, ZoneInfo],
    ) -> None:
        """Apply what changes in summaries of some lengths.

        Args:
            due: What changes, by summary.
            counted: Changes of the number of different conversations that are known already.
            number: The number of the work.
            zones: The time zones of tenants.
        """
        stored = await self.read(due)
        after: dict[Place, Members] = {}
        different: dict[tuple[Place, str], int] = dict(counted)
        for place, delta in due.items():
            if not place.has_members:
                continue
            summary = stored.get(place)
            now = {} if summary is None else dict(summary.members)
            then = dict(now)
            if summary is not None and summary.applied >= number:
                add_members(then, delta.members, -1)
            else:
                add_members(now, delta.members)
            after[place] = now
            name = distinct_of(place)
            for subject, change in different_counted(place, then, now).items():
                if subject.dimension is place.subject.dimension:
                    continue
                of = (place._replace(subject=subject), name)
                different[of] = different.get(of, 0) + change
        changed: list[tuple[Summary, set[str]]] = []
        for place, delta in due.items():
            summary = stored.get(place) or Summary(place)
            if summary.applied >= number:
                continue
            lost = delta.apply(summary.values)
            if place in after:
                summary.members = after[place]
            for name in DISTINCT:
                add(summary.values, {name: different.get((place, name), 0)})
            if place.has_members:
                count_different(summary)
            changed.append((summary, lost))
        # Those of all tenants look for what was taken away in those of each.
        for every in (False, True):
            part = [each for each in changed if (each[0].place.subject == GLOBAL) is every]
            for summary, lost in part:
                if lost:
                    await find_extremes(self._store, summary, lost)
            await self.write([summary for summary, _ in part], number, zones)


def _grains_counted(changes: Iterable[GrainChange]) -> dict[tuple[Place, str], int]:
    """Return by how much the number of different conversations changes in the days' summaries."""
    found: dict[tuple[Place, str], int] = {}
    for change in changes:
        place = grain_place(change.key)
        moved = different_counted(place, members_of(change.before), members_of(change.after))
        for subject, sign in moved.items():
            of = (place._replace(subject=subject), distinct_of(place))
            found[of] = found.get(of, 0) + sign
    return found


def _guard(row: Row) -> Row:
    names = ("conversation_id", "subject", "aggregation_type", "date")
    return {name: row[name] for name in names}


def _zone_of(place: Place, zones: Mapping[str, ZoneInfo]) -> str:
    tenant_id = place.subject.tenant_id
    return "UTC" if tenant_id == EVERY else zones[tenant_id].key
