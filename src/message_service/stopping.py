"""Ending loops and tasks: stop signals for loops, repeated cancellation of tasks, deadlines.

A single cancellation is not enough. On Python 3.11 `asyncio.wait_for`, which the driver uses for
every command, can return the finished result and drop a cancellation that arrived in the same
moment (python/cpython#86296, fixed in 3.12); the caller then continues as if it had not been
cancelled. `database.translate.translated` raises the cancellation again after the command, but
this module does not rely on that: a loop checks its stop signal in every round, and a task is
cancelled repeatedly until it has ended. These helpers wait with `asyncio.wait`, because it neither
propagates a cancellation of the awaited task nor drops that of its caller. See decision 12.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from message_service.arguments import check_number

STOP_GRACE = 5.0
"""Seconds a loop has, after it is asked to stop, to finish its current round."""

_LONGEST_PAUSE = 31_536_000.0
_CANCEL_AGAIN = 0.25
_CANCEL_FOR = 5.0
_LOG = logging.getLogger(__name__)

T = TypeVar("T")


class StopOverdue(Exception):
    """A loop did not finish its round in time after the stop request and was cancelled."""


class StopSignal:
    """Asks loops to end. A request is permanent; any number of loops may share one signal.

    The signal belongs to the event loop of its first waiter; `request` must be called there.
    """

    def __init__(self) -> None:
        self._requested = False
        self._waiters = set[asyncio.Future[None]]()

    @property
    def requested(self) -> bool:
        """Whether the loops were asked to end; every loop checks this in each round."""
        return self._requested

    def request(self) -> None:
        """Ask the loops to end, and wake those that pause. Repeating the call changes nothing."""
        self._requested = True
        for waiter in self._waiters:
            _wake(waiter)

    async def wait(self) -> None:
        """Return when the loops are asked to end."""
        await self.pause(None)

    async def pause(self, seconds: float | None) -> None:
        """Return after `seconds`, or as soon as the loops are asked to end.

        Raises:
            InvalidInput: `seconds` is not a number from 0 to a year.
        """
        if seconds is not None:
            check_number("seconds", seconds, 0, _LONGEST_PAUSE)
        if self._requested:
            return
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        timer = None if seconds is None else loop.call_later(seconds, _wake, waiter)
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)
            if timer is not None:
                timer.cancel()

    async def race(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Return the result of `work`, or None once the loops are asked to end.

        Unfinished work is cancelled then, so use this for waits and not for writes.
        """
        working = asyncio.create_task(work)
        asked = asyncio.create_task(self.wait())
        try:
            await asyncio.wait((working, asked), return_when=asyncio.FIRST_COMPLETED)
        finally:
            await end_tasks((working, asked))
        return None if working.cancelled() or not working.done() else working.result()


async def run_until_stopped(
    work: Coroutine[Any, Any, T], stop: StopSignal, *, grace: float = STOP_GRACE
) -> T:
    """Run a loop that checks `stop`, and make sure that it ends.

    After the stop request the loop has `grace` seconds to finish by itself; then it is cancelled
    repeatedly until it ends. Cancelling the caller cancels the loop at once, in the same way.

    Args:
        work: The loop.
        stop: The signal that asks the loop to end.
        grace: Seconds the loop has to finish its current round.

    Returns:
        The result of the loop.

    Raises:
        StopOverdue: The loop did not end in time and was cancelled.
        Exception: The error the loop raised.
    """
    running = asyncio.create_task(work)
    asked = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((running, asked), return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            await asyncio.wait((running,), timeout=grace)
    finally:
        await end_tasks((running, asked))
    if not running.done() or running.cancelled():
        raise StopOverdue(
            f"a round did not end within {grace:g} s of the stop request and was cancelled"
        )
    return running.result()


async def end_tasks(
    tasks: Iterable[asyncio.Task[Any]], *, seconds: float = _CANCEL_FOR
) -> set[asyncio.Task[Any]]:
    """Cancel tasks repeatedly until they have ended.

    A slow clean-up in a task is therefore interrupted: each of its waits has a quarter of a second.
    Cancelling the caller does not interrupt this function; the cancellation is raised afterwards.
    An error that a task raises while it ends is dropped here, and can still be read from the task.

    Args:
        tasks: The tasks; those that have ended are left alone.
        seconds: How long to keep cancelling.

    Returns:
        The tasks that still run, normally none; they are logged.
    """
    ending = {task for task in tasks if not task.done()}
    pending = set(ending)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    cancelled: asyncio.CancelledError | None = None
    while pending and (remaining := deadline - loop.time()) > 0:
        for task in pending:
            task.cancel()
        try:
            _, pending = await asyncio.wait(pending, timeout=min(_CANCEL_AGAIN, remaining))
        except asyncio.CancelledError as error:
            cancelled = error
            pending = {task for task in pending if not task.done()}
    for task in ending - pending:
        if not task.cancelled():
            task.exception()  # retrieved, so that asyncio does not report it as never retrieved
    for task in pending:
        _LOG.error("a task does not end, cancelled for %g s: %r", seconds, task)
    if cancelled is not None:
        raise cancelled
    return pending


async def within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """Return the result of `work`, which must finish within `seconds`.

    Unlike `asyncio.timeout`, this does not depend on a single cancellation reaching the work.

    Raises:
        TimeoutError: The work did not finish in time and was cancelled repeatedly until it ended.
    """
    working = asyncio.create_task(work)
    try:
        await asyncio.wait((working,), timeout=max(0.0, seconds))
        in_time = working.done()
    finally:
        await end_tasks((working,))
    if not in_time:
        raise TimeoutError
    return working.result()


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def suspended_at(task: asyncio.Task[Any]) -> str:
    """Return where a task waits: one line per call, outermost first, without any values."""
    lines: list[str] = []
    inner: Any = task.get_coro()
    while (frame := getattr(inner, "cr_frame", None)) is not None:
        code = frame.f_code
        lines.append(f"  {code.co_qualname} ({code.co_filename}:{frame.f_lineno})")
        inner = inner.cr_await
    return "\n".join(lines) or "  (nowhere)"
