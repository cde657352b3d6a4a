"""The job as its handler sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar, cast

from message_service import errors
from message_service.catalogue.queries.processing_queue import JOB_OF_CLAIM
from message_service.database.free_form import check_free_form
from message_service.database.store import Store
from message_service.database.transaction import Transaction, Work
from message_service.documents.row import Row
from message_service.queue import job_updates
from message_service.queue.job_updates import Pipeline
from message_service.queue.new_job import MAX_CONFIG_BYTES

T = TypeVar("T")


class GiveUp(Exception):
    """Raised by a handler: the job cannot succeed, so it fails without another attempt.

    Args:
        message: Why.
        reason: The stable name of the reason, for `execution.reason`.
    """

    def __init__(self, message: str = "", reason: str = "gave_up") -> None:
        super().__init__(message)
        self.reason = reason


class Withdraw(Exception):
    """Raised by a handler: the job is not wanted any longer, so it is cancelled.

    Args:
        reason: The stable name of the reason, for `execution.reason`.
        message: What has happened.
    """

    def __init__(self, reason: str, message: str = "") -> None:
        super().__init__(message)
        self.reason = reason


class RetryIn(Exception):
    """Raised by a handler: try the job again after this many seconds.

    The attempt counts. When it was the last one, the job fails for this reason.
    """

    def __init__(self, seconds: float, message: str = "", reason: str = "retry_asked") -> None:
        super().__init__(message or f"wants to be tried again in {seconds:g} s")
        self.seconds = float(seconds)  # what is no number is the handler's error, told here
        self.reason = reason


class Snooze(Exception):
    """Raised by a handler: what the job waits for is not there; look again in so many seconds.

    The attempt does not count, so a job can be snoozed for as long as it takes; give it an
    `expires_at` where that must have an end.
    """

    def __init__(self, seconds: float, message: str = "") -> None:
        super().__init__(message or f"is put off for {seconds:g} s")
        self.seconds = float(seconds)  # what is no number is the handler's error, told here


class RunningJob:
    """One attempt at a job.

    A job is run at least once: a worker that dies after its effect and before its outcome is known
    leaves the job to another. What `commit` writes is written exactly once. For effects outside of
    the database, `job_id` is the key to make them idempotent with.

    Attributes:
        job_id: The job's id; the same for every attempt.
        job_type: Its type.
        tenant_id: Its tenant.
        config: The parameters it was enqueued with.
        attempt: The number of this attempt, from 1.
        max_attempts: How many there are.
        token: The fencing token; it grows with each claim of the job.
        message_id: The message it belongs to.
        conversation_id: The conversation it belongs to.
        user_id: The user it belongs to.
        created_at: When it was enqueued.
        scheduled_for: When it was to run; of a periodic job, the time of its schedule.
        started_at: When this attempt began.
        completed_at: For the work of `commit`: the moment of the job's end.
        failures: How many attempts have failed.
        worker_id: The worker.
        processing_node: The machine it runs on.
        cancel_requested: Whether it is to stop. Async handlers are cancelled; one that runs in a
            thread has to look here.
    """

    def __init__(self, job: Row, store: Store, seconds: float, lease: float) -> None:
        execution: Row = job["execution"]
        self.job_id: str = job["job_id"]
        self.job_type: str = job["job_type"]
        self.tenant_id: str = job["tenant_id"]
        self.config: dict[str, Any] = job.get("job_config") or {}
        self.attempt: int = execution["attempts"]
        self.max_attempts: int = execution.get("max_attempts", 1)
        self.token: int = job["lease"]["token"]
        self.message_id: str | None = job.get("message_id")
        self.conversation_id: str | None = job.get("conversation_id")
        self.user_id: str | None = job.get("user_id")
        self.created_at: datetime = job["created_at"]
        self.scheduled_for: datetime = job["queue_metadata"]["scheduled_for"]
        self.started_at: datetime = execution["started_at"]
        self.completed_at: datetime | None = None
        self.failures: int = len(execution.get("failures", ()))
        self.worker_id: str = execution["worker_id"]
        self.processing_node: str = execution["processing_node"]
        self.cancel_requested = False
        self._job = job
        self._store = store
        self._seconds = seconds
        self._lease = lease
        self._committed = False
        self._writing = False

    @property
    def committed(self) -> bool:
        """Whether `commit` has completed the job."""
        return self._committed

    @property
    def writing(self) -> bool:
        """Whether a transaction of this job is under way; until its end nobody else can have it."""
        return self._writing

    async def commit(self, work: Work[T], result: Mapping[str, Any] | None = None) -> T:
        """Complete the job together with writes: all of it is stored, or nothing.

        Args:
            work: An async function that takes the transaction; see `MessageService.transaction`.
            result: The job's result. What the handler returns afterwards is ignored.

        Raises:
            LeaseLost: The job is not this worker's any longer; nothing was written.
            InvalidInput: The result cannot be stored.
            MessageServiceError: As for `MessageService.transaction`.
        """
        done = await self._fenced(work, job_updates.completed(check_result(result)))
        self._committed = True
        return done

    async def transaction(self, work: Work[T]) -> T:
        """Write something on the way, if the job is still this worker's.

        Raises:
            LeaseLost: It is not; nothing was written.
            MessageServiceError: As for `MessageService.transaction`.
        """
        renewal = job_updates.renewed(int(self._lease * 1000))

        async def renewing(transaction: Transaction) -> T:
            began = asyncio.get_running_loop().time()
            done = await work(transaction)
            if asyncio.get_running_loop().time() - began > self._lease / 2:
                await self._update(transaction, renewal)
            return done

        return await self._fenced(renewing, renewal)

    async def _fenced(self, work: Work[T], update: Pipeline) -> T:
        async def fenced(transaction: Transaction) -> T:
            held = await self._update(transaction, update)
            if held is None:
                raise errors.LeaseLost(self.job_id)
            self.completed_at = held["execution"].get("completed_at")
            return await work(transaction)

        self._writing = True
        try:
            return await self._store.transaction(fenced, seconds=self._seconds)
        finally:
            self._writing = False

    async def _update(self, transaction: Transaction, update: Pipeline) -> Row | None:
        return (
            await self._store.within(transaction)
            .scope(self.tenant_id)
            .find_and_update(
                JOB_OF_CLAIM, update, id=self._job["_id"], claim_id=self._job["lease"]["claim_id"]
            )
        )


def check_result(result: object) -> Mapping[str, Any] | None:
    """Return a job's result as it can be stored.

    Raises:
        InvalidInput: It is not a dict, is too large, or holds what cannot be stored.
    """
    if result is None:
        return None
    check_free_form("result", result, most=MAX_CONFIG_BYTES)
    return cast("Mapping[str, Any]", result)
