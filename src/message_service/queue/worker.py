"""The worker: claims jobs, runs their handlers, and keeps its claims alive."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from message_service import errors
from message_service.catalogue.queries.processing_queue import QUEUE_HELD
from message_service.database.presence import Presence
from message_service.database.store import Store
from message_service.database.unlocked import Updated
from message_service.database.wake import WakeUp
from message_service.documents.job import JobStatus
from message_service.documents.row import Row
from message_service.queue import job_updates
from message_service.queue.attempt import Attempt, Outcome
from message_service.queue.claiming import Claiming
from message_service.queue.endings import Endings
from message_service.queue.registry import JobKind
from message_service.queue.running_job import RunningJob
from message_service.queue.settling import EXPIRED, Settler
from message_service.queue.wakes import CLAIMABLE
from message_service.queue.workers import WORKERS
from message_service.stopping import StopSignal, end_tasks

_LOG = logging.getLogger(__name__)

NO_HANDLER = "no_handler"
WORKER_ERROR = "worker_error"

MOST_JOBS = 10_000
"""Most jobs one worker runs at once."""

_UNWRITTEN = 4
"""Jobs whose outcome is not written yet, for each that may run."""

_BEATS = 6
"""Renewals in the length of a lease."""

_AS_USUAL = {"completed", "snoozed", "handed_back"}
"""Outcomes that are no warning."""

_PARKED_MS = 30_000
_RETRY_PAUSE = 0.5
_ANNOUNCED_EVERY = 10.0


@dataclass(slots=True)
class WorkerFigures:
    """Counts of a worker since it began.

    Attributes:
        claimed: Jobs it has claimed.
        completed: Jobs it has completed.
        retried: Attempts that failed, with another one to come.
        failed: Jobs that failed for good.
        cancelled: Jobs that were cancelled while they ran.
        snoozed: Jobs whose handler put them off.
        handed_back: Jobs given back because the worker stopped, or has no handler for them.
        lost: Jobs whose lease was lost.
    """

    claimed: int = 0
    completed: int = 0
    retried: int = 0
    failed: int = 0
    cancelled: int = 0
    snoozed: int = 0
    handed_back: int = 0
    lost: int = 0


_COUNTED = {
    "completed": "completed",
    "retry": "retried",
    "failed": "failed",
    "cancelled": "cancelled",
    "snoozed": "snoozed",
    "handed_back": "handed_back",
    "parked": "handed_back",
    "lost": "lost",
}


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How a worker works.

    Attributes:
        queues: The queues it listens on; empty for those of the job types it has handlers for.
        concurrency: Most jobs it runs at once.
        grace: Seconds running jobs have to end, once the worker is asked to stop.
        lease: Seconds a claim holds without renewal.
        poll: Most seconds between two looks at the queue.
        patience: Seconds an outcome is tried to be written.
    """

    queues: tuple[str, ...]
    concurrency: int
    grace: float
    lease: float
    poll: float
    patience: float


