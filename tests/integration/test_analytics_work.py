"""Work on summaries: cut short, waited for, taken over, by releases one after the other."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from message_service import MessageService, StopSignal, errors
from message_service.analytics import pages, progress, work
from message_service.analytics.applying import Applying
from message_service.analytics.folding import Range
from message_service.analytics.reading import Reading
from message_service.analytics.rollup import Rollup
from message_service.analytics.summaries import Summary
from message_service.database.work_slot import WorkSlot
from support.summaries import problems
from support.summarised import MONDAY, OTHER, USER, Database, filled, say


class _Killed(Exception):
    """The process is killed here."""


class _Until(Applying):
    """Writes the first summaries, or the last of a page, and is killed."""

    def __init__(self, service: MessageService, writes: int, *, last: bool = False) -> None:
        super().__init__(service.store, service.runtime.clock)
        self.left = writes
        self.last = last

    async def write(
        self, summaries: Sequence[Summary], number: int, zones: Mapping[str, ZoneInfo]
    ) -> None:
        kept = [*reversed(summaries)][: self.left] if self.last else summaries[: self.left]
        self.left -= len(kept)
        await super().write(kept, number, zones)
        if len(kept) < len(summaries):
            raise _Killed


async def test_killed_after_every_single_write(service: MessageService, database: Database) -> None:
    """Whatever was written stays, the rest follows, and nothing is added twice."""
    conversation = await filled(service)
    number = 0
    while True:
        await say(service, conversation, MONDAY, user_id=OTHER, text=f"word {number}")
        killed = _Until(service, number)
        loop = Rollup(service.store, service.runtime.clock, poll=1, applying=killed)
        try:
            await loop.step()
        except _Killed:
            number += 1
        else:
            break
        assert await service.rollups.drain() == 1
        assert await problems(database, ["default"], all_tenants=True) == []
    assert number > 10


async def test_messages_after_a_killed_rebuild_are_in_every_summary(
    service: MessageService, database: Database
) -> None:
    """What it wrote is older than what its successor reads."""
    await filled(service)
    day = MONDAY.replace(hour=0)
    wanted = Range("default", day, day + timedelta(days=1))
    killed = 0
    for number in range(1, 50, 3):
        applying = _Until(service, number, last=True)
        loop = Rollup(service.store, service.runtime.clock, poll=1, applying=applying)
        with contextlib.suppress(_Killed):
            await loop.ranges.make(wanted, StopSignal())
            break
        killed += 1
        conversation = (await service.conversations.create(USER)).conversation_id
        await say(service, conversation, MONDAY)
        await service.rollups.drain()
        assert await problems(database, ["default"], all_tenants=True) == []
    assert killed > 5


class _Waits(Applying):
    """Stops before its first summary until told to go on."""

    def __init__(self, service: MessageService) -> None:
        super().__init__(service.store, service.runtime.clock)
        self.waits = asyncio.Event()
        self.told = asyncio.Event()

    async def write(
        self, summaries: Sequence[Summary], number: int, zones: Mapping[str, ZoneInfo]
    ) -> None:
        self.waits.set()
        await self.told.wait()
        await super().write(summaries, number, zones)


async def test_a_rebuild_is_waited_for_and_taken_over_when_it_falls_silent(
    service: MessageService, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversation = await filled(service)
    await say(service, conversation, MONDAY)
    monkeypatch.setattr(work, "_SILENT", 1)
    applying = _Waits(service)
    loop = Rollup(service.store, service.runtime.clock, poll=1, applying=applying)
    day = MONDAY.replace(hour=0)
    wanted = Range("default", day, day + timedelta(days=1))
    making = asyncio.create_task(loop.ranges.make(wanted, StopSignal()))
    await applying.waits.wait()
    others = asyncio.create_task(service.rollups.drain())
    assert not (await asyncio.wait([others], timeout=2.5))[0]  # it says that it is at work
    monkeypatch.setattr(WorkSlot, "go_on", _nothing)  # and no longer
    assert await others == 1
    monkeypatch.undo()
    assert await problems(database, ["default"], all_tenants=True) == []
    await say(service, conversation, MONDAY)
    assert await service.rollups.drain() == 1
    applying.told.set()  # it was only slow, and writes nothing over newer summaries
    assert await making
    assert await problems(database, ["default"], all_tenants=True) == []
    assert await service.rollups.drain() == 0


async def _nothing(*_: object) -> bool:
    return False


async def test_a_rebuild_that_fails_leaves_nothing_running_and_is_finished_by_others(
    service: MessageService, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(9):
        conversation = (await service.conversations.create(USER)).conversation_id
        for day in range(28):
            at = datetime(2026, 5, 1 + day, tzinfo=UTC)
            await say(service, conversation, at)

    async def insert(*_: object) -> list[Summary]:
        raise OSError("the disk is full")

    monkeypatch.setattr(pages, "PAGE", 1)
    monkeypatch.setattr(Applying, "insert", insert)
    with pytest.raises(OSError, match="the disk is full"):
        await service.rollups.rebuild()
    running = [repr(task.get_coro()) for task in asyncio.all_tasks()]
    assert [each for each in running if "read_ahead" in each or "Sections" in each] == []
    monkeypatch.undo()
    assert await service.rollups.drain() == 9 * 28
    assert await problems(database, ["default"], all_tenants=True) == []


async def test_nobody_writes_during_a_check(service: MessageService, database: Database) -> None:
    conversation = await filled(service)
    loop = Rollup(service.store, service.runtime.clock, poll=1)
    await say(service, conversation, MONDAY)
    async with loop.work.held() as go_on:
        step = asyncio.create_task(loop.step())
        assert not (await asyncio.wait([step], timeout=0.5))[0]
        await go_on()
    assert await step
    assert await problems(database, ["default"], all_tenants=True) == []
    # Whoever held it is gone, and others need not wait for ever.
    state = database["schema_state"]
    slot = await state.find_one({"_id": "analytics_work"})
    assert slot is not None
    gone = {"number": slot["number"] + 1, "work": {"held_until": MONDAY}}
    await state.update_one({"_id": "analytics_work"}, {"$set": gone})
    await say(service, conversation, MONDAY)
    assert await service.rollups.drain() == 1
    with pytest.raises(errors.Conflict):
        async with loop.work.held():
            await state.update_one({"_id": "analytics_work"}, {"$inc": {"number": 1}})


async def test_what_was_stored_before_is_summarised_once(
    service: MessageService, database: Database
) -> None:
    """As after an upgrade: messages without marks."""
    await filled(service)
    for tenant_id in ("acme", "zeta"):
        tenant = service.tenant(tenant_id)
        conversation = (await tenant.conversations.create(USER)).conversation_id
        await say(tenant, conversation, MONDAY)
        await say(tenant, conversation, MONDAY - timedelta(days=200))
    await database["message_analytics"].delete_many({})
    await database["schema_state"].delete_one({"_id": "analytics_begun"})
    await database["messages"].update_many({}, {"$unset": {"marks.analytics": ""}})
    loop = Rollup(service.store, service.runtime.clock, poll=1)
    steps = [await loop.step() for _ in range(5)]
    # The first month of the last of them is not there: nothing is sure after its first message.
    zeta = service.tenant("zeta").analytics
    for found in (
        await zeta.total(date(2026, 1, 1), date(2027, 1, 1)),
        (await service.rollups.series(date(2026, 1, 1), date(2026, 1, 2))).summaries[0],
    ):
        assert found.complete_up_to == MONDAY - timedelta(days=200)
    now = service.runtime.clock.now()
    while steps[-1]:  # whoever goes on has not begun at the first month again
        loop = Rollup(service.store, service.runtime.clock, poll=1)
        steps.append(await loop.step())
    # Two months of one tenant, and seven, the empty ones too, of each of the others.
    assert steps.count(True) == 2 + 2 * 7
    assert (await zeta.summary(MONDAY.date())).complete_up_to >= now
    assert await problems(database, ["default", "acme", "zeta"], all_tenants=True) == []
    await database["message_analytics"].delete_many({})
    assert not await Rollup(service.store, service.runtime.clock, poll=1).step()


async def test_other_rules_make_all_summaries_again(
    service: MessageService, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(service)
    wrong = {"$set": {"message_metrics.total_words": 999}}  # as an older release counted them
    await database["message_analytics"].update_many({"dimension": "tenant"}, wrong)
    assert await service.rollups.drain() == 0
    assert await problems(database, ["default"]) != []
    monkeypatch.setattr(progress, "RULES", "of the next release")
    loop = Rollup(service.store, service.runtime.clock, poll=1)
    reading = Reading(service.store, "default", service.runtime.clock)
    assert await reading.complete_up_to() == MONDAY
    while await loop.step():
        pass
    assert await problems(database, ["default"], all_tenants=True) == []
    assert await reading.complete_up_to() > MONDAY
    assert not await Rollup(service.store, service.runtime.clock, poll=1).step()


async def test_two_releases_at_once_end_by_the_rules_of_the_one_that_is_left(
    service: MessageService, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As while one worker after another is replaced."""
    await filled(service)
    await service.rollups.rebuild()
    monkeypatch.setattr(progress, "RULES", "of the next release")
    newer = Rollup(service.store, service.runtime.clock, poll=1)
    while await newer.step():
        pass
    assert not await newer.step()
    conversation = (await service.conversations.create(USER)).conversation_id
    state, summaries = database["schema_state"], database["message_analytics"]

    async def as_the_older_counts() -> None:
        wrong = {"$set": {"message_metrics.total_words": 999}}
        assert (await summaries.update_many({"dimension": "tenant"}, wrong)).modified_count

    # The older one writes, and begins again too, as far as it gets.
    await say(service, conversation, MONDAY)
    assert await service.rollups.drain() == 1
    await as_the_older_counts()
    while await newer.step():
        pass
    assert await problems(database, ["default"], all_tenants=True) == []
    # It was killed, its work is in hand, and its figures are not understood.
    await as_the_older_counts()
    slot = await state.find_one({"_id": "analytics_work"})
    assert slot is not None
    part = {"user_id": USER, "figures": {"unheard_of": {"1": 1}}}
    grain = {"tenant_id": "default", "conversation_id": conversation, "day": MONDAY}
    changes = [{**grain, "before": [], "after": [part]}]
    left = {"rules": "of the last one", "work": {"changes": changes, "zones": {"default": "UTC"}}}
    await state.update_one(
        {"_id": "analytics_work"}, {"$set": {**left, "number": slot["number"] + 1}}
    )
    while await newer.step():
        pass
    assert await problems(database, ["default"], all_tenants=True) == []
    # A whole rebuild leaves nothing to be made again by those rules.
    await state.update_one({"_id": "analytics_work"}, {"$set": {"rules": "of the last one"}})
    await service.rollups.rebuild()
    await as_the_older_counts()
    assert await service.rollups.drain() == 0
    assert await problems(database, ["default"]) != []


