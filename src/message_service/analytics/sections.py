"""A section: a range of days of a tenant whose summaries are made from nothing.

First the grains of its days are made from the messages, then, from these, the summaries of its days
and of the weeks and months they lie in, and last those of all tenants. What was cut short is made
again from its beginning, by work of a higher number: messages may have changed meanwhile.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from datetime import datetime
from zoneinfo import ZoneInfo

from message_service.analytics.applying import Applying
from message_service.analytics.changes import grain_place
from message_service.analytics.figures import add, read_groups, read_part
from message_service.analytics.folding import Fold, Range, months_of, of_everybody
from message_service.analytics.grains import GrainKey, Parts, group_stage, take_in
from message_service.analytics.metrics import DISTINCT, Values
from message_service.analytics.pages import PageWriter, read_ahead
from message_service.analytics.periods import DAY, TYPES, moments_of, period_of
from message_service.analytics.subjects import GLOBAL, PartKey
from message_service.analytics.summaries import Place, Summary, is_erased
from message_service.catalogue.queries.analytics import PARTS_OF_DAYS, SUMMARIES_OF_TENANTS
from message_service.catalogue.queries.summarised_messages import SUMMARISED_PERIOD
from message_service.database.store import Store
from message_service.documents.analytics import AggregationType, Dimension
from message_service.documents.row import Row

_PART_MESSAGES = "$parts.figures.total_messages"

_HELD = 20_000
"""Grains whose summaries are held in memory at once."""


_PHASES = (
    {Dimension.CONVERSATION},
    {Dimension.USER},
    {Dimension.CHARACTER, Dimension.MODEL, Dimension.TENANT},
)
"""What is made in which order: conversations are counted for users, and both for the others."""


async def grains_of(
    store: Store, wanted: Range, zone: ZoneInfo
) -> AsyncGenerator[tuple[GrainKey, Parts]]:
    """Yield the grains of a range's days, from the messages as they are now.

    Close it (`aclosing`): it reads ahead.
    """
    held: dict[GrainKey, Parts] = {}
    async with aclosing(read_ahead(_added_up(store, wanted, zone))) as batches:
        async for batch in batches:
            for row in batch:
                take_in(held, row)
                if len(held) > 1:
                    last = next(iter(held))
                    yield last, held.pop(last)
    for key, parts in held.items():
        yield key, parts


async def _added_up(store: Store, wanted: Range, zone: ZoneInfo) -> AsyncGenerator[list[Row]]:
    """Yield what the server makes of a range's messages, a week at a time, in batches.

    While it adds up the next week, the grains of the last are written.
    """
    order = {"$sort": {"_id.conversation": 1, "_id.day": 1}}
    for part in wanted.stretches(7 * DAY):
        since, until = moments_of(part.since, part.until, zone)
        batches = store.scope(wanted.tenant_id).summarise(
            SUMMARISED_PERIOD, [group_stage(zone, since, until), order], since=since, until=until
        )
        async for batch in batches:
            # Where a clock is set back over midnight, some are of the day before.
            yield [row for row in batch if part.since <= row["_id"]["day"] < part.until]


async def stored_grains(store: Store, wanted: Range) -> AsyncIterator[tuple[GrainKey, Parts]]:
    """Yield the stored grains of all days that the summaries of a range are made of."""
    batches = store.scope(wanted.tenant_id).summarise(
        PARTS_OF_DAYS,
        [{"$project": PARTS_OF_DAYS.projection}],
        dimension=Dimension.CONVERSATION.value,
        aggregation_type=AggregationType.DAILY.value,
        since=wanted.first,
        until=wanted.end,
    )
    async for batch in batches:
        for row in batch:
            parts: list[Row] = row.get("parts", [])
            yield (
                GrainKey(wanted.tenant_id, row["conversation_id"], row["date"]),
                {PartKey.of(part): read_part(part["figures"]) for part in parts},
            )


async def count_grains(store: Store, wanted: Range) -> int:
    """Return how many grains the summaries of a range are made of."""
    batches = store.scope(wanted.tenant_id).summarise(
        PARTS_OF_DAYS,
        [{"$count": "grains"}],
        dimension=Dimension.CONVERSATION.value,
        aggregation_type=AggregationType.DAILY.value,
        since=wanted.first,
        until=wanted.end,
    )
    return sum([row["grains"] async for batch in batches for row in batch])


async def count_messages(store: Store, wanted: Range) -> int:
    """Return how many messages the grains of a range were made from."""
    batches = store.scope(wanted.tenant_id).summarise(
        PARTS_OF_DAYS,
        [
            {
                "$group": {
                    "_id": None,
                    "messages": {"$sum": {"$sum": "$parts.figures.total_messages"}},
                }
            }
        ],
        dimension=Dimension.CONVERSATION.value,
        aggregation_type=AggregationType.DAILY.value,
        since=wanted.since,
        until=wanted.until,
    )
    return sum([row["messages"] async for batch in batches for row in batch])


async def folded(store: Store, wanted: Range) -> AsyncIterator[Summary]:
    """Yield the summaries of a range but the grains, as they follow from the stored grains.

    However many they are, those of some ten thousand grains are in memory at once.
    """
    rounds = math.ceil(await count_grains(store, wanted) / _HELD)
    different: dict[tuple[Place, str], int] = defaultdict(int)
    for phases in (_PHASES,) if rounds == 1 else ((phase,) for phase in _PHASES):
        for part in range(rounds):
            folds = [Fold(wanted, part, rounds, dimensions) for dimensions in phases]
            async for key, parts in stored_grains(store, wanted):
                for fold in folds:
                    fold.take(key, parts)
            for fold in folds:
                for of, count in fold.different().items():
                    different[of] += count
                for summary in fold.summaries():
                    for name in DISTINCT:
                        add(summary.values, {name: different.get((summary.place, name), 0)})
                    yield summary


async def of_all_tenants(store: Store, wanted: Range) -> AsyncIterator[Summary]:
    """Yield the summaries of all tenants over the periods that a range has days of."""
    for kind in TYPES:
        since = period_of(kind, wanted.since)
        made: dict[datetime, Values] = defaultdict(Values)
        async for row in store.stream_everywhere(
            SUMMARIES_OF_TENANTS, kind=kind.value, since=since, until=wanted.until
        ):
            add(made[row["date"]], read_groups(row))
        for first, values in made.items():
            if values:
                yield Summary(Place(GLOBAL, kind, first), values)


class Sections:
    """Makes sections.

    Args:
        store: The database.
        applying: Writes summaries.
    """

    def __init__(self, store: Store, applying: Applying) -> None:
        self._store = store
        self._applying = applying

    async def make(self, wanted: Range, number: int, zone: ZoneInfo) -> int:
        """Make the summaries of a range.

        Args:
            wanted: The range.
            number: The number of the work.
            zone: The tenant's time zone.

        Returns:
            How many grains were written.
        """
        zones = {wanted.tenant_id: zone}
        new = not await self._applying.first_with_messages(
            wanted, (AggregationType.DAILY,), wanted.since
        )
        count = await self._write_grains(wanted, number, zones, new=new)
        await self._write(folded(self._store, wanted), number, zones, new=new)
        await self._applying.clear_left_behind(wanted, number, zones)
        await self._write(of_all_tenants(self._store, wanted), number, zones)
        await self._applying.clear_left_behind(of_everybody(wanted), number, zones)
        return count

    async def cut_anew(self, wanted: Range, number: int, zone: ZoneInfo) -> int:
        """Make all summaries of a tenant by the days of another time zone.

        Args:
            wanted: All days, by either zone, on which it has messages.
            number: The number of the work.
            zone: The time zone.

        Returns:
            How many grains were written.
        """
        zones = {wanted.tenant_id: zone}
        count = 0
        for month in months_of(wanted):
            # Fewer messages than by the other zone are not erased: they are on the days beside.
            count += await self._write_grains(month, number, zones, keep=False)
        await self._applying.clear_grains(wanted, number, zones)
        # A week in two months is written with the first; all its days are made by then.
        for month in months_of(wanted):
            await self._write(folded(self._store, month), number, zones)
        await self._applying.clear_left_behind(wanted, number, zones)
        await self._write(of_all_tenants(self._store, wanted), number, zones)
        await self._applying.clear_left_behind(of_everybody(wanted), number, zones)
        return count

    async def _write_grains(
        self,
        wanted: Range,
        number: int,
        zones: Mapping[str, ZoneInfo],
        *,
        keep: bool = True,
        new: bool = False,
    ) -> int:
        """Write the grains of a range; return how many.

        Args:
            wanted: The range.
            number: The number of the work.
            zones: The time zones of tenants.
            keep: Whether to keep those made from more messages than are left of them.
            new: Whether none are there, most likely.
        """

        async def write(page: list[Summary]) -> None:
            if new:
                page = await self._applying.insert(page, number, zones)
            made = {summary.place: summary for summary in page}
            for place, before in (await self._applying.read(made)).items():
                if keep and is_erased(before.parts, made[place].parts):
                    made[place] = Summary.of_grain(place, before.parts)
                made[place].created_at = before.created_at
            await self._applying.write([*made.values()], number, zones)

        grains = grains_of(self._store, wanted, zones[wanted.tenant_id])
        async with PageWriter(write) as writer, aclosing(grains):
            async for key, parts in grains:
                await writer.put(Summary.of_grain(grain_place(key), parts))
        return writer.count

    async def _write(
        self,
        summaries: AsyncIterator[Summary],
        number: int,
        zones: Mapping[str, ZoneInfo],
        *,
        new: bool = False,
    ) -> None:
        async def write(page: list[Summary]) -> None:
            if new:
                page = await self._applying.insert(page, number, zones)
            await self._applying.keep_dates(page)
            await self._applying.write(page, number, zones)

        async with PageWriter(write) as writer:
            async for summary in summaries:
                await writer.put(summary)
