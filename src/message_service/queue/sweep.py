"""The sweep: the loop that looks at every job that is due for attention.

Every worker has one; one of them works at a time. Leases that ended, schedules, retries, expiry,
and what a process left undone that died between two steps: all are found here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from message_service.catalogue.queries.processing_queue import QUEUE_ATTENTION, QUEUE_NEXT_ATTENTION
from message_service.database.store import Store
from message_service.database.wake import WakeUp
from message_service.loops.loop import Loop
from message_service.queue.settling import Settler
from message_service.queue.wakes import TO_SETTLE
from message_service.stopping import end_tasks


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
        self.wake = _Soonest(store, poll, lambda: self._next_due)

    async def step(self) -> bool:
        """Settle a batch; False when nothing is due."""
        jobs = await self._store.aggregate_everywhere(QUEUE_ATTENTION)
        if jobs:
            await self._settler.settle(jobs)
            self._settled += len(jobs)
            return True
        rows = await self._store.aggregate_everywhere(QUEUE_NEXT_ATTENTION)
        self._next_due = max(0.0, rows[0]["wait"] / 1000) if rows else None
        return False

    def figures(self) -> dict[str, int]:
        """Return how many jobs were settled."""
        return {"settled": self._settled}
