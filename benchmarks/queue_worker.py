"""A process of the queue's benchmark: `python -m benchmarks.queue_worker ours|raw URI DATABASE`.

It says `ready`, waits for a line on standard input, and works until its input ends.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from datetime import UTC, datetime
from typing import Any

from pymongo import MongoClient, ReturnDocument
from pymongo.write_concern import WriteConcern

from message_service import JobRegistry, MessageService, RunningJob, StopSignal, Tenant
from message_service.cli.running import collect_rarely

registry = JobRegistry()


@registry.handler("noop")
async def noop(_job: RunningJob, _tenant: Tenant) -> None:
    """Do nothing."""


def raw(uri: str, database: str) -> None:
    """Claim one job at a time, by rank and time, as the source design has it."""
    client: MongoClient[dict[str, Any]] = MongoClient(uri)
    queue = client[database].get_collection(
        "raw_queue", write_concern=WriteConcern(w="majority", j=True)
    )
    print("ready", flush=True)
    sys.stdin.readline()
    while (
        queue.find_one_and_update(
            {"status": "pending"},
            {"$set": {"status": "processing", "started_at": datetime.now(UTC)}},
            sort=[("priority_rank", -1), ("queue_metadata.scheduled_for", 1)],
            return_document=ReturnDocument.AFTER,
            hint="by_rank",
        )
        is not None
    ):
        pass


async def ours(uri: str, database: str) -> None:
    """Run a worker."""
    stop = StopSignal()
    loop = asyncio.get_running_loop()
    async with await MessageService.connect(
        uri, database=database, registry=registry, min_pool_size=0
    ) as service:
        worker = service.worker(concurrency=128, loops=False)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)

        def end() -> None:
            sys.stdin.read()
            loop.call_soon_threadsafe(stop.request)

        threading.Thread(target=end, daemon=True).start()
        await worker.run(stop)


if __name__ == "__main__":
    collect_rarely()
    if sys.argv[1] == "raw":
        raw(sys.argv[2], sys.argv[3])
    else:
        asyncio.run(ours(sys.argv[2], sys.argv[3]))
