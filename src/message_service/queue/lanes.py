"""Lanes: jobs of one lane run in the order they were enqueued, one at a time.

The live job of a lane with the lowest number that could run has the turn, and only it can be
claimed; a unique index allows one turn for each lane. It keeps the turn through its retries. Jobs
that are scheduled for later or wait for others join the lane when they could run: they do not hold
it up.
"""

from __future__ import annotations

from datetime import datetime

from message_service import errors
from message_service.catalogue.queries.processing_queue import (
    JOB_AS_SEEN,
    LANE_END,
    LANE_IN_ORDER,
)
from message_service.database.scope import Scope
from message_service.database.store import Store
from message_service.documents.job import JobStatus
from message_service.documents.row import Row
from message_service.queue import job_updates
from message_service.queue.ordering import claim_order, due_at

_FEW = 2
_MANY = 100


class Lanes:
    """The lanes of all tenants.

    Args:
        store: The database.
        ageing: Seconds of waiting that one rank of priority is worth.
    """

    def __init__(self, store: Store, ageing: float) -> None:
        self._store = store
        self._ageing = ageing

    async def grant(self, tenant_id: str, lane: str) -> None:
        """Give the turn to the first job of a lane that could run, unless one has it."""
        scope = self._store.scope(tenant_id)
        while True:
            job = await self._first(scope, lane)
            if job is None or await self._give_turn(scope, job):
                return

    async def _first(self, scope: Scope, lane: str) -> Row | None:
        """Return the first job that could run; None when there is none, or one has the turn.

        Whoever has the turn is nearly always the first of all.
        """
        beyond, limit = -1, _FEW
        while True:
            rows = await scope.find(LANE_IN_ORDER, limit=limit, lane=lane, beyond=beyond)
            for row in rows:
                if row.get("has_turn"):
                    return None
                if row["status"] == JobStatus.PENDING and _could_run(row):
                    return row
            if len(rows) < limit:
                return None
            beyond, limit = rows[-1]["queue_metadata"]["lane_number"], _MANY

    async def _give_turn(self, scope: Scope, job: Row) -> bool:
        """Give a job the turn; False when it was moved meanwhile."""
        queue: Row = job["queue_metadata"]
        basis = due_at(job) or queue["scheduled_for"]
        place = claim_order(basis, job["priority_rank"], self._ageing)
        try:
            return await scope.update_one(
                JOB_AS_SEEN,
                job_updates.ready(place, queue.get("expires_at"), turn=True),
                id=job["_id"],
                status=job["status"],
                attention_at=job.get("attention_at"),
                claim_id=job.get("lease", {}).get("claim_id"),
                blocked_by=None,
            )
        except errors.AlreadyExists:
            return True  # another job has it


async def next_number(scope: Scope, lane: str) -> int:
    """Return the number after the last live job of a lane.

    The unique index lets one job take it; once no job of the lane is live, numbers begin again.
    """
    last = await scope.find_one(LANE_END, lane=lane)
    return 1 if last is None else last["queue_metadata"]["lane_number"] + 1


def _could_run(job: Row) -> bool:
    now: datetime = job["now"]
    expires: datetime | None = job["queue_metadata"].get("expires_at")
    due = due_at(job)
    return (
        not job.get("blocked_by")
        and (expires is None or expires > now)
        and (due is None or due <= now)
    )
