"""The loop that keeps summaries up to date with the messages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from message_service.analytics.applying import Applying
from message_service.analytics.changes import GrainChange, grain_place
from message_service.analytics.folding import Range, months_of
from message_service.analytics.grains import GrainKey, read_grains
from message_service.analytics.periods import local_day
from message_service.analytics.rebuilding import Rebuilding
from message_service.analytics.summaries import is_erased
from message_service.analytics.work import Work
from message_service.analytics.zones import Zones
from message_service.catalogue.followers.analytics import ANALYTICS
from message_service.catalogue.queries.summarised_messages import SUMMARISED_UNCHANGED
from message_service.clock import Clock
from message_service.database.store import Store
from message_service.documents.row import Row
from message_service.loops.backlog import BacklogLoop
from message_service.loops.loop import Poll
from message_service.stopping import StopSignal

_BATCH = 4_000
"""Messages whose days are summarised in one step."""

_MOST_BYTES = 6_000_000
"""A piece of work is a document, of 16 MB at most."""


class Rollup(BacklogLoop):
    """Summarises again the days whose messages have changed, of all tenants.

    Args:
        store: The database.
        clock: The present moment.
        poll: Seconds between looks at the work list when nothing was due.
        applying: Writes the summaries.

    Attributes:
        work: Puts work in hand.
        ranges: Makes and checks whole ranges of days.
    """

    name = "analytics_rollup"
    step_seconds = 3_600.0  # a month with millions of messages, once, after an upgrade

    def __init__(
        self, store: Store, clock: Clock, *, poll: float, applying: Applying | None = None
    ) -> None:
        self._store = store
        self._applying = Applying(store, clock) if applying is None else applying
        self.work = Work(store, self._applying, clock)
        self._zones = Zones(store)
        self.ranges = Rebuilding(store, self.work, self._applying, self._zones)
        self.wake = Poll(poll)  # woken by each change, it would write the same summaries more often
        self._before: list[Range] | None = None
        self._messages = 0

    def figures(self) -> Mapping[str, int]:
        """Return how many messages were taken in, and how many days of conversations changed."""
        return {"messages": self._messages, "days": self.work.days}

    async def step(self) -> bool:
        """Summarise the days of a batch; False when nothing was due."""
        slot = await self.work.settle()
        due = await self._store.find_everywhere(ANALYTICS.work, limit=_BATCH, committed=True)
        if not due:
            return await self._catch_up()
        zones = await self._zones.of(message["tenant_id"] for message in due)
        changes = await self._changes(_days_of(due, zones), zones)
        now, later = _cut(changes)
        if now and not await self.work.change(slot, now, zones):
            return True  # somebody else was faster; look again
        wait = {change.key for change in later}
        done = [message for message in due if _day_of(message, zones) not in wait]
        await self._take_off(done)
        self._messages += len(done)
        return True

    @property
    def taken(self) -> int:
        """How many messages were taken in."""
        return self._messages

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

    async def _catch_up(self) -> bool:
        """Once for a release's rules, summarise what was stored before, a month in each step."""
        progress = self.work.progress
        reached = await progress.read()
        if reached.done:
            self._before = None
            return False
        if self._before is None:
            self._before = [
                month for wanted in await self.ranges.ranges() for month in months_of(wanted)
            ]
        for month in self._before:
            if reached.is_before(month):
                await self.ranges.make(month, StopSignal())
                await progress.reached(month, reached)
                return True
        await progress.finish(reached)
        return False

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


def _cut(changes: Sequence[GrainChange]) -> tuple[Sequence[GrainChange], Sequence[GrainChange]]:
    """Return the changes that one piece of work can hold, at least one, and the others."""
    size = 0
    for place, change in enumerate(changes):
        size += change.size()
        if size > _MOST_BYTES and place:
            return changes[:place], changes[place:]
    return changes, ()


def _days_of(messages: Iterable[Row], zones: Mapping[str, ZoneInfo]) -> set[GrainKey]:
    return {_day_of(message, zones) for message in messages}


def _day_of(message: Row, zones: Mapping[str, ZoneInfo]) -> GrainKey:
    tenant_id: str = message["tenant_id"]
    day = local_day(message["timestamps"]["created_at"], zones[tenant_id])
    return GrainKey(tenant_id, message["conversation_id"], day)
