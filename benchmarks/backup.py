"""Full backups against scans, restores against inserts; replay, size, appends during a backup."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import shutil
import tempfile
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pymongo import AsyncMongoClient, DeleteOne, UpdateOne
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.write_concern import WriteConcern

from benchmarks.backup_data import BATCH, MEGABYTE, Document, command, copies, filled
from benchmarks.harness import TEXT, USER, Figure, median, percentile
from message_service import MessageService
from message_service.backup.manifest import FullManifest
from message_service.database.client import Database
from message_service.stopping import end_tasks

ROUNDS = 3
CALLERS = 8
_BACKUPS_PER_ROUND = 2
_FIRST_NEW = 900_000
"""Number of the first copy that no other part of the benchmark makes."""

Plain = AsyncDatabase[Document]
"""A database as the driver gives it."""

Call = tuple[datetime, float]
"""When an append was called, and how many milliseconds it took."""


async def measure(uri: str, *, quick: bool) -> list[Figure]:
    rounds = 1 if quick else ROUNDS
    with tempfile.TemporaryDirectory() as folder:
        replayed = await _replay(
            uri, Path(folder) / "history", 10_000 if quick else 100_000, rounds
        )
        target = Path(folder) / "backups"
        async with (
            filled(uri, target, 20 if quick else 300) as (service, _),
            # A client of its own: ours compresses what it sends and receives.
            AsyncMongoClient[Document](uri) as client,
        ):
            plain = client.get_database(
                service.store.database.name, write_concern=WriteConcern("majority", j=True)
            )
            made, backup = await _backup(service, plain, rounds)
            return [
                backup,
                await _restore(service, plain, made, rounds, replayed),
                await _appends(uri, service, target, rounds),
                await _size(service, made),
            ]


async def _backup(
    service: MessageService, plain: Plain, rounds: int
) -> tuple[FullManifest, Figure]:
    """Back up, and scan the same collections as a user of the driver does."""
    made = await service.backups.full()
    names = [each.name for each in made.collections]
    await _scan(plain, names)  # into the server's cache
    ours: list[float] = []
    scans: list[float] = []
    batches: list[float] = []
    for _ in range(rounds):
        started = time.perf_counter()
        made = await service.backups.full()
        ours.append(time.perf_counter() - started)
        scans.append(await _scan(plain, names))
        batches.append(await _scan_raw(plain, names))
    speeds = [made.raw_bytes / MEGABYTE / median(times) for times in (ours, scans, batches)]
    return made, Figure(
        f"full backup of {made.raw_bytes / MEGABYTE:,.0f} MB of documents (raw: scan)",
        f"{speeds[0]:,.0f} MB/s",
        f"{speeds[1]:,.0f} MB/s (find; find_raw_batches: {speeds[2]:,.0f})",
        speeds[0] / speeds[1],
        0.8,
        "higher",
    )


async def _scan(plain: Plain, names: Sequence[str]) -> float:
    started = time.perf_counter()
    for name in names:
        async for _ in plain[name].find({}):
            pass
    return time.perf_counter() - started


async def _scan_raw(plain: Plain, names: Sequence[str]) -> float:
    started = time.perf_counter()
    for name in names:
        async for _ in plain[name].find_raw_batches({}):
            pass
    return time.perf_counter() - started


async def _restore(
    service: MessageService, plain: Plain, made: FullManifest, rounds: int, replayed: str
) -> Figure:
    """Restore, and insert the same documents into collections that have the same indexes.

    They have no validators: a restore puts them in force at its end.
    """
    ours: list[float] = []
    raw: list[float] = []
    for _ in range(rounds):
        async with _scratch(service.store.database, "restored") as copy:
            started = time.perf_counter()
            await service.backups.restore(made.id, into=copy.name)
            ours.append(time.perf_counter() - started)
        async with _scratch(plain, "inserted") as copy:
            raw.append(await _inserted(plain, copy, made))
    rates = [made.documents / median(times) for times in (ours, raw)]
    return Figure(
        f"restore of {made.documents:,} documents and indexes (raw: insert_many); {replayed}",
        f"{rates[0]:,.0f} /s",
        f"{rates[1]:,.0f} /s",
        rates[0] / rates[1],
        0.7,
        "higher",
    )


@asynccontextmanager
async def _scratch(database: Plain, end: str) -> AsyncGenerator[Plain]:
    copy = database.client.get_database(
        f"{database.name}_{end}", write_concern=database.write_concern
    )
    try:
        yield copy
    finally:
        await database.client.drop_database(copy.name)


async def _inserted(source: Plain, copy: Plain, made: FullManifest) -> float:
    """Return the seconds of the inserts; those of reading the documents do not count."""
    for each in made.collections:
        indexes = await (await source[each.name].list_indexes()).to_list()
        await copy.command({"createIndexes": each.name, "indexes": indexes})
    seconds = 0.0
    for each in made.collections:
        cursor = source[each.name].find({})
        while documents := await cursor.to_list(BATCH):
            started = time.perf_counter()
            await copy[each.name].insert_many(documents, ordered=False)
            seconds += time.perf_counter() - started
    return seconds


async def _replay(uri: str, target: Path, operations: int, rounds: int) -> str:
    """Restore with a history and without it; say how fast its operations are replayed."""
    async with filled(uri, target, 10) as (service, originals):
        made = await service.backups.full()
        await _write_history(service, originals, operations)
        await service.backups.incremental()
        times: dict[str, list[float]] = {made.id: [], "latest": []}
        count = 0
        for _ in range(rounds):
            for to, seconds in times.items():
                async with _scratch(service.store.database, "restored") as copy:
                    started = time.perf_counter()
                    done = await service.backups.restore(to, into=copy.name)
                    seconds.append(time.perf_counter() - started)
                    count = done.operations
        spent = median(times["latest"]) - median(times[made.id])
    return f"replay of {count:,} operations: {count / spent:,.0f}/s"


async def _write_history(
    service: MessageService, originals: Sequence[Document], operations: int
) -> None:
    """Write about so many operations: inserts, updates, appends of the service, some deletions."""
    drawn = random.Random(7)
    messages = service.store.collection("messages")
    known = [each["_id"] for each in originals]
    turns = itertools.cycle(
        [(await service.conversations.create(USER)).conversation_id for _ in range(40)]
    )
    first = _FIRST_NEW * len(originals)
    for start in range(first, first + operations * 2 // 5, 400):
        new = copies(originals, range(start, start + 400))
        await messages.insert_many(new, ordered=False)
        known += [each["_id"] for each in new]
        orders: list[UpdateOne | DeleteOne] = [
            UpdateOne({"_id": identity}, _edit(drawn)) for identity in drawn.sample(known, 400)
        ]
        orders += [DeleteOne({"_id": known.pop(drawn.randrange(len(known)))}) for _ in range(40)]
        await messages.bulk_write(orders, ordered=False)
        await asyncio.gather(
            *(service.messages.append(next(turns), "user", TEXT) for _ in range(80))
        )


def _edit(drawn: random.Random) -> dict[str, Any]:
    now = datetime.now(UTC)
    if drawn.random() < 0.5:  # as enrichment and summaries do
        fields = {"content.detected_language": "de", "enrichment.pending": 1}
        return {"$set": fields, "$unset": {"marks": ""}}
    text = TEXT[: drawn.randrange(20, len(TEXT))]
    fields = {"content.text": text, "content.sanitized_text": text}
    return {"$set": {**fields, "timestamps.last_modified_at": now}, "$inc": {"revision": 1}}


async def _appends(uri: str, service: MessageService, target: Path, rounds: int) -> Figure:
    """Append alone, and while another process makes full backups."""
    ids = [(await service.conversations.create(USER)).conversation_id for _ in range(CALLERS)]
    alone: list[float] = []
    during: list[float] = []
    rate = 0.0

    async def one(caller: int, calls: list[Call]) -> None:
        while True:
            at, started = datetime.now(UTC), time.perf_counter()
            await service.messages.append(ids[caller], "user", TEXT)
            calls.append((at, (time.perf_counter() - started) * 1000))

    @asynccontextmanager
    async def appending() -> AsyncGenerator[list[Call]]:
        calls: list[Call] = []
        tasks = [asyncio.create_task(one(caller, calls)) for caller in range(CALLERS)]
        try:
            yield calls
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            await end_tasks(tasks)

    async with appending():
        await asyncio.sleep(2)
    for _ in range(rounds):
        spans: list[tuple[datetime, datetime]] = []
        async with appending() as calls:
            for _ in range(_BACKUPS_PER_ROUND):
                shutil.rmtree(target, ignore_errors=True)
                made = await _run_full(uri, service.store.database, target)
                began, ended = (
                    datetime.fromisoformat(made[name]) for name in ("started_at", "completed_at")
                )
                spans.append((began, ended))
                rate = made["raw_bytes"] / MEGABYTE / (ended - began).total_seconds()
        # The start of the process is not a backup yet.
        during += [
            took for at, took in calls if any(began <= at <= ended for began, ended in spans)
        ]
        async with appending() as calls:
            await asyncio.sleep(sum((ended - began).total_seconds() for began, ended in spans))
        alone += [took for _, took in calls]
    p99, without = percentile(during, 0.99), percentile(alone, 0.99)
    return Figure(
        f"append, {CALLERS} callers, during a full backup by another process ({rate:,.0f} MB/s): "
        f"p99 (p50 {percentile(during, 0.5):.1f} ms)",
        f"{p99:.1f} ms",
        f"{without:.1f} ms (without; p50 {percentile(alone, 0.5):.1f})",
        p99 / without,
        1.5,
        "lower",
    )


async def _run_full(uri: str, database: Database, target: Path) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *command(uri, database, "backup", "run", "--full", "--target", str(target), "--json"),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the backup ended with exit code {process.returncode}")
    made: dict[str, Any] = json.loads(output)["full"]
    return made


async def _size(service: MessageService, made: FullManifest) -> Figure:
    database = service.store.database
    messages = next(each for each in made.collections if each.name == "messages")
    packed = sum(part.bytes for part in messages.parts) / messages.documents
    await database.client.admin.command("fsync")
    stats = await database.command("collStats", "messages")
    stored = stats["storageSize"] / stats["count"]
    return Figure(
        "backup, bytes per message (raw: the server's file, without indexes; "
        f"BSON {messages.raw_bytes / messages.documents:,.0f})",
        f"{packed:,.0f}",
        f"{stored:,.0f}",
        packed / stored,
        1.0,
        "lower",
    )
