"""Everything that works in the background: one call runs the jobs and all loops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from message_service.analytics.sampling import SampledCheck
from message_service.arguments import (
    check_instance,
    check_number,
    check_sequence,
    check_whole_number,
)
from message_service.database.lease import Lease
from message_service.ids import IdKind
from message_service.loops.loop import Loop
from message_service.loops.runner import LoopRunner
from message_service.queue.registry import MOST_SECONDS, check_queue
from message_service.queue.runtime import QueueRuntime
from message_service.queue.scheduling import Scheduling
from message_service.queue.sweep import QueueSweep
from message_service.queue.worker import MOST_JOBS, Worker, WorkerFigures, WorkerOptions
from message_service.settings import Settings
from message_service.stopping import StopSignal, end_tasks

LoopRun = Callable[[StopSignal], Coroutine[Any, Any, bool]]


class BackgroundWorker:
    """A worker with the loops that run beside it.

    Args:
        worker: Runs jobs.
        loops: Run the loops; one process of all works on each at a time, the others stand by.
    """

    def __init__(self, worker: Worker, loops: Sequence[LoopRun]) -> None:
        self._worker = worker
        self._loops = loops

    @property
    def name(self) -> str:
        """The worker's name, as in `execution.worker_id` of its jobs."""
        return self._worker.name

    @property
    def queues(self) -> tuple[str, ...]:
        """The queues it listens on."""
        return self._worker.queues

    @property
    def figures(self) -> WorkerFigures:
        """Counts of the jobs it has run."""
        return self._worker.figures

    @property
    def running(self) -> int:
        """Jobs that run now."""
        return self._worker.running

    async def run(self, stop: StopSignal | None = None) -> None:
        """Work until asked to stop.

        Args:
            stop: Asks to stop: no further job is begun; the running ones have their grace period
                to end, then they are handed back. Without it, cancel the task that runs this call:
                the running jobs are then found by the end of their leases.
        """
        asked = StopSignal() if stop is None else check_instance("stop", stop, StopSignal)
        tasks = [
            asyncio.create_task(self._worker.run(asked)),
            *(asyncio.create_task(loop(asked)) for loop in self._loops),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            await end_tasks(tasks)
        for task in tasks:
            if not task.cancelled():
                task.result()


def make_worker(
    queue: QueueRuntime,
    settings: Settings,
    tenant_of: Callable[[str], object],
    holder: str,
    *,
    queues: Sequence[str],
    concurrency: int,
    grace: float,
    loops: Sequence[LoopRun],
) -> BackgroundWorker:
    """Put a worker together; see `MessageService.worker`.

    Args:
        queue: What the process shares of the queue.
        settings: The settings in force.
        tenant_of: Returns what handlers get for a tenant.
        holder: The name of this process.
        queues: The queues the worker listens on; empty for those of its job types.
        concurrency: Most jobs it runs at once.
        grace: Seconds running jobs have to end.
        loops: Run the loops beside it; the queue's own are added, and to any the check of
            summaries.
    """
    options = WorkerOptions(
        tuple(check_queue("queues", name) for name in check_sequence("queues", queues)),
        check_whole_number("concurrency", concurrency, 1, MOST_JOBS),
        check_number("grace", grace, 0, MOST_SECONDS),
        settings.queue_lease,
        settings.queue_poll,
        settings.write_deadline,
    )
    machine_and_process = holder.rpartition(":")[0]
    name = f"{machine_and_process}:{queue.ids.new(IdKind.JOB)[-8:]}"
    own_loops: list[Loop] = [
        QueueSweep(queue.store, queue.settler, poll=options.poll),
        Scheduling(
            queue.store,
            lambda tenant_id: queue.enqueuing(queue.store.scope(tenant_id)),
            queue.known,
            poll=options.poll,
        ),
    ]
    if loops:
        every = settings.analytics_check_every
        own_loops.append(SampledCheck(queue.store, queue.clock, queue.random, every))
    runners = [
        LoopRunner(
            loop,
            Lease(queue.store.database, loop.name, name, loop.lease_seconds),
            queue.clock,
            standby=options.poll,
        )
        for loop in own_loops
    ]
    worker = Worker(
        queue.store, queue.handlers(), tenant_of, queue.settler, name, queue.random, options
    )
    return BackgroundWorker(worker, (*(runner.run for runner in runners), *loops))
