"""Search over a million real messages: time, documents read, index size, indexing rate, lag."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.harness import Figure, fresh_service, median, percentile
from benchmarks.sources import real_texts
from message_service import MessageService
from message_service.clock import SystemClock
from message_service.enrichment.language import detect_language
from message_service.enrichment.words import analyse
from message_service.search.indexer import Indexer

START = datetime(2024, 11, 1, tzinfo=UTC)
CONVERSATIONS_PER_USER = 5
MESSAGES_PER_USER = 1_000
PAGE = 20
QUERIES = 300
LAG_SECONDS = 30
RAW_SAMPLE = 20_000
LAG_RATE = 50


@dataclass(frozen=True)
class Asked:
    """A query and where it is asked: words of one message that is there."""

    words: str
    user_id: str
    conversation_id: str


async def measure(uri: str, *, quick: bool) -> list[Figure]:
    size = 50_000 if quick else 1_000_000
    texts = real_texts()
    async with fresh_service(uri) as service:
        asked, figures = await build(service, size, texts)
        figures += await compare(service, asked, 60 if quick else QUERIES)
        figures += await lag(service, uri, texts[:5_000], 5 if quick else LAG_SECONDS)
    return figures


async def build(
    service: MessageService, size: int, texts: list[str]
) -> tuple[list[Asked], list[Figure]]:
    """Append and index the messages; return queries to ask of them."""
    choose = random.Random(11)
    asked: list[Asked] = []
    appended = 0
    texts_in_turn = _endless(texts)
    pending: set[asyncio.Task[Any]] = set()
    while appended < size:
        number = appended // MESSAGES_PER_USER
        user = f"user_{number:012}"
        each = MESSAGES_PER_USER // CONVERSATIONS_PER_USER
        for part in range(CONVERSATIONS_PER_USER):
            conversation = f"conv_{number:012}{part:02}"
            said = [next(texts_in_turn) for _ in range(each)]
            pending.add(
                asyncio.create_task(_append(service, user, conversation, said, number, part))
            )
            words = _words_of(choose.choice(said), choose)
            if words:
                asked.append(Asked(words, user, conversation))
            appended += each
        if len(pending) > 20:
            _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.wait(pending)
    await service.drain()
    worker = Indexer(service.store, SystemClock(), poll=1)
    started = time.perf_counter()
    done = 0
    while await worker.step():
        if worker.progress.done - done >= 50_000:
            done = worker.progress.done
            rate = done / (time.perf_counter() - started)
            print(f"  indexed {done:,} ({rate:,.0f} /s)", flush=True)
    seconds = time.perf_counter() - started
    raw_seconds = await _raw_insert(service)
    stats = await service.store.database.command("collStats", "message_search_index")
    messages = await service.store.database.command("collStats", "messages")
    choose.shuffle(asked)
    of_message = (messages["storageSize"] + messages["totalIndexSize"]) / size
    of_entry = (stats["storageSize"] + stats["totalIndexSize"]) / size
    return asked, [
        Figure(
            "indexing and enriching, one process (raw: insert_many of finished entries)",
            f"{size / seconds:,.0f} /s",
            f"{RAW_SAMPLE / raw_seconds:,.0f} /s",
            size / seconds / (RAW_SAMPLE / raw_seconds),
            0.2,
            "higher",
        ),
        Figure(
            "search entry on disk, bytes per message (raw: the message and its 19 indexes)",
            f"{of_entry:,.0f} ({stats['totalIndexSize'] / size:,.0f} in indexes)",
            f"{of_message:,.0f}",
            of_entry / of_message,
            3,
            "lower",
        ),
    ]


async def _raw_insert(service: MessageService) -> float:
    """Insert finished entries into a twin of the collection; return the seconds it took."""
    database = service.store.database
    entries = await (
        service.store.collection("message_search_index").find({}).limit(RAW_SAMPLE).to_list()
    )
    [found] = await (
        await database.list_collections(filter={"name": "message_search_index"})
    ).to_list()
    twin = await database.create_collection("twin", validator=found["options"]["validator"])
    listed = await (await service.store.collection("message_search_index").list_indexes()).to_list()
    indexes = [
        {name: value for name, value in index.items() if name != "v"}
        for index in listed
        if index["name"] != "_id_"
    ]
    await database.command("createIndexes", "twin", indexes=indexes)
    started = time.perf_counter()
    for start in range(0, len(entries), 1_000):
        await twin.insert_many(entries[start : start + 1_000], ordered=False)
    seconds = time.perf_counter() - started
    await twin.drop()
    return seconds


async def compare(service: MessageService, asked: list[Asked], count: int) -> list[Figure]:
    """Ask in each scope, and the design's own query in the user's."""
    scopes = {
        "conversation": lambda one: {"conversation_id": one.conversation_id},
        "user": lambda one: {"user_id": one.user_id},
        "whole store": lambda one: {"whole_tenant": True},
    }
    figures: list[Figure] = []
    ours_examined: list[int] = []
    for name, scope in scopes.items():
        chosen = asked[:count]
        latencies: list[float] = []
        examined = returned = 0
        for one in chosen:
            started = time.perf_counter()
            page = await service.search.find(one.words, limit=PAGE, **scope(one))
            latencies.append((time.perf_counter() - started) * 1000)
            examined += page.examined
            returned += len(page)
            if name == "user":
                ours_examined.append(page.examined)
                assert page.hits, one
        p95 = percentile(latencies, 0.95)
        bar = 50
        figures.append(
            Figure(
                f"search in {name}: p95 (p50 {median(latencies):.1f} ms)",
                f"{p95:.1f} ms",
                f"bar {bar} ms",
                p95 / bar,
                1,
                "lower",
            )
        )
        figures.append(
            Figure(
                f"search in {name}: entries read per hit",
                f"{examined / returned:.2f}",
                "bar 20",
                examined / returned / 20,
                1,
                "lower",
            )
        )
    figures.append(await _design(service, asked[: min(count, 60)], ours_examined))
    return figures


async def _design(service: MessageService, asked: list[Asked], ours: list[int]) -> Figure:
    """The design's text query, on its own index over the same messages."""
    messages = service.store.collection("messages")
    await messages.create_index(
        [
            ("content.text", "text"),
            ("custom_metadata.topics", "text"),
            ("custom_metadata.intent", "text"),
        ],
        name="idx_design_text",
        weights={"content.text": 10, "custom_metadata.topics": 5, "custom_metadata.intent": 3},
        language_override="_text_language",
    )
    examined = 0
    latencies: list[float] = []
    for one in asked:
        command = {
            "find": "messages",
            "filter": {
                "user_id": one.user_id,
                "$text": {"$search": one.words},
                "timestamps.created_at": {"$gte": START},
                "status": "active",
            },
            "projection": {"score": {"$meta": "textScore"}},
            "sort": {"score": {"$meta": "textScore"}},
            "limit": PAGE,
        }
        answer = await service.store.database.command(
            {"explain": command, "verbosity": "executionStats"}
        )
        examined += answer["executionStats"]["totalDocsExamined"]
        latencies.append(answer["executionStats"]["executionTimeMillis"])
    await messages.drop_index("idx_design_text")
    mine = sum(ours[: len(asked)]) / len(asked)
    theirs = examined / len(asked)
    return Figure(
        f"documents read by a search in user (raw: the design's query, p95 "
        f"{percentile(latencies, 0.95):,.0f} ms)",
        f"{mine:,.1f}",
        f"{theirs:,.1f}",
        theirs / mine,
        10,
        "higher",
    )


