"""Says why a job is not running, or what has become of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from message_service.catalogue.queries.jobs import JOBS_BY_IDS
from message_service.catalogue.queries.processing_queue import JOBS_BEFORE, LANE_TURN
from message_service.clock import Clock
from message_service.database.scope import Scope
from message_service.database.store import Store
from message_service.documents.job import Job, JobStatus
from message_service.documents.row import Row
from message_service.queue.listing import UNREADABLE, job_of
from message_service.queue.ordering import due_at
from message_service.queue.workers import QueueControl, WorkerStatus

_MANY = 10_000
_FEW = 5


class Why(StrEnum):
    """Why a job is in the state it is in."""

    ENDED = "ended"
    RUNS = "runs"
    CANCEL_REQUESTED = "cancel_requested"
    LEASE_ENDED = "lease_ended"
    DEPENDENCY = "dependency"
    SCHEDULE = "schedule"
    RETRY = "retry"
    LANE = "lane"
    NO_WORKER = "no_worker"
    NO_HANDLER = "no_handler"
    IN_LINE = "in_line"
    SWEEP = "sweep"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Because:
    """One reason, and what it means for this job."""

    why: Why
    text: str


@dataclass(frozen=True, slots=True)
class JobExplanation:
    """A job, and why it is in the state it is in.

    Attributes:
        job: The job.
        because: The reasons; more than one when more than one thing is waited for.
    """

    job: Job
    because: tuple[Because, ...]


class Explaining:
    """Explains the jobs of one tenant.

    Args:
        store: The database.
        scope: The tenant's scope.
        control: Knows the workers.
        clock: The present moment.
    """

    def __init__(self, store: Store, scope: Scope, control: QueueControl, clock: Clock) -> None:
        self._store = store
        self._scope = scope
        self._control = control
        self._clock = clock

    async def explain(self, row: Row) -> JobExplanation:
        """Explain a job as read."""
        job = job_of(row)
        reasons = [each async for each in self._reasons(job, row)]
        return JobExplanation(job, tuple(reasons))

    async def _reasons(self, job: Job, row: Row) -> AsyncIterator[Because]:
        execution = job.execution
        if job.status is JobStatus.PROCESSING:
            for each in self._running(job):
                yield each
            return
        if job.status is not JobStatus.PENDING:
            text = job.status.value
            if execution.reason is not None:
                text += f" ({execution.reason})"
            if execution.error_message:
                text += f": {execution.error_message}"
            yield Because(Why.ENDED, text)
            return
        if execution.reason == UNREADABLE:
            yield Because(Why.UNREADABLE, f"the queue cannot read it: {execution.error_message}")
            return
        workers = await self._control.listening()
        waits = False
        async for each in self._waits(job, row):
            waits = True
            yield each
        for each in _nobody(job, workers):
            waits = True
            yield each
        if waits:
            return
        if job.claim_order is not None:
            yield await self._in_line(job.queue_metadata.queue_name, job.claim_order)
        else:
            yield Because(Why.SWEEP, "the sweep of the queue has not come to it yet")

    def _running(self, job: Job) -> list[Because]:
        execution, lease = job.execution, job.lease
        until = None if lease is None else lease.until
        text = f"attempt {execution.attempts} of {execution.max_attempts} runs on "
        text += f"{execution.worker_id} since {_said(execution.started_at)}"
        found = [Because(Why.RUNS, text)]
        if job.cancel_requested_at is not None:
            asked = f"it was asked to stop at {_said(job.cancel_requested_at)}"
            found.append(Because(Why.CANCEL_REQUESTED, asked))
        if until is not None and until < self._clock.now():
            over = f"its lease ended at {_said(until)}; the sweep gives it to another worker"
            found.append(Because(Why.LEASE_ENDED, over))
        return found

    async def _waits(self, job: Job, row: Row) -> AsyncIterator[Because]:
        if job.blocked_by:
            others = {
                other["job_id"]: other["status"]
                for other in await self._scope.find(JOBS_BY_IDS, job_ids=job.blocked_by)
            }
            for job_id in job.blocked_by[:_FEW]:
                state = others.get(job_id, "missing")
                yield Because(Why.DEPENDENCY, f"it waits for {job_id}, which is {state}")
            if len(job.blocked_by) > _FEW:
                more = len(job.blocked_by) - _FEW
                yield Because(Why.DEPENDENCY, f"and for {more:,} more")
        due = due_at(row)
        retry_after = job.queue_metadata.retry_after
        if due is not None and due > self._clock.now():
            if due == retry_after:
                yield Because(Why.RETRY, _retried(job))
            else:
                yield Because(Why.SCHEDULE, f"it is scheduled for {_said(due)}")
            return
        lane = job.queue_metadata.lane
        if lane is None or job.has_turn or job.blocked_by:
            return
        holder = await self._scope.find_one(LANE_TURN, lane=lane)
        if holder is not None:
            until: datetime | None = holder.get("lease", {}).get("until")
            at_work = f" until {_said(until)}" if until is not None else ""
            held = f"{holder['job_id']}, which is {holder['status']}{at_work}"
            yield Because(Why.LANE, f"it waits for its lane {lane}, held by {held}")

    async def _in_line(self, queue: str, place: datetime) -> Because:
        rows = await self._store.aggregate_everywhere(JOBS_BEFORE, queue=queue, before=place)
        before: int = rows[0]["count"] if rows else 0
        count = f"more than {_MANY:,}" if before > _MANY else f"{before:,}"
        return Because(Why.IN_LINE, f"{count} jobs of queue {queue} are before it")


def _nobody(job: Job, workers: list[WorkerStatus]) -> list[Because]:
    """Return why no worker could take the job, if none could."""
    queue = job.queue_metadata.queue_name
    listening = [worker for worker in workers if queue in worker.queues]
    if not listening:
        return [Because(Why.NO_WORKER, f"no running worker listens on queue {queue}")]
    if not any(job.job_type in worker.job_types for worker in listening):
        text = f"no worker of queue {queue} has a handler for {job.job_type}"
        return [Because(Why.NO_HANDLER, text)]
    return []


def _retried(job: Job) -> str:
    next_at = f"the next attempt is at {_said(job.queue_metadata.retry_after)}"
    execution = job.execution
    if execution.reason is not None:  # put off; a failed attempt is among the failures
        return f"{execution.reason}: {execution.error_message}; {next_at}"
    failures = execution.failures or []
    if not failures:
        return next_at
    last = failures[-1]
    said = f": {last.message}" if last.message else ""
    return f"attempt {last.attempt} failed ({last.reason}{said}); {next_at}"


def _said(moment: datetime | None) -> str:
    return "?" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S} UTC"
