"""What one process shares of the queue."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from message_service import errors
from message_service.clock import Clock
from message_service.database.scope import Scope
from message_service.database.store import Store
from message_service.ids import IdFactory
from message_service.paging.cursors import CursorSigner
from message_service.queue.enqueuing import Enqueuing
from message_service.queue.registry import JobKind, JobRegistry
from message_service.queue.settling import Settler
from message_service.queue.workers import QueueControl

_LOOK_AGAIN = 5.0


@dataclass(slots=True)
class QueueRuntime:
    """The shared parts.

    Attributes:
        store: The database.
        control: Knows the workers.
        signer: Signs cursors.
        registry: The job types of the application.
        own: The job types of the service itself.
        settler: Settles jobs.
        clock: The present moment.
        ids: Makes ids.
        random: Source of random bytes.
        ageing: Seconds of waiting that one rank of priority is worth.
        deadline: Seconds a write is tried through failover.
    """

    store: Store
    control: QueueControl
    signer: CursorSigner
    registry: JobRegistry
    own: JobRegistry
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
        known = self.known(job_type)
        if known is not None:
            return known
        now = asyncio.get_running_loop().time()
        if job_type not in self._elsewhere and now - self._looked_at > _LOOK_AGAIN:
            self._elsewhere = {
                name: queue
                for worker in await self.control.listening()
                for name, queue in worker.job_types.items()
            }
            self._looked_at = now
        if job_type not in self._elsewhere:
            raise errors.InvalidInput(
                "job_type",
                f"{job_type!r} has no handler here and in no running worker",
                "Register one (@jobs.handler), or declare the type (jobs.declare)",
            )
        return JobKind(job_type, queue=self._elsewhere[job_type])

    def enqueuing(self, scope: Scope) -> Enqueuing:
        """Return what stores jobs of a tenant."""
        return Enqueuing(scope, self.settler, self.clock, self.ids, self.ageing, self.deadline)

    def known(self, job_type: str) -> JobKind | None:
        """Return a job type as this process knows it; None when it does not."""
        return self.registry.get(job_type) or self.own.get(job_type)

    def handlers(self) -> dict[str, JobKind]:
        """Return the job types with a handler here; the application's go before the service's."""
        return {**self.own.with_handlers(), **self.registry.with_handlers()}
