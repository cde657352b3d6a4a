"""One attempt at a job: calls the handler and tells what to write of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from message_service import errors
from message_service.documents.job import JobStatus
from message_service.documents.row import Row
from message_service.queue import job_updates
from message_service.queue.endings import Completion
from message_service.queue.job_updates import Pipeline
from message_service.queue.ordering import DEFAULT_DELAY, retry_delay
from message_service.queue.registry import JobKind
from message_service.queue.running_job import (
    GiveUp,
    RetryIn,
    RunningJob,
    Snooze,
    Withdraw,
    check_result,
)
from message_service.queue.settling import CANCELLED
from message_service.stopping import end_tasks, suspended_at

_LOG = logging.getLogger(__name__)

HANDLER_ERROR = "handler_error"
TIMEOUT = "timeout"
SNOOZED = "snoozed"
RESULT_NOT_STORABLE = "result_not_storable"

_LONGEST_RETRY = 31_536_000.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended.

    Attributes:
        name: One word for logs: completed, retry, snoozed, failed, cancelled, handed_back,
            parked, lost.
        update: What to write; None when nothing is (it is written already, or the job is lost).
        reason: Why it did not complete.
    """

    name: str
    update: Pipeline | Completion | None
    reason: str | None = None


LOST = Outcome("lost", None, "lease_lost")


class Attempt:
    """One attempt at a claimed job.

    Args:
        row: The job as claimed.
        kind: Its type.
        job: The job as its handler sees it.
        tenant: What the handler gets beside it.
        random: Source of random bytes, for the delay before the next attempt.
    """

    def __init__(
        self,
        row: Row,
        kind: JobKind,
        job: RunningJob,
        tenant: object,
        random: Callable[[int], bytes],
    ) -> None:
        self.row = row
        self._kind = kind
        self._job = job
        self._tenant = tenant
        self._random = random
        self._ended: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    @property
    def writing(self) -> bool:
        """Whether the handler writes in a transaction of the job now."""
        return self._job.writing

    def lose(self) -> None:
        """End the attempt: another worker may have the job.

        After its `commit` the job has ended, and the handler may finish what it is at.
        """
        if not self._job.committed:
            self._end(LOST)

    def stop(self) -> None:
        """End the attempt: the job was asked to stop."""
        self._end(
            Outcome("cancelled", job_updates.ended(JobStatus.CANCELLED, CANCELLED), CANCELLED)
        )

    def hand_back(self) -> None:
        """End the attempt: the worker stops."""
        self._end(Outcome("handed_back", job_updates.handed_back(), "worker_stopped"))

    def _end(self, outcome: Outcome) -> None:
        self._job.cancel_requested = True
        if not self._ended.done():
            self._ended.set_result(outcome)

    async def run(self) -> Outcome:
        """Call the handler; return what has become of the attempt."""
        timeout: float | None = self._job.config.get("timeout_seconds", self._kind.timeout_seconds)
        calling = asyncio.create_task(self._call())
        try:
            await asyncio.wait(
                (calling, self._ended), timeout=timeout, return_when=asyncio.FIRST_COMPLETED
            )
            waits_at = "" if calling.done() else suspended_at(calling)
        finally:
            await end_tasks((calling,))
        if self._job.committed:
            return Outcome("completed", None)
        if self._ended.done() and (calling.cancelled() or not calling.done()):
            return self._ended.result()
        if not calling.done() or calling.cancelled():
            if waits_at and timeout is not None:
                _LOG.warning("job %s timed out, at\n%s", self._job.job_id, waits_at)
                return self._failed(TIMEOUT, f"it did not end within {timeout:g} s")
            return self._failed(HANDLER_ERROR, "the handler was cancelled from within")
        return self._judge(calling)

    def _judge(self, calling: asyncio.Task[Any]) -> Outcome:
        error = calling.exception()
        if error is None:
            try:
                result = check_result(calling.result())
            except errors.InvalidInput as refused:
                return self._dead(RESULT_NOT_STORABLE, refused.message)
            return Outcome("completed", Completion(result))
        if self._ended.done():
            return self._ended.result()
        match error:
            case errors.LeaseLost():
                return LOST
            case GiveUp():
                return self._dead(error.reason, str(error))
            case Withdraw():
                update = job_updates.ended(JobStatus.CANCELLED, error.reason, str(error) or None)
                return Outcome("cancelled", update, error.reason)
            case RetryIn():
                return self._failed(error.reason, str(error), _delay(error.seconds))
            case Snooze():
                delay_ms = int(_delay(error.seconds) * 1000)
                update = job_updates.parked(SNOOZED, str(error), delay_ms)
                return Outcome(SNOOZED, update, SNOOZED)
            case _:
                _LOG.warning("job %s: %s", self._job.job_id, errors.trace_of(error))
                return self._failed(HANDLER_ERROR, f"{type(error).__name__}: {error}")

    async def _call(self) -> Any:
        if self._kind.call is None:
            raise TypeError("a job type without handler")
        try:
            if self._kind.is_async:
                return await self._kind.call(self._job, self._tenant)
            return await _in_thread(self._kind.call, self._job, self._tenant)
        except (SystemExit, KeyboardInterrupt) as error:  # of the handler's, not of the worker's
            raise RuntimeError(f"the handler raised {type(error).__name__}") from error

    def _failed(self, reason: str, message: str, delay: float | None = None) -> Outcome:
        if self._job.attempt >= self._job.max_attempts:
            return self._dead(reason, message)
        if delay is None:
            base: float = self.row["queue_metadata"].get("retry_delay_seconds", DEFAULT_DELAY)
            delay = retry_delay(self._job.attempt, base, self._random)
        update = job_updates.attempt_failed(reason, message, int(delay * 1000))
        return Outcome("retry", update, reason)

    def _dead(self, reason: str, message: str) -> Outcome:
        return Outcome("failed", job_updates.attempt_failed(reason, message, None), reason)


def _delay(seconds: float) -> float:
    return seconds if 0 <= seconds <= _LONGEST_RETRY else 0.0


def _in_thread(call: Callable[..., Any], *arguments: Any) -> asyncio.Future[Any]:
    """Call a plain function in a thread of its own.

    Not in a pool: one that does not end would take a place in it for ever, and keep the process
    from ending.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def tell(result: Any, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    def run() -> None:
        result, failure = None, None
        try:
            result = call(*arguments)
        except BaseException as error:
            failure = error
            if isinstance(error, (SystemExit, KeyboardInterrupt, StopIteration)):
                failure = RuntimeError(f"the handler raised {type(error).__name__}")
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any longer
            loop.call_soon_threadsafe(tell, result, failure)

    threading.Thread(target=run, name="job", daemon=True).start()
    return future
