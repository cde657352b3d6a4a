"""The prompt window of a conversation of 10,000 turns: time, and documents examined."""

from __future__ import annotations

import time

from benchmarks.harness import USER, Figure, fresh_service, median, percentile
from benchmarks.history import fill

TURNS = 10_000
BAR_MS = 20.0


async def measure(uri: str, *, quick: bool) -> list[Figure]:
    figures: list[Figure] = []
    async with fresh_service(uri) as service:
        conversation = (await service.conversations.create(USER)).conversation_id
        messages = service.store.collection("messages")
        await fill(messages, service, conversation, TURNS)
        await messages.update_many(
            {"conversation_id": conversation}, {"$set": {"content.token_count": 60}}
        )
        for budget in (4_000, 32_000):
            times: list[float] = []
            size = 0
            for _ in range(20 if quick else 60):
                started = time.perf_counter()
                window = await service.messages.context(conversation, token_budget=budget)
                times.append((time.perf_counter() - started) * 1000)
                size = len(window.messages)
            raw_times: list[float] = []
            for _ in range(20 if quick else 60):
                started = time.perf_counter()
                await messages.find({"conversation_id": conversation}).to_list()
                raw_times.append((time.perf_counter() - started) * 1000)
                if len(raw_times) >= 5:
                    break
            figures.append(
                Figure(
                    f"prompt window, {budget:,} tokens ({size} messages) of {TURNS:,}: median",
                    f"{median(times):.1f} ms (p95 {percentile(times, 0.95):.1f})",
                    f"bar {BAR_MS:.0f} ms (reading the whole chat: {median(raw_times):.0f} ms)",
                    median(times) / BAR_MS,
                    1.0,
                    "lower",
                )
            )
    return figures
