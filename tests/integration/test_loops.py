"""A loop is a class with `step()`; its runner keeps it going, alone and stoppable."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import pytest

from message_service import MessageService, errors
from message_service.clock import SystemClock
from message_service.database.lease import Lease, read_lease
from message_service.database.wake import WakeUp
from message_service.loops import runner as runner_module
from message_service.loops.control import LoopControl, LoopStatus
from message_service.loops.loop import Bell, Loop, Poll, Wake
from message_service.loops.runner import LoopRunner
from message_service.stopping import StopSignal, end_tasks
from support.catalogues import Database
from support.waiting import soon, until

NAME = "counter"


class Counter(Loop):
    """Counts its steps, and does in them what a test tells it to."""

    name = NAME
    lease_seconds = 1.0

    def __init__(self, wake: Wake | None = None) -> None:
        self.wake = Poll(0.01) if wake is None else wake
        self.count = 0
        self.finished = 0
        self.during: Callable[[], object] = lambda: None

    async def step(self) -> bool:
        self.count += 1
        done = self.during()
        if asyncio.iscoroutine(done):
            await done
        return False

    async def finish(self) -> None:
        self.finished += 1

    def figures(self) -> dict[str, int]:
        return {"counted": self.count}


class Running:
    """Runners of one database, each as if in a process of its own."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.control = LoopControl(database, [NAME])
        self._tasks: list[asyncio.Task[bool]] = []

    def start(self, loop: Loop, holder: str = "first") -> tuple[asyncio.Task[bool], StopSignal]:
        stop = StopSignal()
        lease = Lease(self.database, NAME, holder, loop.lease_seconds)
        task = asyncio.create_task(
            LoopRunner(loop, lease, SystemClock(), standby=0.01).run(stop), name=holder
        )
        self._tasks.append(task)
        return task, stop

    async def status(self) -> LoopStatus:
        [found] = await self.control.status()
        return found

    async def end(self) -> None:
        await end_tasks(self._tasks)


@pytest.fixture
async def running(database: Database) -> AsyncIterator[Running]:
    running = Running(database)
    yield running
    await running.end()


async def test_a_loop_steps_until_it_is_stopped_and_reports(running: Running) -> None:
    loop = Counter()
    task, stop = running.start(loop)
    await until("ten steps", lambda: loop.count >= 10)
    status = await running.status()
    assert (status.state, status.holder) == ("working", "first")
    stop.request()
    assert await soon("the loop to stop", task)
    counted, finished = loop.count, loop.finished
    assert finished == 1
    status = await running.status()
    assert (status.state, status.holder) == ("idle", None)
    assert (status.steps, status.figures) == (counted, {"counted": counted})
    await asyncio.sleep(0)
    assert loop.count == counted


async def test_one_works_and_another_takes_over_when_it_dies(running: Running) -> None:
    first, second = Counter(), Counter()
    task, _ = running.start(first, "first")
    await until("the first to work", lambda: first.count)
    running.start(second, "second")
    await until("the first to go on", lambda: first.count > 20)
    assert second.count == 0
    await end_tasks([task])  # it gives its lease back
    await until("the second to take over", lambda: second.count)
    assert (await running.status()).holder == "second"


async def test_the_lease_is_kept_while_a_step_lasts_longer_than_it(running: Running) -> None:
    go_on = asyncio.Event()
    first, second = Counter(), Counter()
    first.during = go_on.wait
    running.start(first, "first")
    await until("the first to work", lambda: first.count)
    running.start(second, "second")
    acquired = (await read_lease(running.database, NAME))["expires_at"]

    async def renewed_past_its_length() -> bool:
        lease = await read_lease(running.database, NAME)
        return (lease["expires_at"] - acquired).total_seconds() > 2 * first.lease_seconds

    await until("the lease to be renewed", renewed_past_its_length)
    assert (first.count, second.count) == (1, 0)
    go_on.set()


async def test_a_step_ends_when_the_lease_is_lost(running: Running) -> None:
    ended: list[str] = []

    async def for_ever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("first")

    first, second = Counter(), Counter()
    first.during = for_ever
    running.start(first, "first")
    await until("the first to work", lambda: first.count)
    # As if it had been frozen for longer than its lease, and somebody else had taken over.
    await running.database["schema_state"].update_one(
        {"_id": NAME}, {"$set": {"holder": None, "expires_at": datetime(2020, 1, 1, tzinfo=UTC)}}
    )
    running.start(second, "second")
    await until("the second to work", lambda: second.count > 5)
    await until("the first to stop", lambda: ended)
    assert first.count == 1
    assert (await running.status()).holder == "second"


