"""Random lives of jobs: whatever happens in whatever order, no job is stuck, doubled or lost."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from message_service import (
    Enqueued,
    EnqueueOutcome,
    JobRegistry,
    JobStatus,
    MessageService,
    Settings,
    errors,
)
from message_service.database.client import Database
from message_service.documents.job import ENDED, LIVE
from message_service.documents.row import Row
from message_service.queue import job_updates
from message_service.queue.claiming import Claiming
from message_service.queue.endings import Completion, Endings
from message_service.queue.settling import Settler
from message_service.queue.sweep import QueueSweep

patient = settings(
    max_examples=int(os.environ.get("JOB_LIVES", "40")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
EXAMPLES = itertools.count()

places = st.integers(0, 30)
operations = st.lists(
    st.one_of(
        st.tuples(
            st.just("enqueue"),
            st.sampled_from([None, None, "a", "b"]),
            st.lists(places, max_size=2),
            st.sampled_from(["fail", "skip", "run"]),
            st.sampled_from(["low", "normal", "urgent"]),
        ),
        st.tuples(
            st.just("keyed"),
            st.sampled_from(["reject", "replace", "keep_latest"]),
            st.sampled_from([None, "a"]),
        ),
        st.tuples(st.just("claim"), st.sampled_from([0, 1]), st.integers(1, 3)),
        st.tuples(
            st.just("end"), places, st.sampled_from(["done", "retry", "dead", "handed_back"])
        ),
        st.tuples(st.just("freeze"), places),
        st.tuples(st.just("cancel"), places),
        st.tuples(st.just("retry"), places),
        st.just(("sweep",)),
    ),
    min_size=1,
    max_size=25,
)


@dataclass
class Lives:
    """Carries operations out, and looks at every job after each."""

    service: MessageService
    database: Database
    queue: str
    ids: list[str] = field(default_factory=list[str])
    held: list[Row] = field(default_factory=list[Row])
    ran: Counter[str] = field(default_factory=Counter[str])
    began: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    def __post_init__(self) -> None:
        store = self.service.store
        self.settler = Settler(store, 3_600, os.urandom)
        self.sweep = QueueSweep(store, self.settler, poll=1)
        self.workers = [
            Claiming(store, f"{self.queue}-{number}", "node", 600, os.urandom)
            for number in range(2)
        ]
        self.endings = Endings(store, 5)

    async def do(self, operation: tuple[Any, ...]) -> None:
        jobs = self.service.jobs
        common: dict[str, Any] = {"queue": self.queue, "retry_delay_seconds": 0}
        match operation:
            case ("enqueue", lane, after, policy, priority):
                several = [self.ids[place % len(self.ids)] for place in after if self.ids]
                done = await jobs.enqueue(
                    "job",
                    lane=lane and f"{self.queue}-{lane}",
                    depends_on=several,
                    on_failed_dependency=policy,
                    priority=priority,
                    **common,
                )
                self.ids.append(done.job_id)
            case ("keyed", mode, lane):
                done = await jobs.enqueue(
                    "job",
                    lane=lane and f"{self.queue}-{lane}",
                    dedupe_key=self.queue,
                    on_duplicate=mode,
                    **common,
                )
                assert isinstance(done, Enqueued)
                if done.outcome in (EnqueueOutcome.STORED, EnqueueOutcome.REPLACED):
                    self.ids.append(done.job_id)
                assert done.job_id in self.ids
            case ("claim", worker, most):
                await self._claim(worker, most)
            case ("end", place, how) if self.held:
                await self._end(self.held.pop(place % len(self.held)), how)
            case ("freeze", place) if self.held:
                # Its worker is not heard of any longer; it goes on all the same, and may end.
                row = self.held[place % len(self.held)]
                await self.database["processing_queue"].update_one(
                    {"_id": row["_id"], "lease.claim_id": row["lease"]["claim_id"]},
                    {"$set": {"lease.until": LONG_AGO, "attention_at": LONG_AGO}},
                )
                await self._sweep()
            case ("cancel", place) if self.ids:
                await self._unless_refused(jobs.cancel(self.ids[place % len(self.ids)]))
            case ("retry", place) if self.ids:
                await self._unless_refused(jobs.retry(self.ids[place % len(self.ids)]))
            case ("sweep",):
                await self._sweep()
            case _:
                pass

    async def _claim(self, worker: int, most: int) -> None:
        for row in await self.workers[worker].claim([self.queue], most):
            self.held.append(row)
            lane = row["queue_metadata"].get("lane")
            if lane is not None:
                self.began.setdefault(lane, []).append(row["job_id"])

    async def _end(self, row: Row, how: str) -> None:
        update: Any = {
            "done": Completion({"n": 1}),
            "retry": job_updates.attempt_failed("handler_error", "no", 0)
            if row["execution"]["attempts"] < row["execution"]["max_attempts"]
            else job_updates.attempt_failed("handler_error", "no", None),
            "dead": job_updates.attempt_failed("gave_up", None, None),
            "handed_back": job_updates.handed_back(),
        }[how]
        now = await self._job(row["_id"])
        is_ours = (
            now["status"] == JobStatus.PROCESSING
            and now["lease"]["claim_id"] == row["lease"]["claim_id"]
        )
        written = await self.endings.write(row, update)
        assert written == is_ours, (now, how)
        if written:
            self.ran[row["job_id"]] += how == "done"
            await self.settler.settle_ids([row["_id"]])

    async def _unless_refused(self, call: Any) -> None:
        with contextlib.suppress(errors.Conflict):
            await call

    async def _sweep(self) -> None:
        while await self.sweep.step():
            pass

    async def _job(self, object_id: Any) -> Row:
        row = await self.database["processing_queue"].find_one({"_id": object_id})
        assert row is not None
        return row

    async def jobs(self) -> list[Row]:
        found = self.database["processing_queue"].find({"queue_metadata.queue_name": self.queue})
        return await found.to_list()

    async def check(self) -> None:
        """Nothing waits without a reason, and nothing can be claimed that must not run."""
        jobs = await self.jobs()
        assert {job["job_id"] for job in jobs} == set(self.ids)
        by_id = {job["job_id"]: job for job in jobs}
        turns = Counter(
            job["queue_metadata"]["lane"] for job in jobs if job.get("has_turn") is not None
        )
        assert all(count == 1 for count in turns.values())
        keys = Counter(
            job["queue_metadata"].get("dedupe_key") for job in jobs if job["status"] in LIVE
        )
        del keys[None]
        assert all(count == 1 for count in keys.values())
        for job in jobs:
            lane = job["queue_metadata"].get("lane")
            if job["status"] in ENDED:
                assert not job.keys() & {"claim_order", "has_turn", "blocked_by"}, job
                assert (job["status"] == "completed") or job["execution"]["reason"], job
                continue
            if "claim_order" in job:
                assert job["status"] == "pending"
                assert not job.get("blocked_by")
                assert lane is None or job["has_turn"], job
                continue
            if job["status"] == "processing" or "attention_at" in job:
                assert "attention_at" in job, job
                assert lane is None or job.get("has_turn") or job["status"] == "pending", job
                continue
            # Only what others will free may be without a moment of attention.
            if job.get("blocked_by"):
                for other in job["blocked_by"]:
                    assert by_id[other]["status"] in LIVE, job
                    assert by_id[other]["has_dependents"], job
            else:
                assert turns[lane] == 1, job

    async def finish(self) -> None:
        """Let everything run; nothing may be left."""
        for _ in range(200):
            await self._sweep()
            while self.held:
                await self._end(self.held.pop(), "done")
            await self._claim(0, 10)
            if not self.held and not any(job["status"] in LIVE for job in await self.jobs()):
                break
        jobs = await self.jobs()
        assert not [job for job in jobs if job["status"] in LIVE]
        for job in jobs:
            if job["status"] == "completed":
                assert self.ran[job["job_id"]] == 1, job
        await self.endings.close()


@patient
@given(operations)
async def test_no_job_is_stuck_doubled_or_lost(
    service: MessageService,
    mongo_uri: str,
    settings: Settings,
    database: Database,
    steps: list[tuple[Any, ...]],
) -> None:
    registry = JobRegistry()
    registry.declare("job")
    async with await MessageService.connect(
        mongo_uri, settings=settings, database=database.name, registry=registry
    ) as queue:
        lives = Lives(queue, database, f"q{next(EXAMPLES)}")
        for step in steps:
            await lives.do(step)
            await lives.check()
        await lives.finish()
