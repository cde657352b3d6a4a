"""Usage reports over a million messages against one raw `$group` of the same figures."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from bson import ObjectId

from benchmarks.harness import TEXT, USER, Figure, fresh_service, median
from benchmarks.usage import BLOCK, LLM
from message_service import MessageService

ROUNDS = 3
BATCH = 5_000
USERS = 10_000
MODELS = 5
JAN = datetime(2026, 1, 1, tzinfo=UTC)
UNTIL = datetime(2027, 1, 1, tzinfo=UTC)
INDEX = "idx_temporal_pagination"
SUMS = ("prompt_tokens", "completion_tokens", "total_tokens", "total_cost")

Reading = Callable[[], Awaitable[int]]


async def measure(uri: str, *, quick: bool) -> list[Figure]:
    total = 100_000 if quick else 1_000_000
    async with _filled(uri, total) as service:
        return [
            await _compared(service, total, ["user", "model"], "user and model", 0.8),
            await _compared(service, total, ["day", "model"], "day and model", 0.8),
            await _memory(service, total),
        ]


@asynccontextmanager
async def _filled(uri: str, total: int) -> AsyncIterator[MessageService]:
    """Yield a service whose messages are copies of two it stored itself, one with usage.

    Only the index that reports use is kept: filling all of them would take minutes.
    """
    async with fresh_service(uri) as service:
        conversation = (await service.conversations.create(USER)).conversation_id
        await service.messages.append(
            conversation, "assistant", TEXT, llm_metadata=LLM, usage=BLOCK
        )
        await service.messages.append(conversation, "user", TEXT)
        await service.drain()
        messages = service.store.database["messages"]
        patterns = await messages.find({}).sort("sequence_number", 1).to_list()
        await messages.delete_many({})
        for name in await messages.index_information():
            if name not in ("_id_", INDEX):
                await messages.drop_index(name)
        random = Random(1)
        step = timedelta(days=90) / total
        for start in range(0, total, BATCH):
            await messages.insert_many(
                [
                    {
                        **patterns[number % 2],
                        "_id": ObjectId(),
                        "message_id": f"msg_{number:026}",
                        "sequence_number": number + 1,
                        "user_id": f"user_{random.randrange(USERS):012}",
                        "conversation_id": f"conv_{number // 20:026}",
                        "partition_key": f"conv_{number // 20:026}",
                        "timestamps": {"created_at": JAN + number * step},
                        **(
                            {"llm_metadata": LLM | {"model": f"gpt-{random.randrange(MODELS)}"}}
                            if number % 2 == 0
                            else {}
                        ),
                    }
                    for number in range(start, start + BATCH)
                ],
                ordered=False,
            )
        yield service


def _raw(service: MessageService, by: list[str]) -> Any:
    """Begin the group that an engineer would write for the same figures."""
    places: dict[str, Any] = {
        "user": "$user_id",
        "conversation": "$conversation_id",
        "model": "$llm_metadata.model",
        "day": {"$dateTrunc": {"date": "$timestamps.created_at", "unit": "day"}},
    }
    return service.store.database["messages"].aggregate(
        [
            {
                "$match": {
                    "tenant_id": "default",
                    "timestamps.created_at": {"$gte": JAN, "$lt": UNTIL},
                }
            },
            {
                "$group": {
                    "_id": {name: places[name] for name in by},
                    "messages": {"$sum": 1},
                    **{name: {"$sum": f"$token_usage.{name}"} for name in SUMS},
                }
            },
        ],
        allowDiskUse=True,
        hint=INDEX,
    )


async def _compared(
    service: MessageService, total: int, by: list[str], what: str, bar: float
) -> Figure:
    async def ours() -> int:
        return sum([row.messages async for row in service.usage.report(JAN, UNTIL, by)])

    async def raw() -> int:
        return sum([row["messages"] async for row in await _raw(service, by)])

    rates: dict[str, list[float]] = {"ours": [], "raw": []}
    for _ in range(ROUNDS):
        for name, read in (("raw", raw), ("ours", ours)):
            started = time.perf_counter()
            found = await read()
            rates[name].append(total / (time.perf_counter() - started))
            assert found == total, (name, found)
    return Figure(
        f"usage report of {total:,} messages by {what}",
        f"{median(rates['ours']):,.0f} messages/s",
        f"{median(rates['raw']):,.0f} messages/s",
        median(rates["ours"]) / median(rates["raw"]),
        bar,
        "higher",
    )


async def _memory(service: MessageService, total: int) -> Figure:
    """Read as many groups as there are messages: ours one by one, raw as a list."""
    by = ["user", "conversation"]

    async def ours() -> int:
        count = 0
        async for _ in service.usage.report(JAN, UNTIL, by):
            count += 1
        return count

    async def raw() -> int:
        async with await _raw(service, by) as cursor:
            return len([row async for row in cursor])

    grown: list[float] = []
    for read in (ours, raw):
        before = peak(reset=True)
        found = await read()
        assert found > 0.9 * total, found
        grown.append(peak() - before)
    return Figure(
        f"memory of a usage report with {total:,} rows",
        f"{grown[0]:,.0f} MB",
        f"{grown[1]:,.0f} MB as a list",
        grown[0] / grown[1],
        0.2,
        "lower",
    )


def peak(*, reset: bool = False) -> float:
    """Return the most memory this process had, in MB, since that was reset."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1_000
