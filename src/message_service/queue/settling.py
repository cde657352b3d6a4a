"""Moves jobs on that no worker can move: what waits, what has ended, whose worker is lost.

Every job that somebody has to look at says so in `attention_at`, in the same write that made it
necessary: a schedule, a retry, an expiry, the end of a lease, a lane or dependencies to look at, an
end that others wait for. So whoever dies leaves nothing behind that would not be found. Settling is
idempotent and guarded by the state as read; any number of processes may settle the same job.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from message_service import errors
from message_service.catalogue.queries.jobs import JOB_BY_ID
from message_service.catalogue.queries.processing_queue import JOB_AS_SEEN, QUEUE_BY_OBJECT_IDS
from message_service.database.bulk import TargetedUpdate
from message_service.database.store import Store
from message_service.database.unlocked import hurried
from message_service.documents.job import ENDED, JobStatus, Priority
from message_service.documents.row import Row
from message_service.queue import job_updates
from message_service.queue.dependencies import Dependencies
from message_service.queue.job_updates import Pipeline
from message_service.queue.lanes import Lanes, next_number
from message_service.queue.ordering import DEFAULT_DELAY, claim_order, due_at, retry_delay

WORKER_LOST = "worker_lost"
EXPIRED = "expired"
CANCELLED = "cancelled"

_ROUNDS = 100
"""How far what a job frees is followed at once; the sweep goes on from there."""

_SECONDS = 10.0
"""The longest that may take: somebody's transaction may hold one of the jobs."""

_LOST = "the worker that ran it did not renew its lease: it was killed, frozen or cut off"
_TOO_LATE = "it did not begin before expires_at"


@dataclass(frozen=True, slots=True)
class _Move:
    """An update of a job, and whether the job has ended with it, so that others are freed."""

    update: Pipeline
    ends: bool = False


class Settler:
    """Settles jobs of all tenants.

    Args:
        store: The database.
        ageing: Seconds of waiting that one rank of priority is worth.
        random: Source of random bytes, for the delays between attempts.
    """

    def __init__(self, store: Store, ageing: float, random: Callable[[int], bytes]) -> None:
        self._store = store
        self._ageing = ageing
        self._random = random
        self._lanes = Lanes(store, ageing)
        self._dependencies = Dependencies(store)

    async def settle(self, jobs: Sequence[Row]) -> None:
        """Do what these jobs need now, and what the jobs need that are freed by it.

        Args:
            jobs: As read, each with the server's `now`.

        Raises:
            Unavailable: The database cannot be reached; what is left is found by the sweep.
        """
        with hurried(_SECONDS):
            for _ in range(_ROUNDS):
                freed = await self._round(jobs)
                if not freed:
                    return
                jobs = await self._store.aggregate_everywhere(QUEUE_BY_OBJECT_IDS, ids=freed)

    async def settle_ids(self, ids: Sequence[Any]) -> None:
        """Settle jobs given by `_id`, for example such as have just ended.

        What cannot be done now is left to the sweep.
        """
        if ids:
            with contextlib.suppress(errors.Unavailable):
                await self.settle(
                    await self._store.aggregate_everywhere(QUEUE_BY_OBJECT_IDS, ids=[*ids])
                )

    async def _round(self, jobs: Sequence[Row]) -> list[Any]:
        """Settle jobs; return the `_id`s of those that were freed by it."""
        foreign = [job for job in jobs if "priority_rank" not in job]
        if foreign:
            return await self._adopt(foreign)
        updates: list[TargetedUpdate] = []
        freed: list[Any] = []
        ended: list[Row] = []
        blocked: list[Row] = []
        lanes: set[tuple[str, str]] = set()
        for job in jobs:
            move = self._simple(job)
            queue: Row = job["queue_metadata"]
            if move is not None:
                update = move.update
                if move.ends:
                    freed.append(job["_id"])
            else:
                update = job_updates.waiting(queue.get("expires_at"))
                lane: str | None = queue.get("lane")
                if job["status"] in ENDED:
                    update = job_updates.waiting(None)
                    ended.append(job)
                elif job.get("blocked_by"):
                    blocked.append(job)
                    lane = None
                if lane is not None:
                    lanes.add((job["tenant_id"], lane))
            updates.append(as_seen(job, update))
        freed.extend(await self._dependencies.look(blocked))
        for job in ended:
            if job.get("has_dependents"):
                freed.extend(await self._dependencies.release(job))
        for tenant_id, lane in sorted(lanes):
            await self._lanes.grant(tenant_id, lane)
        # Last, so that whoever dies before leaves the jobs due. Whoever moves a job meanwhile also
        # changes what it was seen by.
        if updates:
            await self._store.update_each(JOB_AS_SEEN, updates)
        return freed

    async def _adopt(self, jobs: Sequence[Row]) -> list[Any]:
        """Complete jobs that another program has stored; return their `_id`s."""
        for job in jobs:
            queue: Row = job["queue_metadata"]
            scope = self._store.scope(job["tenant_id"])
            lane: str | None = queue.get("lane")
            number = None if lane is None else await next_number(scope, lane)
            rank = Priority(job.get("priority", Priority.NORMAL)).rank
            await scope.update_one(
                JOB_BY_ID,
                job_updates.adopted(rank, number, queue.get("depends_on", ())),
                job_id=job["job_id"],
            )
        return [job["_id"] for job in jobs]

    def _simple(self, job: Row) -> _Move | None:
        """Return the move of a job that concerns no other; None if others are concerned."""
        now: datetime = job["now"]
        if job["status"] == JobStatus.PROCESSING:
            return self._lease_over(job, now)
        if job["status"] in ENDED:
            return None
        queue: Row = job["queue_metadata"]
        expires: datetime | None = queue.get("expires_at")
        if expires is not None and expires <= now:
            return _Move(job_updates.ended(JobStatus.FAILED, EXPIRED, _TOO_LATE), ends=True)
        if job.get("blocked_by"):
            return None
        due = due_at(job)
        if due is not None and due > now:
            return _Move(job_updates.waiting(due if expires is None else min(due, expires)))
        if queue.get("lane") is not None and not job.get("has_turn"):
            return None
        if "claim_order" in job:
            return _Move(job_updates.waiting(expires))
        place = claim_order(due or queue["scheduled_for"], job["priority_rank"], self._ageing)
        return _Move(job_updates.ready(place, expires))

    def _lease_over(self, job: Row, now: datetime) -> _Move:
        until: datetime = job["lease"]["until"]
        if until > now:
            return _Move(job_updates.waiting(until))
        if job.get("cancel_requested_at") is not None:
            cancelled = job_updates.ended(JobStatus.CANCELLED, CANCELLED)
            return _Move(job_updates.of_lost_worker(cancelled), ends=True)
        execution: Row = job["execution"]
        delay = None
        if execution["attempts"] < execution.get("max_attempts", 1):
            base: float = job["queue_metadata"].get("retry_delay_seconds", DEFAULT_DELAY)
            delay = int(1000 * retry_delay(execution["attempts"], base, self._random))
        lost = job_updates.attempt_failed(WORKER_LOST, _LOST, delay)
        return _Move(job_updates.of_lost_worker(lost), ends=delay is None)


def as_seen(job: Row, update: Pipeline) -> TargetedUpdate:
    """Return an update of a job that is written only if nobody has moved the job meanwhile."""
    return TargetedUpdate(
        job["tenant_id"],
        {
            "id": job["_id"],
            "status": job.get("status"),
            "attention_at": job.get("attention_at"),
            "claim_id": job.get("lease", {}).get("claim_id"),
            "blocked_by": job.get("blocked_by"),
        },
        update,
    )
