"""Replies: from the provider's piece to the follower, what a reply costs besides its provider.

Worker and followers are two processes. The scripted provider says, by the machine's monotonic
clock, when each piece was due: a worker that is too busy to take it in time has that counted too.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

from benchmarks.harness import Figure, fresh_service, median, percentile
from message_service import MessageService
from message_service.database.client import Database
from message_service.generation.calling import Calling, ModelChoice
from message_service.generation.known_providers import endpoints_of
from message_service.generation.provider import ModelRequest, Turn
from message_service.generation.timing import Patience
from message_service.settings import Settings
from message_service.stopping import end_tasks

USER = "user_000000000001"
SETTINGS: dict[str, Any] = {"min_pool_size": 0, "llm_provider": "scripted", "queue_poll": 0.5}
PACE = 0.05
"""Seconds between two pieces: a model that says 20 words a second."""

_APART = 0.025
"""Seconds from one request to the next: 40 a second."""

STREAMS = (1, 50, 200, 400)


async def measure(uri: str, *, quick: bool) -> list[Figure]:
    async with fresh_service(uri) as first:
        database = first.store.database
        async with (
            await MessageService.connect(uri, database=database.name, **SETTINGS) as service,
            _worker(uri, database.name),
        ):
            await _reply(service, "words 1")  # dictionaries, connections, the feed
            figures = await _overhead(service, database, 10 if quick else 60)
            raw = await _raw_lags(database, 100 if quick else 400)
            pieces = 40 if quick else 300
            for streams in STREAMS[:2] if quick else STREAMS:
                figures.append(await _lag(service, streams, pieces, raw))
            figures.append(await _lag(service, 50 if quick else 200, pieces, raw, at_once=True))
            return figures


@asynccontextmanager
async def _worker(uri: str, database: str) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.reply_worker", uri, database),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    try:
        yield
    finally:
        process.stdin.close()
        await process.wait()


async def _asked(service: MessageService) -> str:
    made = await service.conversations.create(USER)
    await service.messages.append(made.conversation_id, "user", "What do you say?")
    return made.conversation_id


async def _reply(service: MessageService, script: str) -> float:
    """Return the seconds from asking for a reply to the event of its end."""
    conversation_id = await _asked(service)
    began = time.perf_counter()
    reply = await service.replies.request(conversation_id, model=script)
    async for event in service.replies.follow(reply.reply_id):
        if event.last:
            assert event.kind == "end", event
    return time.perf_counter() - began


async def _overhead(service: MessageService, database: Database, count: int) -> list[Figure]:
    """Compare a reply with asking the same provider for the same answer, one at a time."""
    script = f"pace {PACE}|words 20"
    calling = Calling(endpoints_of(Settings(), database), os.urandom)
    request = ModelRequest("", (Turn("user", "What do you say?"),))
    patience = Patience(60, 60, 60, 1, 1)

    async def alone() -> float:
        began = time.perf_counter()
        answer = calling.run([ModelChoice("scripted", script)], request, patience)
        async with aclosing(answer):
            async for _ in answer:
                pass
        return time.perf_counter() - began

    theirs: list[float] = []
    ours: list[float] = []
    for _ in range(count):
        theirs.append(await alone())
        ours.append(await _reply(service, script))
    besides = [(mine - median(theirs)) * 1000 for mine in ours]
    p50, p99 = percentile(besides, 0.5), percentile(besides, 0.99)
    return [
        Figure(
            f"a reply besides its provider: p50 (p99 {p99:.1f} ms); provider alone "
            f"{median(theirs) * 1000:.1f} ms",
            f"{p50:.1f} ms",
            "bar 15 ms",
            p50 / 15,
            1.0,
            "lower",
        )
    ]


async def _raw_lags(database: Database, count: int) -> list[float]:
    """Return how long after it left a document comes out of a change stream of the driver."""
    target = database["raw_pieces"]
    lags: list[float] = []
    ready = asyncio.Event()

    async def watch() -> None:
        async with await target.watch() as stream:
            ready.set()
            async for change in stream:
                said = change["fullDocument"]["said"]
                lags.append((time.monotonic_ns() - said) / 1e6)
                if len(lags) == count:
                    return

    watching = asyncio.create_task(watch())
    try:
        await ready.wait()
        for _ in range(count):
            await target.insert_one({"said": time.monotonic_ns()})
            await asyncio.sleep(0.005)
        await watching
    finally:
        await end_tasks((watching,))
    return lags


async def _lag(
    service: MessageService, streams: int, pieces: int, raw: list[float], *, at_once: bool = False
) -> Figure:
    """Follow so many replies at once; measure from the provider's pieces to the followers."""
    script = f"pace {PACE}|times {pieces}"
    conversations = [await _asked(service) for _ in range(streams)]
    lags: list[float] = []

    async def follow(conversation_id: str) -> None:
        reply = await service.replies.request(conversation_id, model=script)
        async for event in service.replies.follow(reply.reply_id):
            now = time.monotonic_ns()
            lags.extend((now - int(said)) / 1e6 for said in event.text.split())
            assert event.kind not in ("failed", "cancelled"), event

    async with asyncio.TaskGroup() as group:
        for conversation_id in conversations:
            group.create_task(follow(conversation_id))
            await asyncio.sleep(0 if at_once else _APART)
    assert len(lags) == streams * pieces
    p50, p99 = percentile(lags, 0.5), percentile(lags, 0.99)
    theirs = percentile(raw, 0.99)
    return Figure(
        f"provider's piece to follower, {streams} streams at 20/s"
        f"{', begun at once' if at_once else ''}: p99 (p50 {p50:.1f} ms)",
        f"{p99:.1f} ms",
        f"bar 250 ms (one raw insert to its change: p50 {percentile(raw, 0.5):.1f}, "
        f"p99 {theirs:.1f} ms)",
        p99 / 250,
        1.0,
        "lower",
    )
