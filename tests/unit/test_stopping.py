"""Stop signals, cancelling until it took, deadlines: against tasks that lose cancellations."""

import asyncio

import pytest
from pymongo.errors import AutoReconnect

from message_service import errors
from message_service.database.translate import translated
from message_service.stopping import (
    StopOverdue,
    StopSignal,
    end_tasks,
    run_until_stopped,
    within,
)
from support.waiting import soon


async def deaf(times: int, ready: asyncio.Event | None = None) -> None:
    """Lose so many cancellations, as a call on Python 3.11 may."""
    if ready is not None:
        ready.set()
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if times == 0:
                raise
            times -= 1


async def started(times: int) -> asyncio.Task[None]:
    ready = asyncio.Event()
    task = asyncio.create_task(deaf(times, ready))
    await ready.wait()
    return task


async def test_a_task_is_cancelled_until_it_ends() -> None:
    tasks = [await started(times) for times in (0, 1, 3)]
    assert await soon("the tasks to end", end_tasks(tasks)) == set()
    assert all(task.cancelled() for task in tasks)


async def test_a_task_that_never_ends_is_returned(caplog: pytest.LogCaptureFixture) -> None:
    task = await started(10**6)
    assert await end_tasks([task], seconds=0.1) == {task}
    assert "does not end" in caplog.text
    # Let the test itself end.
    while not task.done():
        task.get_coro().close()  # pyright: ignore
        task.cancel()
        await asyncio.sleep(0)


async def test_ending_goes_on_when_its_caller_is_cancelled() -> None:
    task = await started(2)
    ending = asyncio.create_task(end_tasks([task]))
    await asyncio.sleep(0)
    ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await soon("the ending", ending)
    assert task.cancelled()


async def test_what_an_ended_task_raises_is_not_reported_as_lost() -> None:
    async def clumsy() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("on the way out")

    task = asyncio.create_task(clumsy())
    await asyncio.sleep(0)
    assert await end_tasks([task]) == set()
    assert isinstance(task.exception(), ValueError)


async def test_a_deadline_holds_although_a_cancellation_is_lost() -> None:
    with pytest.raises(TimeoutError):
        await soon("the deadline", within(0.01, deaf(1)))


async def test_within_a_deadline_results_and_errors_pass() -> None:
    async def answer() -> int:
        return 42

    async def fail() -> int:
        raise errors.NotFound("conversation", "x")

    assert await within(5, answer()) == 42
    with pytest.raises(errors.NotFound):
        await within(5, fail())


async def test_a_pause_ends_with_the_stop_and_not_before() -> None:
    stop = StopSignal()
    pause = asyncio.create_task(stop.pause(3_600))
    waiting = asyncio.create_task(stop.wait())
    await asyncio.sleep(0.01)
    assert not pause.done()
    stop.request()
    await soon("the pause", asyncio.gather(pause, waiting))
    await soon("a pause after the stop", stop.pause(3_600))
    stop.request()  # twice changes nothing
    assert stop.requested


async def test_a_pause_ends_with_its_time() -> None:
    await soon("the pause", StopSignal().pause(0.01))


async def test_a_race_ends_with_its_work_or_with_the_stop() -> None:
    stop = StopSignal()

    async def quick() -> str:
        return "done"

    assert await stop.race(quick()) == "done"
    lost = asyncio.create_task(stop.race(deaf(1)))
    await asyncio.sleep(0.01)
    assert not lost.done()
    stop.request()
    assert await soon("the race", lost) is None


async def test_a_loop_that_looks_finishes_its_round() -> None:
    stop = StopSignal()
    rounds: list[str] = []

    async def loop() -> int:
        while not stop.requested:
            rounds.append("begun")
            await asyncio.sleep(0.05)
            rounds.append("ended")
        return len(rounds)

    running = asyncio.create_task(run_until_stopped(loop(), stop))
    await asyncio.sleep(0.01)
    stop.request()
    assert await soon("the loop", running) == 2
    assert rounds == ["begun", "ended"]


async def test_a_loop_that_does_not_look_is_cut_short() -> None:
    stop = StopSignal()
    stop.request()
    with pytest.raises(StopOverdue, match=r"0\.01 s"):
        await soon("the loop", run_until_stopped(deaf(2), stop, grace=0.01))


async def test_a_loop_that_fails_says_so() -> None:
    async def loop() -> None:
        raise errors.Internal("broken")

    with pytest.raises(errors.Internal, match="broken"):
        await run_until_stopped(loop(), StopSignal())


async def test_cancelling_the_caller_once_ends_a_loop_that_loses_cancellations() -> None:
    ended: list[bool] = []

    async def loop() -> None:
        try:
            await deaf(2)
        finally:
            ended.append(True)

    running = asyncio.create_task(run_until_stopped(loop(), StopSignal()))
    await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await soon("the loop", running)
    assert ended == [True]


async def lose(result: str | Exception) -> str:
    """As the driver does when a cancellation and its answer arrive together."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        if isinstance(result, Exception):
            raise result from None
        return result
    raise AssertionError


async def ask(result: str | Exception) -> str:
    with translated():
        return await lose(result)


@pytest.mark.parametrize("result", ["answer", AutoReconnect("gone")])
async def test_a_cancellation_the_driver_lost_is_raised(result: str | Exception) -> None:
    task = asyncio.create_task(ask(result))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await soon("the call", task)


async def test_a_timeout_around_a_call_that_lost_it_is_heard() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await ask("answer")


async def test_a_clean_up_after_a_cancellation_may_use_the_database() -> None:
    async def work() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            with translated():  # the partial reply of a stream, for example
                await asyncio.sleep(0)
            return "saved"
        raise AssertionError

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    assert await soon("the clean-up", task) == "saved"
