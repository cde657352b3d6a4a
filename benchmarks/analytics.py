"""Summaries: made of a million messages against one raw `$group`, kept up to date, and read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from random import Random

from bson import ObjectId

from benchmarks.harness import TEXT, USER, Figure, fresh_service, median, percentile
from benchmarks.usage import BLOCK, LLM
from benchmarks.usage_report import peak
from message_service import MessageService

BATCH = 5_000
CONVERSATION = 50
"""Messages of a conversation, over an hour and a quarter."""
USERS, CHARACTERS, MODELS = 2_000, 40, 5
JAN = datetime(2026, 1, 1, tzinfo=UTC)
YEAR = timedelta(days=365)
INDEXES = ("_id_", "idx_temporal_pagination", "idx_hot_conversation_data")
RATE = 50
SECONDS = 20


async def measure(uri: str, *, quick: bool) -> list[Figure]:
    sizes = (10_000, 50_000) if quick else (100_000, 1_000_000)
    lags: list[float] = []
    reads: list[float] = []
    figures: list[Figure] = []
    for total in sizes:
        async with _filled(uri, total) as service:
            rebuilt = await _rebuilt(service, total)
            reads.append(await _dashboard(service))
            if total == sizes[-1]:
                figures += rebuilt
                figures.append(await _size(service))
        lags.append(await _lag(uri, total, quick=quick))
    figures.append(_flat("12-month dashboard, 6 series, p95", "ms", reads, sizes, 50))
    figures.append(_flat(f"one message until its day is right, {RATE}/s", "ms", lags, sizes, 1_000))
    return figures


@asynccontextmanager
async def _filled(uri: str, total: int) -> AsyncIterator[MessageService]:
    """Yield a service whose messages are copies of two it stored itself, one with usage.

    Only the indexes that summaries use are kept: filling all of them would take minutes.
    """
    async with fresh_service(uri) as service:
        messages = service.store.database["messages"]
        patterns = await _patterns(service)
        await messages.delete_many({})
        for name in await messages.index_information():
            if name not in INDEXES and name != "idx_analytics_work":
                await messages.drop_index(name)
        await _insert(service, patterns, total)
        yield service


async def _patterns(service: MessageService) -> list[dict[str, object]]:
    conversation = (await service.conversations.create(USER)).conversation_id
    await service.messages.append(
        conversation,
        "assistant",
        TEXT,
        llm_metadata=LLM,
        usage=BLOCK,
        processing_metadata={"total_latency_ms": 1_000, "processing_time_ms": 900},
    )
    await service.messages.append(conversation, "user", TEXT)
    await service.drain()
    await service.search_index.drain()
    found = await service.store.database["messages"].find({}).sort("sequence_number", 1).to_list()
    return [{name: value for name, value in each.items() if name != "marks"} for each in found]


async def _insert(service: MessageService, patterns: list[dict[str, object]], total: int) -> None:
    random = Random(1)
    starts = [JAN + random.random() * YEAR for _ in range(total // CONVERSATION)]
    for start in range(0, total, BATCH):
        await service.store.database["messages"].insert_many(
            [
                _copy(patterns, number, starts[number // CONVERSATION], random)
                for number in range(start, start + BATCH)
            ],
            ordered=False,
        )


def _copy(
    patterns: list[dict[str, object]], number: int, start: datetime, random: Random
) -> dict[str, object]:
    conversation, place = divmod(number, CONVERSATION)
    name = f"conv_{conversation:026}"
    content = patterns[number % 2]["content"]
    assert isinstance(content, dict)
    copy = {
        **patterns[number % 2],
        "_id": ObjectId(),
        "message_id": f"msg_{number:026}",
        "sequence_number": place + 1,
        "user_id": f"user_{conversation % USERS:012}",
        "character_id": f"char_{conversation % CHARACTERS:012}",
        "conversation_id": name,
        "partition_key": name,
        "timestamps": {"created_at": start + timedelta(seconds=90 * place)},
        "content": {**content, "character_count": int(random.lognormvariate(4.5, 1))},
    }
    if number % 2 == 0:
        copy["llm_metadata"] = LLM | {"model": f"gpt-{conversation % MODELS}"}
        latency = int(random.lognormvariate(7, 0.6))
        copy["processing_metadata"] = {"total_latency_ms": latency, "processing_time_ms": 900}
    return copy


async def _raw(service: MessageService) -> int:
    """Group by conversation and day, with the design's sums, averages and extremes."""
    cost, text, took = "$token_usage", "$content", "$processing_metadata"

    def of_role(role: str) -> dict[str, object]:
        return {"$sum": {"$cond": [{"$eq": ["$role", role]}, 1, 0]}}

    group = {
        "_id": {
            "conversation": "$conversation_id",
            "day": {"$dateTrunc": {"date": "$timestamps.created_at", "unit": "day"}},
        },
        "total_messages": {"$sum": 1},
        "user_messages": of_role("user"),
        "assistant_messages": of_role("assistant"),
        "system_messages": of_role("system"),
        "avg_message_length": {"$avg": f"{text}.character_count"},
        "total_words": {"$sum": f"{text}.word_count"},
        "total_characters": {"$sum": f"{text}.character_count"},
        "total_tokens": {"$sum": f"{cost}.total_tokens"},
        "input_tokens": {"$sum": f"{cost}.prompt_tokens"},
        "output_tokens": {"$sum": f"{cost}.completion_tokens"},
        "total_cost": {"$sum": f"{cost}.total_cost"},
        "avg_tokens_per_message": {"$avg": f"{cost}.total_tokens"},
        "max_tokens_single_message": {"$max": f"{cost}.total_tokens"},
        "avg_response_time_ms": {"$avg": f"{took}.total_latency_ms"},
        "min_response_time_ms": {"$min": f"{took}.total_latency_ms"},
        "max_response_time_ms": {"$max": f"{took}.total_latency_ms"},
        "total_processing_time_ms": {"$sum": f"{took}.processing_time_ms"},
        "avg_coherence_score": {"$avg": "$quality_metadata.coherence_score"},
        "avg_relevance_score": {"$avg": "$quality_metadata.relevance_score"},
        "avg_safety_score": {"$avg": "$safety_metadata.safety_score"},
        "filtered": {"$sum": {"$cond": ["$safety_metadata.content_filtered", 1, 0]}},
        "user_satisfaction_rate": {"$avg": "$custom_metadata.user_satisfaction"},
        "errors": {"$sum": {"$cond": [{"$eq": ["$message_type", "error"]}, 1, 0]}},
    }
    match = {"tenant_id": "default", "timestamps.created_at": {"$gte": JAN}}
    cursor = await service.store.database["messages"].aggregate(
        [{"$match": match}, {"$group": group}], allowDiskUse=True
    )
    return sum([row["total_messages"] async for row in cursor])


