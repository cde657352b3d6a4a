"""A fault campaign on the queue: `python -m support.campaign --jobs 20000 --workers 8`.

Jobs with lanes, dependencies, priorities and schedules are run by processes with wrong clocks, that
are killed and frozen for longer than their leases; mongod is killed as well (with `--nodes 3`, the
primary). In the end every job has had its effect exactly once, lanes were in order, and nothing
waits without a reason.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import random
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pymongo.errors import PyMongoError

from message_service import JobRegistry, MessageService, errors
from message_service.database.client import Database
from message_service.documents.row import Row
from message_service.stopping import end_tasks
from support.replica_sets import ReplicaSet
from support.servers import OwnServer

WORKER = Path(__file__).with_name("campaign_worker.py")
_PRIORITIES = ("low", "normal", "normal", "high", "urgent")
_CHUNK = 100


@dataclass
class Faults:
    """What was done to the workers and the server."""

    kills: int = 0
    freezes: int = 0
    outages: int = 0


@dataclass
class Campaign:
    """One campaign.

    Attributes:
        uri: The server.
        database: The database.
        jobs: How many jobs there are.
        workers: How many processes run them.
        lease: Seconds of a worker's lease.
        seed: Seed of what happens.
        outage: Kills the server, and brings it or another in its place back.
        outages: How often.
        calm: Whether the workers are left alone.
        loud: Whether to show what they log.
    """

    uri: str
    database: str
    jobs: int
    workers: int
    lease: float
    seed: int
    outage: Callable[[], Awaitable[None]] | None = None
    outages: int = 0
    calm: bool = False
    loud: bool = False
    faults: Faults = field(default_factory=Faults)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self._running: list[asyncio.subprocess.Process] = []

    async def run(self, seconds: float) -> list[Row]:
        """Enqueue, run through the faults, and return the jobs once all have ended."""
        registry = JobRegistry()
        for job_type in ("effect", "doomed"):
            registry.declare(job_type, queue=job_type, max_attempts=1_000, retry_delay_seconds=0.05)
        async with await MessageService.connect(
            self.uri,
            database=self.database,
            registry=registry,
            min_pool_size=0,
            server_selection_timeout=1,
        ) as service:
            await _shorten_transactions(service)
            enqueuing = asyncio.create_task(self._enqueue(service))
            try:
                for number in range(self.workers):
                    await self._start(number)
                await self._disturb(service, enqueuing, seconds)
            finally:
                for process in self._running:
                    with contextlib.suppress(ProcessLookupError):
                        process.send_signal(signal.SIGCONT)
                        process.kill()
                    await process.wait()
                await end_tasks((enqueuing,))
            return await _stored(service.store.database)

    async def _enqueue(self, service: MessageService) -> None:
        """Enqueue in chunks; each chunk is repeated with its ids until it is acknowledged."""
        known: list[str] = []
        for start in range(0, self.jobs, _CHUNK):
            chunk: list[dict[str, Any]] = []
            for number in range(start, min(start + _CHUNK, self.jobs)):
                job_id = f"job_{number:012}"
                kind = self.chance.random()
                job: dict[str, Any] = {
                    "job_type": "effect",
                    "job_id": job_id,
                    "config": {"n": number},
                    "priority": self.chance.choice(_PRIORITIES),
                }
                if kind < 0.01:
                    job |= {"job_type": "doomed", "max_attempts": 2}
                elif kind < 0.25:
                    job["lane"] = f"lane{self.chance.randrange(20)}"
                elif kind < 0.45 and known:
                    job["depends_on"] = self.chance.sample(known, min(2, len(known)))
                    job["on_failed_dependency"] = self.chance.choice(["run", "fail", "skip"])
                elif kind < 0.5:
                    delay = timedelta(seconds=self.chance.random() * 3)
                    job["scheduled_for"] = datetime.now(UTC) + delay
                chunk.append(job)
            await self._enqueue_chunk(service, chunk)
            known = [job["job_id"] for job in chunk]

    async def _enqueue_chunk(self, service: MessageService, chunk: list[dict[str, Any]]) -> None:
        while True:
            try:
                outcomes = await service.jobs.enqueue_many(chunk)
            except errors.Unavailable:
                await asyncio.sleep(0.1)
                continue
            refused = [each for each in outcomes if isinstance(each, errors.MessageServiceError)]
            if any(isinstance(each, errors.Unavailable) for each in refused):
                continue
            # Those that are there were stored by an earlier try whose answer was lost.
            assert all(isinstance(each, errors.AlreadyExists) for each in refused), refused
            return

    async def _start(self, number: int) -> None:
        skew = (number % 5 - 2) * 300
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(WORKER), self.uri, self.database, str(skew), str(self.lease)),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=None if self.loud else asyncio.subprocess.DEVNULL,
        )
        self._running.append(process)

    async def _disturb(
        self, service: MessageService, enqueuing: asyncio.Task[None], seconds: float
    ) -> None:
        deadline = time.monotonic() + seconds
        database = service.store.database
        frozen: list[tuple[float, asyncio.subprocess.Process]] = []
        number = self.workers
        ended = 0
        while True:
            now = time.monotonic()
            with contextlib.suppress(PyMongoError):
                left = await database["processing_queue"].count_documents(
                    {"status": {"$in": ["pending", "processing"]}}, limit=1
                )
                stored = await database["processing_queue"].estimated_document_count()
                ended = stored - await database["processing_queue"].count_documents(
                    {"status": {"$in": ["pending", "processing"]}}
                )
                if enqueuing.done() and not left and stored >= self.jobs:
                    enqueuing.result()
                    return
            if enqueuing.done():
                enqueuing.result()
            assert now < deadline, f"jobs are left after {seconds:g} s: {self.faults}"
            for moment, process in list(frozen):
                if now >= moment:
                    frozen.remove((moment, process))
                    process.send_signal(signal.SIGCONT)
            outages = self.faults.outages
            due = ended > self.jobs * (outages + 0.5) / (self.outages + 1)
            if self.outage is not None and outages < self.outages and due:
                await self.outage()
                await _shorten_transactions(service)
                self.faults.outages += 1
            for process in self._running:
                assert process.returncode is None, "a worker ended by itself"
            icy = [process for _, process in frozen]
            awake = [process for process in self._running if process not in icy]
            if self.calm:
                pass
            elif self.chance.random() < 0.3:
                victim = self.chance.choice(awake)
                victim.kill()
                await victim.wait()
                self._running.remove(victim)
                number += 1
                await self._start(number)
                self.faults.kills += 1
            elif self.chance.random() < 0.3 and len(awake) > self.workers // 2:
                victim = self.chance.choice(awake)
                victim.send_signal(signal.SIGSTOP)
                frozen.append((now + self.lease * (1.2 + self.chance.random()), victim))
                self.faults.freezes += 1
            await asyncio.sleep(self.chance.random() * self.workers / 3)


async def _shorten_transactions(service: MessageService) -> None:
    """Let the server end transactions of killed processes in seconds, not in a minute."""
    with contextlib.suppress(PyMongoError):
        await service.store.database.client.admin.command(
            {"setParameter": 1, "transactionLifetimeLimitSeconds": 3}
        )


async def _stored(database: Database) -> list[Row]:
    return await database["processing_queue"].find({}).sort("job_id", 1).to_list()


async def check(database: Database, jobs: list[Row], expected: int) -> Counter[str]:
    """Check what a campaign has left; return how many jobs ended how."""
    assert len(jobs) == expected
    effects = Counter(row["job_id"] for row in await database["effects"].find({}).to_list())
    by_id = {job["job_id"]: job for job in jobs}
    ends: Counter[str] = Counter()
    for job in jobs:
        reason = job["execution"].get("reason", "")
        ends[f"{job['status']} {reason}".strip()] += 1
        done = job["status"] == "completed"
        assert effects[job["job_id"]] == done, (job, effects[job["job_id"]])
        if job["job_type"] == "doomed":
            assert job["status"] == "failed"
            continue
        if not done:
            assert reason == "dependency_failed", job
            continue
        for other in job["queue_metadata"].get("depends_on", ()):
            assert by_id[other]["execution"]["completed_at"] <= job["execution"]["started_at"]
    lanes: dict[str, list[Row]] = defaultdict(list)
    for job in jobs:
        if "lane" in job["queue_metadata"]:
            lanes[job["queue_metadata"]["lane"]].append(job)
    for lane in lanes.values():
        for before, after in itertools.pairwise(lane):
            assert before["execution"]["completed_at"] <= after["execution"]["started_at"], lane
    leftover = [job for job in jobs if job.keys() & {"claim_order", "has_turn", "blocked_by"}]
    assert not leftover, leftover
    return ends


async def main() -> None:
    """Run the long campaign."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=1_500)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--outages", type=int, default=3, help="how often the server is killed")
    parser.add_argument("--nodes", type=int, choices=(1, 3), default=1)
    parser.add_argument("--loud", action="store_true", help="show what workers log")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        own = OwnServer(Path(directory)) if given.nodes == 1 else ReplicaSet(Path(directory))
        await own.start()
        try:
            campaign = Campaign(
                own.uri,
                "campaign",
                given.jobs,
                given.workers,
                2.0,
                given.seed,
                own.fail_over,
                given.outages,
                loud=given.loud,
            )
            began = time.monotonic()
            jobs = await campaign.run(given.seconds)
            took = time.monotonic() - began
            async with await MessageService.connect(own.uri, database="campaign") as service:
                ends = await check(service.store.database, jobs, given.jobs)
            print(f"seed {given.seed}: {given.jobs:,} jobs in {took:.0f} s, {campaign.faults}")
            for name, count in ends.most_common():
                print(f"  {count:>7,} {name}")
            attempts = Counter(job["execution"]["attempts"] for job in jobs)
            print(f"  attempts: {dict(sorted(attempts.items()))}")
        finally:
            await own.stop()


if __name__ == "__main__":
    asyncio.run(main())
