"""Lists and counts jobs of one tenant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from pydantic import ValidationError

from message_service import errors
from message_service.arguments import check_number, check_sequence, check_text_argument
from message_service.catalogue.queries.jobs import JOB_COUNTS, JOBS_LISTED
from message_service.clock import Clock
from message_service.database.scope import Scope
from message_service.documents.fields import MAX_NAME
from message_service.documents.job import Job, JobStatus
from message_service.documents.row import Row
from message_service.documents.validation import invalid_input
from message_service.paging.cursors import CursorSigner
from message_service.paging.page import Page, check_limit
from message_service.queue.ordering import AT_ONCE
from message_service.queue.registry import MOST_SECONDS, check_queue

UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class JobCount:
    """How many jobs there are of one queue, type and state."""

    queue: str
    job_type: str
    status: JobStatus
    count: int

    def to_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which jobs are meant; checked.

    Attributes:
        statuses: Their states.
        queue: Their queue.
        job_type: Their type.
        reason: Why they ended.
        older_than: They were enqueued at least so many seconds ago.
    """

    statuses: tuple[str, ...]
    queue: str | None = None
    job_type: str | None = None
    reason: str | None = None
    older_than: float | None = None

    def values(self, clock: Clock) -> dict[str, Any]:
        """Return the values for the query."""
        before = None
        if self.older_than is not None:
            before = clock.now() - timedelta(seconds=self.older_than)
        return {
            "statuses": self.statuses,
            "queue": self.queue,
            "job_type": self.job_type,
            "reason": self.reason,
            "created_before": before,
        }


def chosen(
    states: Sequence[JobStatus | str],
    queue: str | None,
    job_type: str | None,
    reason: str | None,
    older_than: float | None,
) -> Chosen:
    """Return which jobs a caller means.

    Raises:
        InvalidInput: An argument is wrong.
    """
    several = check_sequence("states", states)
    for status in several:
        if not isinstance(status, str) or status not in set(JobStatus):
            raise errors.InvalidInput(
                "states", "is not a state of jobs", f"Use any of: {', '.join(JobStatus)}"
            )
    if queue is not None:
        check_queue("queue", queue)
    for name, value in (("job_type", job_type), ("reason", reason)):
        if value is not None:
            check_text_argument(name, value, most=MAX_NAME)
    if older_than is not None:
        check_number("older_than", older_than, 0, MOST_SECONDS)
    return Chosen(
        tuple(JobStatus(status).value for status in several or JobStatus),
        queue,
        job_type,
        reason,
        older_than,
    )


class JobListing:
    """The listing of one tenant's jobs.

    Args:
        scope: The tenant's scope.
        clock: The present moment.
        signer: Signs cursors.
    """

    def __init__(self, scope: Scope, clock: Clock, signer: CursorSigner) -> None:
        self._scope = scope
        self._clock = clock
        self._signer = signer

    async def page(self, which: Chosen, limit: int, cursor: str | None) -> Page[Job]:
        """Return a page of jobs, newest first."""
        check_limit(limit)
        cursors = self._signer.of("jobs", self._scope.tenant_id, asdict(which))
        before = None if cursor is None else cursors.position(cursor)[0]
        rows = await self._scope.find(
            JOBS_LISTED, limit=limit + 1, before=before, **which.values(self._clock)
        )
        jobs = [job_of(row) for row in rows[:limit]]
        more = len(rows) > limit
        return Page(jobs, cursors.at(jobs[-1].job_id) if more else None)

    async def counts(self) -> list[JobCount]:
        """Return how many jobs there are, by queue, type and state."""
        return [
            JobCount(
                row["_id"]["queue"],
                row["_id"]["job_type"],
                JobStatus(row["_id"]["status"]),
                row["count"],
            )
            for row in await self._scope.aggregate(JOB_COUNTS)
        ]


def job_of(row: Row) -> Job:
    """Return a job as stored.

    One that another program, or an older release, has stored in a form this one cannot read does
    not keep the others from being seen: it says what is wrong with it.
    """
    try:
        return Job.model_validate(row)
    except ValidationError as error:
        problem = invalid_input(error)
    readable = {name: row[name] for name in ("tenant_id", "job_id", "status") if name in row}
    return Job.model_validate(
        {
            **readable,
            "job_type": UNREADABLE,
            "execution": {
                "reason": UNREADABLE,
                "error_message": f"{problem.field}: {problem.problem}",
            },
            "queue_metadata": {"queue_name": UNREADABLE, "scheduled_for": AT_ONCE},
            "created_at": AT_ONCE,
            "updated_at": AT_ONCE,
        }
    )
