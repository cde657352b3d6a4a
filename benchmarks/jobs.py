"""The queue: no-op jobs end to end against one-by-one claims, latency, claims in a long backlog."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks.harness import Figure, callers, fresh_service, median, percentile
from message_service import JobRegistry, MessageService
from message_service.database.client import Database
from message_service.queue.claiming import Claiming

BATCH = 1_000
ROUNDS = 3


async def measure(uri: str, *, quick: bool) -> list[Figure]:
    return [
        *[await _throughput(uri, count, quick=quick) for count in (1, 4, 16)],
        *await _latency(uri, 30 if quick else 200, 0),
        *await _latency(uri, 30 if quick else 200, 20_000 if quick else 1_000_000),
        *await _enqueue(uri, quick=quick),
    ]


@asynccontextmanager
async def _processes(
    kind: str, uri: str, database: str, count: int
) -> AsyncIterator[list[asyncio.subprocess.Process]]:
    """Start processes that are ready to begin, and end them."""
    several = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.queue_worker", kind, uri, database),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(count)
    ]
    try:
        for process in several:
            assert process.stdout is not None
            assert await process.stdout.readline() == b"ready\n"
        yield several
    finally:
        for process in several:
            assert process.stdin is not None
            process.stdin.close()
        await asyncio.gather(*(process.wait() for process in several))


async def _go(processes: list[asyncio.subprocess.Process]) -> None:
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        await process.stdin.drain()


def _registry() -> JobRegistry:
    registry = JobRegistry()
    registry.declare("noop")
    return registry


async def _fill(service: MessageService, count: int, **fields: Any) -> None:
    for start in range(0, count, BATCH):
        many = [{"job_type": "noop", **fields} for _ in range(min(BATCH, count - start))]
        await service.jobs.enqueue_many(many)


async def _throughput(uri: str, count: int, *, quick: bool) -> Figure:
    """Run a backlog of no-op jobs with so many processes, against raw claims of as many."""
    jobs = (2_000 if quick else 10_000) * (1 if count == 1 else 2)
    raw_jobs = jobs // 4
    ours: list[float] = []
    raw: list[float] = []
    for _ in range(1 if quick else ROUNDS):
        async with fresh_service(uri) as service:
            database = service.store.database
            async with await MessageService.connect(
                uri, database=database.name, registry=_registry(), min_pool_size=0
            ) as queue:
                await _fill(queue, jobs)
            async with _processes("ours", uri, database.name, count) as processes:
                await _go(processes)
                await _until_ended(database, jobs)
            ours.append(jobs / await _span(database, "processing_queue", "execution.completed_at"))
            await _fill_raw(database, raw_jobs)
            async with _processes("raw", uri, database.name, count) as processes:
                await _go(processes)
                await asyncio.gather(*(process.wait() for process in processes))
            raw.append(raw_jobs / await _span(database, "raw_queue", "started_at"))
    done, claims = median(ours), median(raw)
    name = f"no-op jobs, claim to done, {count} worker{'s' if count > 1 else ''}"
    return Figure(
        f"{name} (raw: claims one by one)",
        f"{done:,.0f}/s",
        f"{claims:,.0f}/s",
        done / claims,
        5.0,
        "higher",
    )


async def _fill_raw(database: Database, count: int) -> None:
    queue = database["raw_queue"]
    now = datetime.now(UTC)
    await queue.insert_many(
        [
            {
                "status": "pending",
                "priority_rank": 1,
                "queue_metadata": {"scheduled_for": now + timedelta(milliseconds=n)},
            }
            for n in range(count)
        ]
    )
    await queue.create_index(
        [("status", 1), ("priority_rank", -1), ("queue_metadata.scheduled_for", 1)], name="by_rank"
    )


async def _until_ended(database: Database, count: int) -> None:
    """Wait; looking costs the server next to nothing, and when it looks does not matter."""
    live = {"tenant_id": "default", "status": {"$in": ["pending", "processing"]}}
    queue = database["processing_queue"]
    while await queue.count_documents(live, limit=1):  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    assert await queue.count_documents({"status": "completed"}) == count


async def _span(database: Database, collection: str, ended: str) -> float:
    """Return the seconds from the first claim to the last end."""
    started = "started_at" if collection == "raw_queue" else "execution.started_at"
    [row] = await (
        await database[collection].aggregate(
            [
                {
                    "$group": {
                        "_id": None,
                        "first": {"$min": f"${started}"},
                        "last": {"$max": f"${ended}"},
                    }
                }
            ]
        )
    ).to_list()
    return (row["last"] - row["first"]).total_seconds()


async def _latency(uri: str, count: int, backlog: int) -> list[Figure]:
    """Enqueue single urgent jobs and measure until they begin; with a backlog, what claims read."""
    async with fresh_service(uri) as service:
        database = service.store.database
        async with await MessageService.connect(
            uri, database=database.name, registry=_registry(), min_pool_size=0
        ) as queue:
            await _fill(queue, backlog, priority="low")
            async with _processes("ours", uri, database.name, 1) as processes:
                read = await _examined_by_claims(queue) if backlog else 0.0
                await _go(processes)
                await asyncio.sleep(2)
                waits: list[float] = []
                for _ in range(count):
                    begun = datetime.now(UTC)
                    done = await queue.jobs.enqueue("noop", priority="urgent")
                    job = await queue.jobs.wait(done.job_id, 60)
                    assert job.execution.started_at is not None
                    waits.append((job.execution.started_at - begun).total_seconds() * 1000)
                    await asyncio.sleep(0.02)
    p50, p99 = percentile(waits, 0.5), percentile(waits, 0.99)
    if not backlog:
        name = f"enqueue to start, idle: p50 (p99 {p99:.1f} ms)"
        return [Figure(name, f"{p50:.1f} ms", "bar 10 ms", p50 / 10, 1.0, "lower")]
    # No bar is set for the wait itself: it is told beside what a claim reads.
    name = f"documents examined for each claimed job of {backlog:,}"
    name += f" (an urgent one starts after p50 {p50:.1f} ms, p99 {p99:.1f} ms)"
    return [Figure(name, f"{read:.2f}", "bar 2", read / 2, 1.0, "lower")]


async def _examined_by_claims(queue: MessageService) -> float:
    """Claim some jobs while nothing else runs; return what the server read for each."""
    claiming = Claiming(queue.store, "bench", "bench", 3_600.0, os.urandom)
    before = await _examined(queue.store.database)
    claimed = 0
    for _ in range(50):
        claimed += len(await claiming.claim(["noop"], 64))
    return (await _examined(queue.store.database) - before) / claimed


async def _examined(database: Database) -> int:
    status = await database.client.admin.command("serverStatus")
    examined: int = status["metrics"]["queryExecutor"]["scannedObjects"]
    return examined


async def _enqueue(uri: str, *, quick: bool) -> list[Figure]:
    """Enqueue one by one and in batches, against raw inserts of the same documents."""
    figures: list[Figure] = []
    each = 200 if quick else 1_000
    async with fresh_service(uri) as service:
        database = service.store.database
        async with await MessageService.connect(
            uri, database=database.name, registry=_registry(), min_pool_size=0
        ) as queue:
            await queue.jobs.enqueue("noop")
            [document] = await database["processing_queue"].find({}).to_list()
            target = service.store.collection("processing_queue")
            copies = 0

            def copy() -> dict[str, Any]:
                nonlocal copies
                copies += 1
                values = {key: value for key, value in document.items() if key != "_id"}
                return {**values, "job_id": f"job_{copies:012}"}

            async def ours(_caller: int, _turn: int) -> None:
                await queue.jobs.enqueue("noop")

            async def raw(_caller: int, _turn: int) -> None:
                await target.insert_one(copy())

            async def ours_many(_caller: int, _turn: int) -> None:
                await queue.jobs.enqueue_many([{"job_type": "noop"} for _ in range(BATCH)])

            async def raw_many(_caller: int, _turn: int) -> None:
                await target.insert_many([copy() for _ in range(BATCH)])

            for name, mine, theirs, turns, factor in (
                ("one by one", ours, raw, each, 1),
                ("1,000 at a time", ours_many, raw_many, max(2, each // 100), BATCH),
            ):
                rates: dict[str, list[float]] = {"ours": [], "raw": []}
                for _ in range(ROUNDS):
                    for who, call in (("ours", mine), ("raw", theirs)):
                        rate, _ = await callers(1, turns, call)
                        rates[who].append(rate * factor)
                done, inserted = median(rates["ours"]), median(rates["raw"])
                figures.append(
                    Figure(
                        f"enqueue, {name} (raw: insert)",
                        f"{done:,.0f}/s",
                        f"{inserted:,.0f}/s",
                        done / inserted,
                        0.7,
                        "higher",
                    )
                )
    return figures