async def test_a_step_that_raises_is_tried_again_elsewhere_too(
    running: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(runner_module, "_RETRY_PAUSE", 0.05)

    def fail() -> None:
        raise ValueError("".join(("se", "cret")))

    first, second = Counter(), Counter()
    first.during = fail
    running.start(first, "first")
    await until("it to fail three times", lambda: first.count >= 3)
    status = await running.status()
    assert status.failures >= 2
    assert status.failure == "ValueError"
    assert status.failed_at is not None
    running.start(second, "second")
    await until("the other to take over meanwhile", lambda: second.count > 3)
    assert "ValueError" in caplog.text
    assert "secret" not in caplog.text


async def test_an_unreachable_database_is_no_failure(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "_RETRY_PAUSE", 0.01)
    loop = Counter()

    def sometimes() -> None:
        if loop.count < 5:
            raise errors.Unavailable("nobody answers")

    loop.during = sometimes
    task, stop = running.start(loop)
    await until("it to work again", lambda: loop.count > 10)
    stop.request()
    await soon("the loop to stop", task)
    status = await running.status()
    assert (status.failures, status.failure) == (0, None)


async def test_a_stalled_step_is_ended_and_its_place_logged(
    running: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(runner_module, "_RETRY_PAUSE", 0.01)
    monkeypatch.setattr(Counter, "step_seconds", 0.1)

    async def stall_here() -> None:
        await asyncio.Event().wait()

    loop = Counter()
    loop.during = stall_here
    running.start(loop)
    await until("it to be tried again", lambda: loop.count >= 2)
    assert "stall_here" in caplog.text
    loop.during = lambda: None
    await until("it to work", lambda: loop.count > 10)
    task, stop = running.start(Counter(), "second")
    stop.request()
    await soon("the other to stop", task)
    # The report is written with the next renewal.

    async def reported() -> bool:
        return (await running.status()).failure == "stalled"

    await until("the failure to be reported", reported)


@pytest.mark.parametrize("where", ["standing by", "acquiring", "in a step", "waiting"])
async def test_it_stops_in_bounded_time_wherever_it_stands(
    running: Running, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = Counter(Bell())  # a hint that never comes
    if where == "in a step":
        loop.during = asyncio.Event().wait
    asked = asyncio.Event()
    if where == "standing by":
        other = Counter()
        running.start(other, "other")
        await until("the other to work", lambda: other.count)
    if where == "acquiring":

        async def silent(_: Lease) -> object:
            asked.set()
            return await asyncio.Event().wait()

        monkeypatch.setattr(Lease, "try_acquire", silent)
    task, stop = running.start(loop, "stopped")
    if where in ("in a step", "waiting"):
        await until("it to work", lambda: loop.count)
    elif where == "acquiring":
        await soon("the attempt to acquire", asked.wait())
    else:
        await asyncio.sleep(0.05)
    stop.request()
    finished = await soon("the loop to stop", task)
    assert finished == (where in ("standing by", "waiting"))
    monkeypatch.undo()
    assert (await running.status()).holder != "stopped"


async def test_a_paused_loop_does_nothing_until_it_is_resumed(running: Running) -> None:
    loop = Counter()
    running.start(loop)
    await until("it to work", lambda: loop.count)
    await running.control.pause(NAME)

    async def let_go() -> bool:
        return (await read_lease(running.database, NAME))["holder"] is None

    await until("it to give its lease back", let_go)
    assert (await running.status()).state == "paused"
    counted = loop.count
    second = Counter()
    running.start(second, "second")
    await asyncio.sleep(0.1)
    assert (loop.count, second.count) == (counted, 0)
    await running.control.resume(NAME)
    await until("somebody to work", lambda: loop.count > counted or second.count)
    with pytest.raises(errors.InvalidInput, match="Name one of: counter"):
        await running.control.pause("kettle")


async def test_a_change_wakes_it_and_without_hints_it_looks_by_itself(
    running: Running, service: MessageService
) -> None:
    hinted = Counter(WakeUp(running.database, "messages", {"operationType": "insert"}, 30))
    running.start(hinted)
    await until("it to wait", lambda: hinted.count)
    made = await service.conversations.create("user_000000000001")
    await service.messages.append(made.conversation_id, "user", "wake up")
    await until("the change to wake it", lambda: hinted.count > 1)

    class NoStreams(WakeUp):
        async def arm(self) -> None:
            """As on a server without change streams."""

    unhinted = Counter(NoStreams(running.database, "messages", {}, 0.05))
    await running.end()
    running.start(unhinted, "unhinted")
    await until("it to look by itself", lambda: unhinted.count > 3)


async def test_the_indexer_is_seen_paused_and_resumed_by_operators(
    service: MessageService,
) -> None:
    before, counting, *_ = await service.loops.status()
    assert (counting.name, counting.state) == ("usage_counting", "idle")
    assert (before.name, before.state, before.holder) == ("search_indexer", "idle", None)
    await service.loops.pause("search_indexer")
    stop = StopSignal()
    running = asyncio.create_task(service.search_index.run(stop))
    made = await service.conversations.create("user_000000000001")
    said = await service.messages.append(made.conversation_id, "user", "hello")
    with pytest.raises(errors.IndexBehind):
        await service.search.find(
            "hello", conversation_id=made.conversation_id, min_sequence=1, wait=0.3
        )
    paused, counting, *_ = await service.loops.status()
    assert counting.state == "idle"
    assert paused.state == "paused"
    await service.loops.resume("search_indexer")
    await service.search.find(
        "hello",
        conversation_id=made.conversation_id,
        min_sequence=said.sequence_number,
        wait=30,
    )
    stop.request()
    await soon("the indexer", running)
    after, *_ = await service.loops.status()
    assert (after.state, after.figures["indexed"]) == ("idle", 1)


async def test_a_lease_that_is_refused_does_not_end_the_loop(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "_RETRY_PAUSE", 0.01)
    acquire = Lease.try_acquire
    refusals = 0

    async def refused(lease: Lease) -> object:
        nonlocal refusals
        refusals += 1
        if refusals < 4:
            raise errors.StorageFull("the server has no disk space left")
        return await acquire(lease)

    monkeypatch.setattr(Lease, "try_acquire", refused)
    loop = Counter()
    task, stop = running.start(loop)
    await until("it to work when there is room", lambda: loop.count > 2)
    stop.request()
    await soon("the loop to stop", task)
    status = await running.status()
    assert (status.failures, status.failure) == (3, "storage_full")


async def test_a_clean_up_that_fails_does_not_keep_the_lease(running: Running) -> None:
    class Untidy(Counter):
        async def finish(self) -> None:
            raise ValueError

    loop = Untidy()
    task, stop = running.start(loop)
    await until("it to work", lambda: loop.count)
    stop.request()
    assert await soon("the loop to stop", task)
    assert (await running.status()).holder is None
