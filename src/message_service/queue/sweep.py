"""The sweep: the loop that looks at every job that is due for attention.

Every worker has one; one of them works at a time. Leases that ended, schedules, retries, expiry,
and what a process left undone that died between two steps: all are found here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from message_service import errors
from message_service.catalogue.queries.processing_queue import (
    JOB_AS_SEEN,
    QUEUE_ATTENTION,
    QUEUE_NEXT_ATTENTION,
)
from message_service.database.store import Store
from message_service.database.unlocked import hurried
from message_service.database.wake import WakeUp
from message_service.documents.row import Row
from message_service.loops.loop import Loop
from message_service.queue import job_updates
from message_service.queue.settling import Settler, as_seen
from message_service.queue.wakes import TO_SETTLE
from message_service.stopping import end_tasks

_LOG = logging.getLogger(__name__)

NOT_SETTLED = "not_settled"
_AGAIN_MS = 60_000

_PATIENCE = 2.0
_PATIENCE_FOR_ONE = 0.5
"""Seconds to settle several jobs, and one."""

_LOCKED_FOR = 5.0
"""Seconds until a job that could not be settled in time is looked at again."""

_LATE_IN_A_ROW = 5


class _Soonest:
    """Waits for the next moment a job is due for attention, for a change, or for the poll."""

    def __init__(self, store: Store, seconds: float, next_due: Callable[[], float | None]) -> None:
        self._changes = WakeUp(store.database, "processing_queue", TO_SETTLE, seconds)
        self._seconds = seconds
        self._next_due = next_due

    async def arm(self) -> None:
        await self._changes.arm()

    async def wait(self) -> None:
        soon = self._next_due()
        if soon is None or soon >= self._seconds:
            await self._changes.wait()
            return
        waiting = asyncio.create_task(self._changes.wait())
        try:
            await asyncio.wait((waiting,), timeout=soon)
        finally:
            await end_tasks((waiting,))

    async def disarm(self) -> None:
        await self._changes.disarm()


class QueueSweep(Loop):
    """Sweeps the queue of all tenants.

    Args:
        store: The database.
        settler: Settles jobs.
        poll: Most seconds between two looks.
    """

    name = "queue_sweep"

    def __init__(self, store: Store, settler: Settler, *, poll: float) -> None:
        self._store = store
        self._settler = settler
        self._next_due: float | None = None
        self._settled = 0
        self._locked: dict[Any, float] = {}
        self.wake = _Soonest(store, poll, lambda: self._next_due)

    async def step(self) -> bool:
        """Settle a batch; False when nothing is due."""
        due = await self._store.aggregate_everywhere(QUEUE_ATTENTION)
        now = asyncio.get_running_loop().time()
        self._locked = {job: until for job, until in self._locked.items() if until > now}
        jobs = [job for job in due if job["_id"] not in self._locked]
        if jobs:
            await self._settle(jobs)
            self._settled += len(jobs)
            return True
        self._next_due = None
        if not due:
            rows = await self._store.aggregate_everywhere(QUEUE_NEXT_ATTENTION)
            self._next_due = max(0.0, rows[0]["wait"] / 1000) if rows else None
        return False

    async def _settle(self, jobs: Sequence[Row]) -> None:
        """Settle jobs; one that cannot be settled does not hold up the others."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + (_PATIENCE if len(jobs) > 1 else _PATIENCE_FOR_ONE)
        try:
            with hurried(deadline - loop.time()):
                await self._settler.settle(jobs)
        except errors.Unavailable:
            if loop.time() < deadline:
                raise
            # The server is slow, or somebody's transaction holds a job: the others do not wait.
            if len(jobs) == 1:
                self._locked[jobs[0]["_id"]] = loop.time() + _LOCKED_FOR
                return
            await self._one_by_one(jobs)
        except Exception as error:
            if len(jobs) > 1:
                await self._one_by_one(jobs)
                return
            [job] = jobs
            _LOG.error("job %s not settled: %s", job["job_id"], errors.trace_of(error))
            text = f"the queue cannot read it: {type(error).__name__}"
            update = job_updates.set_aside(NOT_SETTLED, text, _AGAIN_MS)
            await self._store.update_each(JOB_AS_SEEN, [as_seen(job, update)])

    async def _one_by_one(self, jobs: Sequence[Row]) -> None:
        late = 0
        for job in jobs:
            await self._settle([job])
            late = late + 1 if job["_id"] in self._locked else 0
            if late == _LATE_IN_A_ROW:
                raise errors.Unavailable("jobs cannot be settled: the server does not end in time")

    def figures(self) -> dict[str, int]:
        """Return how many jobs were settled."""
        return {"settled": self._settled}