async def _rebuilt(service: MessageService, total: int) -> list[Figure]:
    """Make all summaries from nothing, once: the second time they are there already."""
    raw: list[float] = []
    for _ in range(3):
        started = time.perf_counter()
        assert await _raw(service) == total
        raw.append(total / (time.perf_counter() - started))
    before = peak(reset=True)
    started = time.perf_counter()
    await service.rollups.rebuild()
    ours = total / (time.perf_counter() - started)
    grown = peak() - before
    assert (await service.rollups.check(date(2026, 3, 1), date(2026, 3, 8))).is_right
    return [
        Figure(
            f"all summaries of {total:,} messages, against one group of them",
            f"{ours:,.0f} messages/s",
            f"{median(raw):,.0f} messages/s",
            ours / median(raw),
            0.7,
            "higher",
        ),
        Figure("memory of that, in MB", f"{grown:,.0f} MB", "-", grown, 250, "lower"),
    ]


async def _dashboard(service: MessageService) -> float:
    """Return the 95th percentile of the time that a dashboard of twelve months takes, in ms."""
    whose: list[dict[str, str]] = [
        {},
        {"user_id": f"user_{7:012}"},
        {"character_id": f"char_{7:012}"},
        {"conversation_id": f"conv_{7:026}"},
        {"provider": "openai", "model": "gpt-1"},
        {"provider": "openai", "model": "gpt-2"},
    ]
    times: list[float] = []
    for _ in range(200):
        started = time.perf_counter()
        found = await asyncio.gather(
            *(
                service.analytics.series(date(2026, 1, 1), date(2027, 1, 1), "month", **each)
                for each in whose
            )
        )
        times.append((time.perf_counter() - started) * 1_000)
        assert all(len(each.summaries) == len(whose) * 2 for each in found)
    return percentile(times, 0.95)


async def _size(service: MessageService) -> Figure:
    stats = await service.store.database.command("collStats", "message_analytics")
    plain = stats["avgObjSize"]
    stored = (stats["storageSize"] + stats["totalIndexSize"]) / stats["count"]
    return Figure(
        f"bytes of a summary on disk, with its indexes ({stats['count']:,} summaries)",
        f"{stored:,.0f}",
        f"{plain:,.0f} as BSON",
        stored / plain,
        1,
        "lower",
    )


async def _lag(uri: str, total: int, *, quick: bool) -> float:
    """Return how long a message takes until its day is right, in ms: the median of one a second."""
    async with fresh_service(uri) as service:
        await _insert(service, await _patterns(service), total)
        await service.rollups.rebuild()
        ids = [(await service.conversations.create(USER)).conversation_id for _ in range(20)]
        rolling = asyncio.create_task(service.rollups.run())
        today = datetime.now(UTC).date()
        # Copies were said today too.
        there = (await service.analytics.summary(today)).message_metrics.total_messages
        said, lags = 0, list[float]()
        deadline = time.perf_counter()

        async def until_right(wanted: int, started: float) -> None:
            while True:
                found = await service.analytics.summary(today)
                if found.message_metrics.total_messages >= wanted:
                    lags.append((time.perf_counter() - started) * 1_000)
                    return
                await asyncio.sleep(0.01)

        waiting: list[asyncio.Task[None]] = []
        for second in range(5 if quick else SECONDS):
            for turn in range(RATE):
                await service.messages.append(ids[said % len(ids)], "assistant", TEXT, usage=BLOCK)
                said += 1
                if second > 1 and turn == 0:
                    stored = time.perf_counter()
                    waiting.append(asyncio.create_task(until_right(there + said, stored)))
                deadline += 1 / RATE
                await asyncio.sleep(max(0.0, deadline - time.perf_counter()))
        await asyncio.gather(*waiting)
        rolling.cancel()
        await asyncio.gather(rolling, return_exceptions=True)
    return median(lags)


def _flat(what: str, unit: str, values: list[float], sizes: tuple[int, int], bar: float) -> Figure:
    return Figure(
        f"{what}, {sizes[1]:,} messages stored (raw: {sizes[0]:,}), {unit}",
        f"{values[1]:,.1f} {unit}",
        f"{values[0]:,.1f} {unit}",
        values[1],
        bar,
        "lower",
    )