async def test_after_a_whole_rebuild_nothing_is_left_to_catch_up(service: MessageService) -> None:
    conversation = (await service.conversations.create(USER)).conversation_id
    before = service.runtime.clock.now()
    await say(service, conversation, MONDAY)
    assert (await service.analytics.summary(MONDAY.date())).complete_up_to == MONDAY
    await service.rollups.rebuild(MONDAY.date())
    assert (await service.analytics.summary(MONDAY.date())).complete_up_to == MONDAY
    await service.rollups.rebuild()
    assert (await service.analytics.summary(MONDAY.date())).complete_up_to >= before


async def test_one_at_a_time_holds_the_slot(service: MessageService) -> None:
    first, second = (WorkSlot(service.store.database, "analytics_work", "rules") for _ in range(2))
    number = (await first.read()).number + 1
    assert await first.hold(number, 60, {"section": {}})
    assert not await second.hold(number, 60)
    assert not await second.hold(number + 1, 60)
    assert not await second.put(number + 1, {})
    assert not await second.take_over(number, 60)
    assert await first.go_on(number, 0)
    assert await second.take_over(number, 60)
    assert (await second.read()).work is not None
    assert not await first.go_on(number, 60)
    assert not await first.finish(number)
    assert await second.finish(number + 1)
    assert (await first.read()).work is None


async def test_who_begins_again_is_not_overtaken(service: MessageService) -> None:
    """Another process finds summaries by other rules while this one goes on with its months."""
    mine, other = progress.Progress(service.store), progress.Progress(service.store)
    months = [Range("default", MONDAY, MONDAY + timedelta(days=days)) for days in (20, 40)]
    read = await mine.read()
    await mine.reached(months[0], read)
    await other.finish(read)  # it saw no record either
    seen = await mine.read()
    assert not seen.done
    assert not seen.is_before(months[0])
    assert seen.is_before(months[1])
    await other.begin_again()
    await mine.reached(months[1], seen)
    assert (await mine.read()).is_before(months[0])
    await mine.finish(seen)
    assert not (await mine.read()).done
    await mine.finish(await mine.read())
    assert (await mine.read()).done
