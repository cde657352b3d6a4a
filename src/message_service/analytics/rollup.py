"""The loop that keeps summaries up to date with the messages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from message_service.analytics.applying import Applying
from message_service.analytics.changes import GrainChange, grain_place
from message_service.analytics.folding import Range
from message_service.analytics.grains import GrainKey, read_grains
from message_service.analytics.periods import DAY, after, local_day, periods
from message_service.analytics.sections import Sections
from message_service.analytics.summaries import is_erased
from message_service.analytics.zones import Zones
from message_service.catalogue.followers.analytics import ANALYTICS
from message_service.catalogue.queries.analytics import SUMMARISED_UNCHANGED, TENANTS_WITH_MESSAGES
from message_service.clock import Clock
from message_service.database.records import Record
from message_service.database.store import Store
from message_service.database.wake import WakeUp
from message_service.database.work_slot import WorkSlot
from message_service.documents.analytics import AggregationType
from message_service.documents.row import Row
from message_service.loops.loop import Loop
from message_service.messages.following import MESSAGES_CHANGED
from message_service.stopping import StopSignal

_BATCH = 1_000
"""Messages whose days are summarised in one step."""


class Rollup(Loop):
    """Summarises again the days whose messages have changed, of all tenants.

    Args:
        store: The database.
        clock: The present moment.
        poll: Seconds between looks at the work list when nothing wakes it.
        applying: Writes the summaries.
    """

    name = "analytics_rollup"

    def __init__(
        self, store: Store, clock: Clock, *, poll: float, applying: Applying | None = None
    ) -> None:
        self._store = store
        self._slot = WorkSlot(store.database, self.name + "_work")
        self._record = Record(store.database, self.name + "_begun")
        self._caught_up = False
        self._applying = Applying(store, clock) if applying is None else applying
        self._sections = Sections(store, self._applying)
        self._zones = Zones(store)
        self.wake = WakeUp(store.database, "messages", MESSAGES_CHANGED, poll)
        self._messages = 0
        self._days = 0

    def figures(self) -> Mapping[str, int]:
        """Return how many messages were taken in, and how many days of conversations changed."""
        return {"messages": self._messages, "days": self._days}

    async def step(self) -> bool:
        """Summarise the days of a batch; False when nothing was due."""
        slot = await self._slot.read()
        if slot.work is not None:
            await self._carry_out(slot.work, slot.number)
            return True
        due = await self._store.find_everywhere(ANALYTICS.work, limit=_BATCH, committed=True)
        if not due:
            return await self._catch_up()
        zones = await self._zones.of(message["tenant_id"] for message in due)
        changes = await self._changes(_days_of(due, zones), zones)
        if changes:
            work: Row = {
                "changes": [change.stored() for change in changes],
                "zones": {tenant_id: zone.key for tenant_id, zone in zones.items()},
            }
            if not await self._slot.put(slot.number + 1, work):
                return True  # somebody else was faster; look again
            await self._apply(changes, slot.number + 1, zones)
        await self._take_off(due)
        self._messages += len(due)
        return True

    async def drain(self, most: int | None = None, stop: StopSignal | None = None) -> int:
        """Summarise until nothing is due, without the lease; return how many messages were.

        Args:
            most: Stop after about this many; None goes on to the end.
            stop: Asks to stop after the step in progress.
        """
        begun = self._messages
        while not (stop is not None and stop.requested) and await self.step():
            if most is not None and self._messages - begun >= most:
                break
        return self._messages - begun

    async def _changes(
        self, keys: Iterable[GrainKey], zones: Mapping[str, ZoneInfo]
    ) -> list[GrainChange]:
        """Return the grains that are no longer what is stored.

        A grain made from more messages than are left of it is kept: the others were erased.
        """
        now = await read_grains(self._store, keys, zones)
        places = {grain_place(key): key for key in now}
        stored = await self._applying.read(places)
        found: list[GrainChange] = []
        for place, key in places.items():
            before = stored[place].parts if place in stored else {}
            if before != now[key] and not is_erased(before, now[key]):
                found.append(GrainChange(key, before, now[key]))
        return found

    async def rebuild(self, wanted: Range, stop: StopSignal) -> bool:
        """Make the summaries of a tenant's days from nothing, a month at a time.

        Args:
            wanted: The days.
            stop: Asks to stop after the month in progress.

        Returns:
            Whether all of them were made.
        """
        zone = (await self._zones.of([wanted.tenant_id]))[wanted.tenant_id]
        for month in periods(AggregationType.MONTHLY, wanted.since, wanted.until):
            if stop.requested:
                return False
            end = after(AggregationType.MONTHLY, month)
            part = Range(wanted.tenant_id, max(wanted.since, month), min(wanted.until, end))
            await self._make(part, zone)
        return True

    async def ranges(self) -> list[Range]:
        """Return the days on which each tenant has messages."""
        rows = await self._store.aggregate_everywhere(TENANTS_WITH_MESSAGES)
        zones = await self._zones.of(row["_id"] for row in rows)
        return [
            Range(
                row["_id"],
                local_day(row["first"], zones[row["_id"]]),
                local_day(row["last"], zones[row["_id"]]) + DAY,
            )
            for row in rows
        ]

    async def _catch_up(self) -> bool:
        """Once, summarise the messages that were stored before anybody followed them."""
        if self._caught_up:
            return False
        record = await self._record.read()
        if not record.get("done"):
            for wanted in await self.ranges():
                if wanted.tenant_id > record.get("tenant_id", ""):
                    await self.rebuild(wanted, StopSignal())
                    await self._record.write({"tenant_id": wanted.tenant_id})
                    return True
            await self._record.write({"done": True})
        self._caught_up = True
        return False

    async def _make(self, wanted: Range, zone: ZoneInfo) -> None:
        """Put a section into the slot and carry it out, after what is in it."""
        work: Row = {
            "section": {
                "tenant_id": wanted.tenant_id,
                "since": wanted.since,
                "until": wanted.until,
                "zone": zone.key,
            }
        }
        while True:
            slot = await self._slot.read()
            if slot.work is not None:
                await self._carry_out(slot.work, slot.number)
            elif await self._slot.put(slot.number + 1, work):
                await self._carry_out(work, slot.number + 1)
                return

    async def _carry_out(self, work: Row, number: int) -> None:
        section: Row | None = work.get("section")
        if section is None:
            zones = {tenant_id: ZoneInfo(name) for tenant_id, name in work["zones"].items()}
            await self._apply([GrainChange.of(row) for row in work["changes"]], number, zones)
            return
        wanted = Range(section["tenant_id"], section["since"], section["until"])
        self._days += await self._sections.make(wanted, number, ZoneInfo(section["zone"]))
        await self._slot.finish(number)

    async def _apply(
        self, changes: Sequence[GrainChange], number: int, zones: Mapping[str, ZoneInfo]
    ) -> None:
        await self._applying.apply(changes, number, zones)
        await self._slot.finish(number)
        self._days += len(changes)

    async def _take_off(self, due: Sequence[Row]) -> None:
        """Clear the marks of messages that have not changed since they were read."""
        groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
        for message in due:
            usage: Row = message.get("token_usage") or {}
            enrichment: Row = message.get("enrichment") or {}
            guards = (message["revision"], usage.get("revision"), enrichment.get("version"))
            groups[guards].append(message)
        await self._store.update_groups(
            SUMMARISED_UNCHANGED,
            [
                (
                    {
                        "conversation_ids": sorted({each["conversation_id"] for each in several}),
                        "ids": [each["_id"] for each in several],
                        "revision": revision,
                        "usage_revision": usage_revision,
                        "enrichment": version,
                    },
                    {"$unset": ANALYTICS.cleared},
                )
                for (revision, usage_revision, version), several in groups.items()
            ],
        )


def _days_of(messages: Iterable[Row], zones: Mapping[str, ZoneInfo]) -> set[GrainKey]:
    return {
        GrainKey(
            message["tenant_id"],
            message["conversation_id"],
            local_day(message["timestamps"]["created_at"], zones[message["tenant_id"]]),
        )
        for message in messages
    }
