"""One tenant's jobs: the calls callers make."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from message_service import errors
from message_service.arguments import (
    check_instance,
    check_number,
    check_sequence,
    check_text_argument,
    check_whole_number,
)
from message_service.catalogue.queries.jobs import JOB_BY_ID, JOB_IN_STATUS, JOBS_OF_MESSAGE
from message_service.clock import Clock
from message_service.database.scope import Scope
from message_service.database.transaction import Transaction
from message_service.documents.fields import MAX_NAME
from message_service.documents.job import ENDED, Job, JobStatus
from message_service.documents.row import Row
from message_service.ids import IdKind, check_id
from message_service.paging.page import Page
from message_service.queue import job_updates
from message_service.queue.clearing import Clearing, Purged, Replayed
from message_service.queue.enqueuing import Enqueued
from message_service.queue.events import JobEvent, job_events
from message_service.queue.explaining import Explaining, JobExplanation
from message_service.queue.listing import JobCount, JobListing, chosen, job_of
from message_service.queue.new_job import NewJob, check_new_job
from message_service.queue.registry import MOST_SECONDS, JobKind
from message_service.queue.runtime import QueueRuntime
from message_service.queue.schedules import Schedules
from message_service.queue.settling import CANCELLED
from message_service.queue.waiting import ended
from message_service.stopping import StopSignal

MOST_AT_ONCE = 10_000
"""Most jobs of one `enqueue_many`."""


class Jobs:
    """The jobs of one tenant.

    Args:
        queue: What the process shares of the queue.
        scope: The tenant's scope.

    Attributes:
        schedules: Its periodic jobs.
    """

    def __init__(self, queue: QueueRuntime, scope: Scope) -> None:
        self._queue = queue
        self._scope = scope
        self._clock: Clock = queue.clock
        self._listing = JobListing(scope, queue.clock, queue.signer)
        self._clearing = Clearing(scope, queue.clock, queue.settler)
        self._explaining = Explaining(queue.store, scope, queue.control, queue.clock)
        self._enqueuing = queue.enqueuing(scope)
        self.schedules = Schedules(queue, scope)

    async def enqueue(
        self,
        job_type: str,
        config: Mapping[str, Any] | None = None,
        *,
        within: Transaction | None = None,
        **fields: Any,
    ) -> Enqueued:
        """Store one job.

        Args:
            job_type: A type that has a handler, here or in a running worker, or is declared here.
            config: The parameters for the handler, up to 1 MB.
            within: The transaction this takes part in (`MessageService.transaction`): a job is
                stored together with the message it belongs to.
            **fields: Any other field of `NewJob`, for example `priority`, `scheduled_for`,
                `lane`, `dedupe_key`, `depends_on`.

        Raises:
            InvalidInput: A field is wrong, or the job type is not known.
            NotFound: A job it depends on does not exist.
            AlreadyExists: The `job_id` is taken.
            Unavailable: No answer in time (`OutcomeUnknown`: it may be stored).
        """
        values = {**fields, "job_type": job_type}
        if config is not None:
            values["config"] = config
        [outcome] = await self.enqueue_many([values], within=within)
        if isinstance(outcome, errors.MessageServiceError):
            raise outcome
        return outcome

    async def enqueue_many(
        self,
        jobs: Sequence[Mapping[str, Any] | NewJob],
        *,
        within: Transaction | None = None,
    ) -> list[Enqueued | errors.MessageServiceError]:
        """Store jobs; all of them are checked before any is stored.

        Args:
            jobs: `NewJob` fields. Jobs may depend on others of the list by `job_id`; then all are
                stored, or none.
            within: The transaction this takes part in; the first refusal ends it.

        Returns:
            What has become of each, in order: an `Enqueued`, or the error it met.

        Raises:
            InvalidInput: A job is wrong; the field begins with its place (`jobs.3.lane`).
            NotFound: A job that one of them depends on does not exist.
        """
        if within is not None:
            check_instance("within", within, Transaction)
        given = check_sequence("jobs", jobs)
        if len(given) > MOST_AT_ONCE:
            raise errors.InvalidInput(
                "jobs", f"are more than {MOST_AT_ONCE:,}", "Enqueue them in several calls"
            )
        now = self._clock.now()
        checked: list[tuple[NewJob, JobKind]] = []
        for place, values in enumerate(given):
            try:
                job = check_new_job(values, now)
                checked.append((job, await self._queue.kind_of(job.job_type)))
            except errors.InvalidInput as error:
                if len(given) == 1:
                    raise
                field = f"jobs.{place}.{error.field}"
                raise type(error)(field, error.problem, error.fix) from None
        return await self._enqueuing.enqueue(checked, within) if checked else []

    async def get(self, job_id: str) -> Job:
        """Return a job.

        Raises:
            NotFound: No such job; ended jobs are deleted after seven days.
        """
        return job_of(await self._row(job_id))

    async def cancel(self, job_id: str) -> JobStatus:
        """Cancel a job; a running one is asked to stop, which its worker sees within seconds.

        Returns:
            The state it is in now: `processing` until its worker has stopped it.

        Raises:
            NotFound: No such job.
            Conflict: It has ended already.
        """
        while True:
            row = await self._row(job_id)
            if row["status"] in ENDED:
                raise errors.Conflict(f"job {job_id!r} has ended: it is {row['status']}")
            if row["status"] == JobStatus.PENDING:
                if await self.cancel_waiting(job_id):
                    return JobStatus.CANCELLED
            elif await self._scope.update_one(
                JOB_IN_STATUS,
                job_updates.asked_to_stop(),
                job_id=job_id,
                statuses=[row["status"]],
            ):
                return JobStatus.PROCESSING

    async def cancel_waiting(self, job_id: str, reason: str = CANCELLED) -> bool:
        """Cancel a job that no worker has; False when one has it, or it has ended.

        Args:
            job_id: The job.
            reason: The stable name of the reason.

        Raises:
            InvalidId: Not a job id.
        """
        check_id(IdKind.JOB, "job_id", job_id)
        check_text_argument("reason", reason, most=MAX_NAME)
        changed = await self._scope.find_and_update(
            JOB_IN_STATUS,
            job_updates.ended(JobStatus.CANCELLED, reason),
            job_id=job_id,
            statuses=[JobStatus.PENDING.value],
        )
        if changed is not None:
            await self._queue.settler.settle_ids([changed["_id"]])
        return changed is not None

    async def retry(self, job_id: str) -> None:
        """Let an ended job wait again, with all its attempts, at the end of its lane.

        Raises:
            NotFound: No such job.
            Conflict: It has not ended, has completed, or a live job has its dedupe key.
        """
        row = await self._row(job_id)
        if row["status"] not in (JobStatus.FAILED, JobStatus.CANCELLED):
            raise errors.Conflict(f"job {job_id!r} is {row['status']}; only what failed is retried")
        changed = await self._clearing.begin_again(row)
        if not changed:
            raise errors.Conflict(f"job {job_id!r} was changed by someone else meanwhile")
        await self._queue.settler.settle_ids([row["_id"]])

    async def list(
        self,
        *,
        states: Sequence[JobStatus | str] = (),
        queue: str | None = None,
        job_type: str | None = None,
        reason: str | None = None,
        older_than: float | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Job]:
        """Return a page of jobs, newest first.

        Args:
            states: Only jobs in these states.
            queue: Only jobs of this queue.
            job_type: Only jobs of this type.
            reason: Only jobs with this `execution.reason`, such as "timeout".
            older_than: Only jobs that were enqueued at least so many seconds ago.
            limit: Most jobs, 1 to 1,000.
            cursor: Where the page begins; as the page before returned it.

        Raises:
            InvalidInput: An argument is wrong.
        """
        which = chosen(states, queue, job_type, reason, older_than)
        return await self._listing.page(which, limit, cursor)

    async def of_message(self, conversation_id: str, message_id: str) -> Sequence[Job]:
        """Return the jobs of a message, ended ones of the last seven days included.

        Raises:
            InvalidId: Not the ids of a conversation and a message.
        """
        check_id(IdKind.CONVERSATION, "conversation_id", conversation_id)
        check_id(IdKind.MESSAGE, "message_id", message_id)
        rows = await self._scope.find(
            JOBS_OF_MESSAGE, conversation_id=conversation_id, message_id=message_id
        )
        return [job_of(row) for row in rows]

    async def counts(self) -> Sequence[JobCount]:
        """Return how many jobs there are, by queue, type and state."""
        return await self._listing.counts()

    async def explain(self, job_id: str) -> JobExplanation:
        """Return a job and why it is in the state it is in: what it waits for, or how it ended.

        Raises:
            NotFound: No such job.
        """
        return await self._explaining.explain(await self._row(job_id))

    async def replay_dead(
        self,
        *,
        queue: str | None = None,
        job_type: str | None = None,
        reason: str | None = None,
        most: int | None = None,
        stop: StopSignal | None = None,
    ) -> Replayed:
        """Let failed jobs wait again, with all their attempts; newest first.

        Args:
            queue: Only jobs of this queue.
            job_type: Only jobs of this type.
            reason: Only jobs with this `execution.reason`.
            most: Most jobs; None for all.
            stop: Asks to stop after the batch in progress.

        Raises:
            InvalidInput: An argument is wrong.
        """
        if most is not None:
            check_whole_number("most", most, 1, 2**63 - 1)
        if stop is not None:
            check_instance("stop", stop, StopSignal)
        which = chosen([JobStatus.FAILED], queue, job_type, reason, None)
        return await self._clearing.replay(which, most, stop or StopSignal())

    async def purge(
        self,
        *,
        states: Sequence[JobStatus | str],
        older_than: float,
        queue: str | None = None,
        job_type: str | None = None,
        stop: StopSignal | None = None,
    ) -> Purged:
        """Delete ended jobs for good, before their seven days are over.

        Args:
            states: The states of the jobs: completed, failed, cancelled.
            older_than: Only jobs that were enqueued at least so many seconds ago; 0 for all.
            queue: Only jobs of this queue.
            job_type: Only jobs of this type.
            stop: Asks to stop after the batch in progress.

        Raises:
            InvalidInput: An argument is wrong, or names jobs that have not ended.
        """
        if stop is not None:
            check_instance("stop", stop, StopSignal)
        check_number("older_than", older_than, 0, MOST_SECONDS)
        which = chosen(states, queue, job_type, None, older_than)
        if not states or not set(which.statuses) <= set(ENDED):
            raise errors.InvalidInput(
                "states",
                "name jobs that have not ended",
                f"Use any of: {', '.join(ENDED)}; cancel the others first",
            )
        return await self._clearing.purge(which, stop or StopSignal())

    async def events(self, job_id: str | None = None) -> AsyncIterator[JobEvent]:
        """Yield the changes of jobs' states from now on, until the caller stops.

        Args:
            job_id: Only those of this job; None for all jobs of the tenant.

        Raises:
            InvalidId: Not a job id.
            Unavailable: The server cannot be reached.
        """
        if job_id is not None:
            check_id(IdKind.JOB, "job_id", job_id)
        async for event in job_events(self._scope, job_id):
            yield event

    async def wait(self, job_id: str, timeout: float | None = None) -> Job:  # noqa: ASYNC109
        """Return a job once it has ended.

        Args:
            job_id: The job.
            timeout: Most seconds to wait; None waits for as long as it takes.

        Raises:
            NotFound: No such job.
            Unavailable: It has not ended in time; or the database cannot be reached.
        """
        if timeout is not None:
            check_number("timeout", timeout, 0, MOST_SECONDS)
        check_id(IdKind.JOB, "job_id", job_id)
        return job_of(await ended(self._scope, job_id, timeout))

    async def result(
        self,
        job_id: str,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> dict[str, Any] | None:
        """Return the result of a job, once it has completed.

        Args:
            job_id: The job.
            timeout: As for `wait`.

        Raises:
            NotFound: No such job.
            JobFailed: It failed or was cancelled.
            Unavailable: As for `wait`.
        """
        job = await self.wait(job_id, timeout)
        if job.status is not JobStatus.COMPLETED:
            reason = job.execution.reason or "unknown"
            raise errors.JobFailed(
                f"job {job_id!r} is {job.status.value}: {reason}", job_id=job_id, reason=reason
            )
        return job.execution.result

    async def _row(self, job_id: str) -> Row:
        check_id(IdKind.JOB, "job_id", job_id)
        row = await self._scope.find_one(JOB_BY_ID, committed=True, job_id=job_id)
        if row is None:
            raise errors.NotFound("job", job_id)
        return row
