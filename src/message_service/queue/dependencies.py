"""Dependencies: jobs that wait until other jobs have ended."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from message_service.catalogue.queries.jobs import JOBS_BY_IDS, JOBS_IN_STATUS
from message_service.catalogue.queries.processing_queue import JOB_DEPENDENTS, JOBS_BLOCKED
from message_service.database.scope import Scope
from message_service.database.store import Store
from message_service.documents.job import LIVE, JobStatus, OnFailedDependency
from message_service.documents.row import Row
from message_service.queue import job_updates
from message_service.queue.job_updates import Pipeline

DEPENDENCY_FAILED = "dependency_failed"
DEPENDENCY_MISSING = "dependency_missing"
DEPENDENCY_CYCLE = "dependency_cycle"

_MOST_WALKED = 1_000
_AT_ONCE = 500


class Dependencies:
    """The dependencies between jobs of one tenant, for all tenants.

    Args:
        store: The database.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def look(self, jobs: Sequence[Row]) -> list[Any]:
        """Free jobs from those of their dependencies that have ended, and mark the others.

        A job that others wait for is marked so; from then on its end frees them.

        Returns:
            The `_id`s of the jobs that wait for less than before, or have ended.
        """
        freed: list[Any] = []
        for tenant_id in sorted({job["tenant_id"] for job in jobs}):
            scope = self._store.scope(tenant_id)
            mine = [job for job in jobs if job["tenant_id"] == tenant_id]
            waits_for = sorted({other for job in mine for other in job["blocked_by"]})
            await scope.update_many(
                JOBS_IN_STATUS,
                {"$set": {"has_dependents": True}},
                job_ids=waits_for,
                statuses=[*LIVE],
            )
            found = {row["job_id"]: row for row in await scope.find(JOBS_BY_IDS, job_ids=waits_for)}
            for job_id in waits_for:
                other = found.get(job_id)
                if other is None:
                    other = {"job_id": job_id, "tenant_id": tenant_id, "status": "missing"}
                if other["status"] not in LIVE:
                    freed.extend(await self.release(other))
            for job in mine:
                if await _is_in_a_circle(scope, job, found):
                    first: str = job["blocked_by"][0]
                    update = _ended(JobStatus.FAILED, DEPENDENCY_CYCLE, first)
                    job_ids = [job["job_id"]]
                    await scope.update_many(JOBS_BLOCKED, update, job_ids=job_ids, by=first)
                    freed.append(job["_id"])
        return freed

    async def release(self, ended: Row) -> list[Any]:
        """Free the jobs that wait for one that has ended; return their `_id`s."""
        scope = self._store.scope(ended["tenant_id"])
        job_id: str = ended["job_id"]
        waiting = await scope.find(JOB_DEPENDENTS, job_id=job_id)
        by_policy: dict[str, list[str]] = defaultdict(list)
        for job in waiting:
            policy = job["queue_metadata"].get("on_failed_dependency", OnFailedDependency.FAIL)
            by_policy[policy].append(job["job_id"])
        for policy, job_ids in by_policy.items():
            if ended["status"] == JobStatus.COMPLETED or policy == OnFailedDependency.RUN:
                update = job_updates.unblocked(job_id)
            else:
                status = (
                    JobStatus.FAILED if policy == OnFailedDependency.FAIL else JobStatus.CANCELLED
                )
                missing = ended["status"] == "missing"
                update = _ended(
                    status, DEPENDENCY_MISSING if missing else DEPENDENCY_FAILED, job_id
                )
            # In parts, so that something is done when it is cut short.
            for start in range(0, len(job_ids), _AT_ONCE):
                part = job_ids[start : start + _AT_ONCE]
                await scope.update_many(JOBS_BLOCKED, update, job_ids=part, by=job_id)
        return [job["_id"] for job in waiting]


def _ended(status: JobStatus, reason: str, other: str) -> Pipeline:
    message = {
        DEPENDENCY_CYCLE: "it waits for a job that waits for it",
        DEPENDENCY_MISSING: f"it waits for {other}, which does not exist",
        DEPENDENCY_FAILED: f"it waits for {other}, which did not complete",
    }[reason]
    return job_updates.ended(status, reason, message)


async def _is_in_a_circle(scope: Scope, job: Row, known: Mapping[str, Row]) -> bool:
    """Whether a job waits, through others, for itself; looks at a thousand jobs at most.

    Args:
        scope: The tenant's scope.
        job: The job.
        known: The jobs it waits for, and others, by id.
    """
    seen: set[str] = set()
    ahead: list[str] = [*job["blocked_by"]]
    while ahead and len(seen) < _MOST_WALKED:
        if job["job_id"] in ahead:
            return True
        seen.update(ahead)
        unknown = [job_id for job_id in ahead if job_id not in known]
        rows = await scope.find(JOBS_BY_IDS, job_ids=unknown) if unknown else []
        rows += [known[job_id] for job_id in ahead if job_id in known]
        ahead = [
            other
            for row in rows
            if row["status"] == JobStatus.PENDING
            for other in row.get("blocked_by", ())
            if other not in seen
        ]
    return job["job_id"] in ahead
