"""What people use instead, in the same run: a plain Beanie collection, LangChain's history."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from beanie import Document, init_beanie

from benchmarks.harness import TEXT, USER, Figure, callers, fresh_service, median

PAGES = 60


class ChatMessage(Document):
    """What a plain Beanie application stores."""

    conversation_id: str
    role: str
    text: str
    created_at: datetime

    class Settings:
        name = "peer_messages"
        indexes = ["conversation_id", [("conversation_id", 1), ("created_at", 1)]]  # noqa: RUF012


async def measure(uri: str, *, quick: bool) -> list[Figure]:
    each = 20 if quick else 60
    figures: list[Figure] = []
    async with fresh_service(uri) as service:
        await init_beanie(service.store.database, document_models=[ChatMessage])
        ids = [(await service.conversations.create(USER)).conversation_id for _ in range(64)]

        async def ours(caller: int, turn: int) -> None:
            await service.messages.append(ids[caller], "user", TEXT)

        async def beanie(caller: int, turn: int) -> None:
            await ChatMessage(
                conversation_id=ids[caller], role="user", text=TEXT, created_at=datetime.now(UTC)
            ).insert()

        rate_ours, _ = await callers(64, each, ours)
        rate_beanie, _ = await callers(64, each, beanie)
        figures.append(
            _figure("append, 64 callers: ours (17 indexes) / Beanie (3)", rate_ours, rate_beanie)
        )

        async def our_page() -> None:
            page = await service.messages.history(ids[0], limit=50)
            assert [message.text for message in page]

        async def beanie_page() -> None:
            page = (
                await ChatMessage.find(ChatMessage.conversation_id == ids[0])
                .sort("created_at")
                .limit(50)
                .to_list()
            )
            assert [message.text for message in page]

        figures.append(
            _figure(
                "history page: ours / Beanie",
                median([await _rate(our_page) for _ in range(3)]),
                median([await _rate(beanie_page) for _ in range(3)]),
            )
        )
        figures += await _langchain(uri, service.store.database.name, our_page, ours, each)
    return figures


async def _langchain(
    uri: str,
    database: str,
    our_page: Callable[[], Awaitable[None]],
    ours: Callable[[int, int], Awaitable[None]],
    each: int,
) -> list[Figure]:
    try:
        from langchain_core.messages import HumanMessage
        from langchain_mongodb.chat_message_histories import MongoDBChatMessageHistory
    except ImportError:
        print("langchain-mongodb is not installed (it comes with `make bench`): left out")
        return []
    history: Any = MongoDBChatMessageHistory(
        connection_string=uri, session_id="bench", database_name=database
    )

    def write() -> float:
        started = time.perf_counter()
        for _ in range(each):
            history.add_message(HumanMessage(TEXT))
        return each / (time.perf_counter() - started)

    def read() -> float:
        started = time.perf_counter()
        for _ in range(PAGES):
            assert history.messages
        return PAGES / (time.perf_counter() - started)

    written = await asyncio.to_thread(write)
    ours_written, _ = await callers(1, each, ours)
    loaded = await asyncio.to_thread(read)
    return [
        _figure("append, 1 caller: ours / LangChain (synchronous)", ours_written, written),
        _figure(
            f"page of 50 / LangChain's whole history ({each} messages)",
            await _rate(our_page),
            loaded,
        ),
    ]


async def _rate(call: Callable[[], Awaitable[None]]) -> float:
    started = time.perf_counter()
    for _ in range(PAGES):
        await call()
    return PAGES / (time.perf_counter() - started)


def _figure(name: str, ours: float, peer: float) -> Figure:
    return Figure(name, f"{ours:,.0f} /s", f"{peer:,.0f} /s (peer)", ours / peer, 1.0, "higher")