async def lag(service: MessageService, uri: str, texts: list[str], seconds: int) -> list[Figure]:
    """Append at a steady rate while another process indexes; wait for each to be searchable."""
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).parent / "message-service"),
        *("--uri", uri, "--database", service.settings.database, "search", "index"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    lags: list[float] = []
    conversations = [
        (await service.conversations.create("user_999999999999")).conversation_id for _ in range(20)
    ]

    async def one(number: int) -> None:
        conversation = conversations[number % len(conversations)]
        said = await service.messages.append(conversation, "user", texts[number % len(texts)])
        started = time.perf_counter()
        while True:
            fresh = await service.search.freshness(conversation)
            if fresh.complete_to is not None and fresh.complete_to >= said.sequence_number:
                break
            await asyncio.sleep(0.01)
        lags.append((time.perf_counter() - started) * 1000)

    try:
        await one(0)  # until the process has started and holds the lease
        lags.clear()
        tasks: list[asyncio.Task[None]] = []
        started = time.perf_counter()
        for number in range(seconds * LAG_RATE):
            tasks.append(asyncio.create_task(one(number)))
            await asyncio.sleep(max(0.0, started + number / LAG_RATE - time.perf_counter()))
        await asyncio.gather(*tasks)
    finally:
        process.terminate()
        await process.wait()
    return [
        Figure(
            f"freshness lag at {LAG_RATE} messages/s: median",
            f"{median(lags):,.0f} ms (p99 {percentile(lags, 0.99):,.0f})",
            "bar 1,000 ms",
            median(lags) / 1000,
            1,
            "lower",
        )
    ]


async def _append(
    service: MessageService, user: str, conversation: str, said: list[str], number: int, part: int
) -> None:
    await service.conversations.create(user, conversation_id=conversation)
    begin = START + timedelta(minutes=37 * (number % 500) + 11_000 * part)
    await service.messages.append_many(
        conversation,
        [
            {
                "role": "assistant" if place % 2 else "user",
                "text": text,
                "created_at": begin + timedelta(minutes=3 * place),
            }
            for place, text in enumerate(said)
        ],
        backlog=True,
    )


def _words_of(text: str, choose: random.Random) -> str:
    """Return one to three words of a text, as somebody looking for it might type."""
    analysed = analyse(text, detect_language(text).code)
    words = [word for word in analysed.tokens if word in analysed.terms and len(word) > 1]
    if not words:
        return ""
    first = choose.randrange(len(words))
    return " ".join(dict.fromkeys(words[first : first + choose.choice((1, 2, 2, 3))]))


def _endless(texts: list[str]) -> Iterator[str]:
    while True:
        yield from texts
