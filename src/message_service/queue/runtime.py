"""What one process shares of the queue."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from message_service import errors
from message_service.clock import Clock
from message_service.database.presence import Presence
from message_service.database.store import Store
from message_service.documents.job import JobType
from message_service.documents.row import Row
from message_service.ids import IdFactory
from message_service.queue.registry import JobKind, JobRegistry
from message_service.queue.settling import Settler
from message_service.queue.worker import WORKERS

_SILENT = 60.0
"""Seconds after which a worker that says nothing is taken for dead."""

_LOOK_AGAIN = 5.0


@dataclass(slots=True)
class QueueRuntime:
    """The shared parts.

    Attributes:
        store: The database.
        registry: The job types this process knows.
        settler: Settles jobs.
        clock: The present moment.
        ids: Makes ids.
        random: Source of random bytes.
        ageing: Seconds of waiting that one rank of priority is worth.
        deadline: Seconds a write is tried through failover.
    """

    store: Store
    registry: JobRegistry
    settler: Settler
    clock: Clock
    ids: IdFactory
    random: Callable[[int], bytes]
    ageing: float
    deadline: float
    _elsewhere: dict[str, str] = field(default_factory=dict[str, str])
    _looked_at: float = float("-inf")

    async def kind_of(self, job_type: str) -> JobKind:
        """Return a job type: declared here, of the service's own, or handled by a live worker.

        Raises:
            InvalidInput: None of these.
        """
        known = self.registry.get(job_type)
        if known is not None:
            return known
        if job_type in set(JobType):
            return JobKind(job_type, queue=job_type)
        now = asyncio.get_running_loop().time()
        if job_type not in self._elsewhere and now - self._looked_at > _LOOK_AGAIN:
            self._elsewhere = {
                name: queue
                for worker in await self.live_workers()
                for name, queue in worker["values"]["job_types"].items()
            }
            self._looked_at = now
        if job_type not in self._elsewhere:
            raise errors.InvalidInput(
                "job_type",
                f"{job_type!r} has no handler here and in no running worker",
                "Register one (@jobs.handler), or declare the type (jobs.declare)",
            )
        return JobKind(job_type, queue=self._elsewhere[job_type])

    async def live_workers(self) -> list[Row]:
        """Return the workers that have said within a minute that they are there."""
        rows = await Presence(self.store.database, WORKERS).seen()
        return [row for row in rows if row["silent"] < _SILENT]