class Worker:
    """Runs jobs of all tenants.

    Args:
        store: The database.
        kinds: The job types it has handlers for, by name.
        tenant_of: Returns what handlers get for a tenant.
        settler: Settles jobs.
        name: The worker's name, unique.
        random: Source of random bytes.
        options: How it works.
    """

    def __init__(
        self,
        store: Store,
        kinds: Mapping[str, JobKind],
        tenant_of: Callable[[str], object],
        settler: Settler,
        name: str,
        random: Callable[[int], bytes],
        options: WorkerOptions,
    ) -> None:
        self._store = store
        self._kinds = kinds
        self._tenant_of = tenant_of
        self._settler = settler
        self._random = random
        self._options = options
        self.name = name
        self.queues = options.queues or tuple(sorted({kind.queue for kind in self._kinds.values()}))
        self.figures = WorkerFigures()
        self._node = socket.gethostname()
        self._claiming = Claiming(store, name, self._node, options.lease, random)
        self._endings = Endings(store, options.patience)
        self._attempts: dict[tuple[Any, str], tuple[Row, Attempt | None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._presence = Presence(store.database, WORKERS)
        self._freed = asyncio.Event()
        self._held_until = 0.0
        self._busy = 0

    @property
    def running(self) -> int:
        """Jobs that run now."""
        return self._busy

    async def run(self, stop: StopSignal) -> None:
        """Work until asked to stop; then end the running jobs, or hand them back."""
        beating = StopSignal()
        keepers = [
            asyncio.create_task(self._forever(self._beat, self._options.lease / _BEATS, beating)),
            asyncio.create_task(self._forever(self._announce, _ANNOUNCED_EVERY, beating)),
        ]
        try:
            await self._claim_until(stop)
            await self._end_jobs()
        finally:
            beating.request()
            await end_tasks((*self._tasks, *keepers))
            await self._endings.close()
            with contextlib.suppress(errors.MessageServiceError):
                await self._presence.withdraw(self.name)

    async def _claim_until(self, stop: StopSignal) -> None:
        wake = WakeUp(self._store.database, "processing_queue", CLAIMABLE, self._options.poll)
        armed = False
        try:
            while not stop.requested:
                free = self._free()
                if free <= 0:
                    self._freed.clear()
                    await stop.race(self._freed.wait())
                    armed = False  # meanwhile it may have reported much that is done by now
                    continue
                try:
                    rows = await self._claiming.claim(self.queues, free)
                except errors.MessageServiceError as error:
                    _LOG.warning("worker %s cannot claim: %s", self.name, error.code)
                    await stop.pause(_RETRY_PAUSE)
                    continue
                if rows:
                    self._begin(rows)
                    await asyncio.sleep(0)  # jobs that do nothing end before the next claim
                armed = armed and self._claiming.exhausted
                if armed:
                    await stop.race(wake.wait())
                    armed = wake.listening
                elif not rows:
                    # Listen first, then look again: what comes in between is not missed.
                    await wake.arm()
                    armed = True
        finally:
            await wake.disarm()

    def _free(self) -> int:
        """Return how many jobs may be claimed now.

        A job is out of the way once its handler has ended; some may wait for their outcome to be
        written meanwhile.
        """
        if len(self._tasks) - self._busy >= _UNWRITTEN * self._options.concurrency:
            return 0
        return self._options.concurrency - self._busy

    def _begin(self, rows: Sequence[Row]) -> None:
        if not self._attempts:
            self._held_until = asyncio.get_running_loop().time() + self._options.lease
        self.figures.claimed += len(rows)
        for row in rows:
            self._attempts[_key(row)] = (row, None)
            self._busy += 1
            task = asyncio.create_task(self._work(row))
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._freed.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOG.error("worker %s: %s", self.name, errors.trace_of(error))

    async def _work(self, row: Row) -> None:
        """Run a claimed job, and write its outcome."""
        began = asyncio.get_running_loop().time()
        try:
            outcome = self._refusal(row) or await self._attempt(row)
        except Exception as error:  # of ours: the job must not be without an outcome
            _LOG.error("job %s: %s", row["job_id"], errors.trace_of(error))
            update = job_updates.attempt_failed(WORKER_ERROR, type(error).__name__, None)
            outcome = Outcome("failed", update, WORKER_ERROR)
        finally:
            self._busy -= 1
            self._freed.set()
        written = True
        try:
            if outcome.update is not None:
                written = await self._endings.write(row, outcome.update)
        except errors.MessageServiceError as error:
            _LOG.error("job %s: its outcome was not written: %s", row["job_id"], error.code)
            return
        finally:
            self._attempts.pop(_key(row), None)
        name = outcome.name if written else "lost"
        counted = _COUNTED[name]
        setattr(self.figures, counted, getattr(self.figures, counted) + 1)
        spent = asyncio.get_running_loop().time() - began
        _log(row, name, outcome.reason, self.name, spent)
        waited_for = row["queue_metadata"].get("lane") is not None or row.get("has_dependents")
        if written and waited_for and name in {"completed", "failed", "cancelled"}:
            with contextlib.suppress(errors.MessageServiceError):  # the sweep finds it too
                await self._settler.settle_ids([row["_id"]])

    def _refusal(self, row: Row) -> Outcome | None:
        """Return the outcome of a job that is not begun at all."""
        if row["job_type"] not in self._kinds:
            text = f"no handler for {row['job_type']!r} in worker {self.name}; it waits for another"
            return Outcome("parked", job_updates.parked(NO_HANDLER, text, _PARKED_MS), NO_HANDLER)
        expires = row["queue_metadata"].get("expires_at")
        if expires is not None and expires <= row["execution"]["started_at"]:
            text = "it did not begin before expires_at"
            return Outcome("failed", job_updates.ended(JobStatus.FAILED, EXPIRED, text), EXPIRED)
        return None

    async def _attempt(self, row: Row) -> Outcome:
        attempt = Attempt(
            row,
            self._kinds[row["job_type"]],
            RunningJob(row, self._store, self._options.patience, self._options.lease),
            self._tenant_of(row["tenant_id"]),
            self._random,
        )
        self._attempts[_key(row)] = (row, attempt)
        return await attempt.run()

    async def _end_jobs(self) -> None:
        """Let the running jobs end, and hand back those that take too long."""
        _LOG.info("worker %s stops; %d jobs run", self.name, self.running)
        if self._tasks:
            await asyncio.wait([*self._tasks], timeout=self._options.grace)
        for _, attempt in [*self._attempts.values()]:
            if attempt is not None:
                attempt.hand_back()
        if self._tasks:
            await asyncio.wait([*self._tasks], timeout=self._options.patience)

    async def _beat(self) -> None:
        """Renew the leases of the running jobs; end those that are lost or cancelled."""
        if not self._attempts:
            return
        # What writes in a transaction holds its job by that, and renews the lease itself.
        held = {
            key: (row, attempt)
            for key, (row, attempt) in self._attempts.items()
            if attempt is None or not attempt.writing
        }
        asked = asyncio.get_running_loop().time()
        ids = [job for job, _ in held]
        claims = sorted({claim for _, claim in held})
        try:
            renewed = await self._store.update_unlocked(
                QUEUE_HELD,
                job_updates.renewed(int(self._options.lease * 1000)),
                ids=ids,
                claim_ids=claims,
                seconds=self._options.lease / _BEATS,
            )
            rows = await self._store.find_everywhere(QUEUE_HELD, ids=ids, claim_ids=claims)
        except errors.MessageServiceError:
            if asyncio.get_running_loop().time() < self._held_until:
                raise
            rows, renewed = [], Updated(None)  # by now others may have them all
        else:
            self._held_until = asked + self._options.lease
        still = {_key(row): row for row in rows}
        for key, (_, attempt) in held.items():
            if attempt is None or key[0] in renewed.locked:
                continue
            if key not in still:
                attempt.lose()
            elif still[key].get("cancel_requested_at") is not None:
                attempt.stop()

    async def _announce(self) -> None:
        await self._presence.announce(
            self.name,
            {
                "queues": [*self.queues],
                "job_types": {name: kind.queue for name, kind in self._kinds.items()},
                "concurrency": self._options.concurrency,
                "running": self.running,
                "node": self._node,
                "figures": asdict(self.figures),
            },
        )

    async def _forever(
        self, call: Callable[[], Coroutine[Any, Any, None]], seconds: float, stop: StopSignal
    ) -> None:
        while not stop.requested:
            try:
                await call()
            except errors.MessageServiceError as error:
                _LOG.warning("worker %s: %s", self.name, error.code)
            except Exception as error:
                _LOG.error("worker %s: %s", self.name, errors.trace_of(error))
            await stop.pause(seconds)


def _key(row: Row) -> tuple[Any, str]:
    """Return what tells one claim of a job from the next."""
    return row["_id"], row["lease"]["claim_id"]


def _log(row: Row, outcome: str, reason: str | None, worker: str, seconds: float) -> None:
    facts = {
        "job_id": row["job_id"],
        "job_type": row["job_type"],
        "tenant_id": row["tenant_id"],
        "queue": row["queue_metadata"]["queue_name"],
        "attempt": row["execution"]["attempts"],
        "outcome": outcome,
        "reason": reason,
        "worker_id": worker,
        "seconds": round(seconds, 3),
    }
    level = logging.INFO if outcome in _AS_USUAL else logging.WARNING
    if _LOG.isEnabledFor(level):
        _LOG.log(level, "job %s %s", row["job_id"], outcome, extra={"job": facts})
