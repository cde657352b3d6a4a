"""Runs a loop under its lease until stopped, and handles failing and stalled steps."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import datetime
from typing import Any

from message_service import errors
from message_service.clock import Clock
from message_service.database.lease import Lease
from message_service.loops.kept_lease import KeptLease
from message_service.loops.loop import Loop
from message_service.stopping import (
    StopOverdue,
    StopSignal,
    end_tasks,
    run_until_stopped,
    suspended_at,
)

_RETRY_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
_MOST_IN_A_ROW = 10
_LOG = logging.getLogger(__name__)


class _Failed(Exception):
    """A step failed; the message is the reason and quotes no data."""


class LoopRunner:
    """Runs one loop in this process.

    Args:
        loop: The loop.
        lease: Its lease, so that one process works at a time; None lets every process work.
        clock: The present moment, for the report.
        standby: Seconds between attempts to acquire the lease.
    """

    def __init__(
        self, loop: Loop, lease: Lease | None, clock: Clock, *, standby: float = 1.0
    ) -> None:
        self._loop = loop
        self._lease = None if lease is None else KeptLease(lease, self.report)
        self._clock = clock
        self._standby = standby
        self._steps = 0
        self._failures = 0
        self._in_a_row = 0
        self._worked_at: datetime | None = None
        self._failure: str | None = None
        self._failed_at: datetime | None = None

    async def run(self, stop: StopSignal | None = None) -> bool:
        """Run until asked to stop; stand by while another process works.

        While the database cannot be reached, the loop waits. A step that fails or stalls is
        logged and tried again after a growing pause; meanwhile another process may work.

        Args:
            stop: Asks to stop: the current step is finished unless it takes longer than
                `STOP_GRACE`. Without it, cancel the task that runs this call, which ends the step
                at once.

        Returns:
            Whether the last step was finished.
        """
        asked = stop if stop is not None else StopSignal()
        try:
            await run_until_stopped(self._rounds(asked), asked)
        except StopOverdue as overdue:
            _LOG.warning("loop %s: %s", self._loop.name, overdue)
            return False
        return True

    def report(self) -> dict[str, Any]:
        """Return the report that is stored with the lease."""
        return {
            "steps": self._steps,
            "figures": dict(self._loop.figures()),
            "worked_at": self._worked_at,
            "failures": self._failures,
            "failure": self._failure,
            "failed_at": self._failed_at,
        }

    async def _rounds(self, stop: StopSignal) -> None:
        loop = self._loop
        # Each part of the clean-up is tried, even if the part before fails.
        async with contextlib.AsyncExitStack() as at_the_end:
            at_the_end.push_async_callback(self._give_way)
            at_the_end.push_async_callback(loop.wake.disarm)
            at_the_end.push_async_callback(self._finish)
            while not stop.requested:
                try:
                    if self._lease is not None and not await self._lease.hold():
                        await stop.pause(self._standby)
                        continue
                    await loop.wake.arm()
                    if not await self._step():
                        await stop.race(loop.wake.wait())
                except errors.Unavailable as error:
                    _LOG.warning("loop %s waits for the database: %s", loop.name, error.message)
                    await stop.pause(_RETRY_PAUSE)
                except errors.MessageServiceError as error:  # of the lease: a full disk, say
                    _LOG.error("loop %s cannot work: %s", loop.name, error.code)
                    await self._failed(error.code, stop)
                except _Failed as failure:
                    await self._failed(str(failure), stop)
                else:
                    self._in_a_row = 0

    async def _failed(self, reason: str, stop: StopSignal) -> None:
        """Let another process try, and pause, longer after each failure in a row."""
        self._failures += 1
        self._failure, self._failed_at = reason, self._clock.now()
        await self._give_way()
        await stop.pause(min(_RETRY_PAUSE * 2**self._in_a_row, _LONGEST_PAUSE))
        self._in_a_row = min(self._in_a_row + 1, _MOST_IN_A_ROW)

    async def _step(self) -> bool:
        """Run one step, within its time limit and under the lease; return whether to go on."""
        working = asyncio.create_task(self._loop.step())
        tasks: list[asyncio.Task[Any]] = [working]
        if self._lease is not None:
            tasks.append(asyncio.create_task(self._lease.lost()))
        try:
            done, _ = await asyncio.wait(
                tasks, timeout=self._loop.step_seconds, return_when=asyncio.FIRST_COMPLETED
            )
            stalled_at = "" if done else suspended_at(working)
        finally:
            await end_tasks(tasks)
        if working in done:
            more = self._outcome(working)
            self._steps += 1
            if more:
                self._worked_at = self._clock.now()
            return more
        if done:
            _LOG.warning("loop %s: another process has taken over its lease", self._loop.name)
            return True
        _LOG.error(
            "loop %s: a step did not end in %g s and was ended, at\n%s",
            self._loop.name,
            self._loop.step_seconds,
            stalled_at,
        )
        raise _Failed("stalled")

    def _outcome(self, working: asyncio.Task[bool]) -> bool:
        try:
            return working.result()
        except errors.Unavailable:
            raise
        except errors.MessageServiceError as error:
            _LOG.error("loop %s: a step failed: %s", self._loop.name, errors.trace_of(error))
            raise _Failed(error.code) from error
        except Exception as error:
            _LOG.error("loop %s: a step failed: %s", self._loop.name, errors.trace_of(error))
            raise _Failed(type(error).__name__) from error

    async def _finish(self) -> None:
        try:
            await self._loop.finish()
        except errors.Unavailable:
            return  # what was not written is still due
        except Exception as error:
            _LOG.error("loop %s did not finish: %s", self._loop.name, errors.trace_of(error))

    async def _give_way(self) -> None:
        if self._lease is not None:
            await self._lease.release()
