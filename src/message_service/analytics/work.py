"""Work on summaries, one piece at a time, by whichever process comes first.

See `database.work_slot`. A piece of work is a list of grains that changed, or a section.

While a release with other rules of metrics follows the last, both may write summaries for a while.
Whoever finds that the other was here makes all of them again, so in the end they are by the rules
of the release that is left.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from zoneinfo import ZoneInfo

from message_service import errors
from message_service.analytics.applying import Applying
from message_service.analytics.changes import GrainChange
from message_service.analytics.folding import Range
from message_service.analytics.progress import Progress
from message_service.analytics.sections import Sections
from message_service.analytics.zones import Zones
from message_service.clock import Clock
from message_service.database.store import Store
from message_service.database.work_slot import Slot, WorkSlot
from message_service.documents.row import Row
from message_service.stopping import end_tasks

_HELD = 60.0
"""Seconds after which others go on, when whoever checks does not say that it is at work."""

_SILENT = 5.0
"""Seconds after which others take over a section whose worker does not say that it is at work."""

_LOOK = 0.1


class Work:
    """Puts work in hand and carries it out.

    Args:
        store: The database.
        applying: Writes summaries.
        clock: The present moment.

    Attributes:
        progress: How far what was stored before is summarised.
        days: Days of conversations that were written.
    """

    def __init__(self, store: Store, applying: Applying, clock: Clock) -> None:
        self.progress = Progress(store)
        self._slot = WorkSlot(store.database, "analytics_work", self.progress.rules)
        self._applying = applying
        self._sections = Sections(store, applying)
        self._zones = Zones(store)
        self._clock = clock
        self.days = 0

    async def settle(self) -> Slot:
        """Wait for who is at work, carry out what is left by others; return the empty slot."""
        while True:
            slot = await self._slot.read()
            if slot.held:
                await asyncio.sleep(_LOOK)
            elif slot.rules != self.progress.rules:
                await self.progress.begin_again()
                # Figures by other rules are not understood; what they are of is summarised again.
                await self._slot.adopt(slot.number, drop="changes" in (slot.work or ()))
            elif slot.work is None:
                return slot
            elif "changes" in slot.work:
                zones = {key: ZoneInfo(name) for key, name in slot.work["zones"].items()}
                changes = [GrainChange.of(row) for row in slot.work["changes"]]
                await self._apply(changes, slot.number, zones)
            elif await self._slot.take_over(slot.number, _SILENT):
                await self._section(slot.work, slot.number + 1)

    async def change(
        self, slot: Slot, changes: Sequence[GrainChange], zones: Mapping[str, ZoneInfo]
    ) -> bool:
        """Bring changed grains into every summary.

        Args:
            slot: The slot as it was before the grains were read.
            changes: The grains.
            zones: The time zones of their tenants.

        Returns:
            False when somebody has put in other work since: the grains must be read again.
        """
        work: Row = {
            "changes": [change.stored() for change in changes],
            "zones": {tenant_id: zone.key for tenant_id, zone in zones.items()},
        }
        if not await self._slot.put(slot.number + 1, work):
            return False
        await self._apply(changes, slot.number + 1, zones)
        return True

    async def make(self, wanted: Range, zone: ZoneInfo) -> None:
        """Make the summaries of a range of days from nothing."""
        await self._do({"section": _stored(wanted, zone)})

    async def _do(self, work: Row) -> None:
        while True:
            number = (await self.settle()).number + 1
            if await self._slot.hold(number, _SILENT, work):
                await self._section(work, number)
                return

    async def cut_anew(self, wanted: Range, zone: ZoneInfo) -> None:
        """Give a tenant's summaries the days of another time zone."""
        await self._do({"zone": _stored(wanted, zone)})

    @asynccontextmanager
    async def held(self) -> AsyncGenerator[Callable[[], Awaitable[None]]]:
        """Keep everybody from writing summaries.

        What it yields must be called every few seconds, and raises when others went on.

        Raises:
            Conflict: Others went on, as this process said nothing for a minute.
        """
        while True:
            number = (await self.settle()).number + 1
            if await self._slot.hold(number, _HELD):
                break

        async def go_on() -> None:
            if not await self._slot.go_on(number, _HELD):
                raise errors.Conflict("others wrote summaries during the check; start it again")

        try:
            yield go_on
            await go_on()
        finally:
            await self._slot.finish(number)

    async def _section(self, work: Row, number: int) -> None:
        """Make a section, and tell others meanwhile that it is being made.

        It depends on the messages as they are now. Made a second time under the same number, it
        could leave one summary with a message that another has not.
        """
        telling = asyncio.create_task(self._tell(number))
        done = False
        try:
            if "section" in work:
                wanted, zone = _read(work["section"])
                self.days += await self._sections.make(wanted, number, zone)
            elif "zone" in work:
                wanted, zone = _read(work["zone"])
                await self._zones.note(wanted.tenant_id, zone, self._clock)
                self.days += await self._sections.cut_anew(wanted, number, zone)
            done = True  # or there was none: a check was cut short
        finally:
            await end_tasks((telling,))
            if not done:
                with suppress(errors.MessageServiceError):  # others need not wait
                    await self._slot.go_on(number, 0)
        await self._slot.finish(number)

    async def _tell(self, number: int) -> None:
        while True:
            await asyncio.sleep(_SILENT / 5)
            with suppress(errors.Unavailable):
                await self._slot.go_on(number, _SILENT)

    async def _apply(
        self, changes: Sequence[GrainChange], number: int, zones: Mapping[str, ZoneInfo]
    ) -> None:
        await self._applying.apply(changes, number, zones)
        await self._slot.finish(number)
        self.days += len(changes)


def _stored(wanted: Range, zone: ZoneInfo) -> Row:
    return {
        "tenant_id": wanted.tenant_id,
        "since": wanted.since,
        "until": wanted.until,
        "zone": zone.key,
    }


def _read(row: Row) -> tuple[Range, ZoneInfo]:
    return Range(row["tenant_id"], row["since"], row["until"]), ZoneInfo(row["zone"])
