"""What usage costs: appends with and without it, and recomputing against raw bulk updates."""

from __future__ import annotations

import itertools
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

from bson import Decimal128
from pymongo import UpdateOne

from benchmarks.harness import TEXT, USER, Figure, callers, fresh_service, median
from message_service import MessageService

ROUNDS = 5
BATCH = 1_000
LLM = {"provider": "openai", "model": "gpt-4o"}
BLOCK = {
    "prompt_tokens": 2006,
    "completion_tokens": 300,
    "total_tokens": 2306,
    "prompt_tokens_details": {"cached_tokens": 1920, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
}
JAN = datetime(2026, 1, 1, tzinfo=UTC)


async def measure(uri: str, *, quick: bool) -> list[Figure]:
    return [
        *[await _append(uri, count, quick=quick) for count in (1, 64)],
        await _recost(uri, 4_000 if quick else 40_000),
    ]


async def _append(uri: str, count: int, *, quick: bool) -> Figure:
    """Append the same messages with their usage block and without."""
    async with fresh_service(uri) as service:
        ids = [(await service.conversations.create(USER)).conversation_id for _ in range(count)]
        keys = itertools.count()

        async def plain(caller: int, turn: int) -> None:
            await service.messages.append(
                ids[caller], "assistant", TEXT, client_msg_id=f"k{next(keys)}", llm_metadata=LLM
            )

        async def priced(caller: int, turn: int) -> None:
            await service.messages.append(
                ids[caller],
                "assistant",
                TEXT,
                client_msg_id=f"k{next(keys)}",
                llm_metadata=LLM,
                usage=BLOCK,
            )

        each = (800 if count == 1 else 100) // (4 if quick else 1)
        await callers(count, 5, plain)
        await callers(count, 5, priced)
        rates: dict[str, list[float]] = {"plain": [], "priced": []}
        for _ in range(ROUNDS):
            for name, call in (("plain", plain), ("priced", priced)):
                rate, _ = await callers(count, each, call)
                rates[name].append(rate)
    with_usage, without = median(rates["priced"]), median(rates["plain"])
    return Figure(
        f"append with usage against the same without it, {count} caller{'s' if count > 1 else ''}",
        f"{with_usage:,.0f}/s",
        f"{without:,.0f}/s",
        with_usage / without,
        0.95,
        "higher",
    )


async def _load(service: MessageService, amount: int) -> None:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "prices.toml"
        path.write_text(
            '[[price]]\nprovider = "openai"\nmodel = "gpt-*"\n'
            f"input = {amount}\noutput = {amount}\n"
        )
        await service.prices.load(path)


async def _recost(uri: str, total: int) -> Figure:
    """Recompute every message; raw: set the same fields of the same documents, known before."""
    async with fresh_service(uri) as service:
        await _load(service, 1)
        conversation = (await service.conversations.create(USER)).conversation_id
        for start in range(0, total, BATCH):
            await service.messages.append_many(
                conversation,
                [
                    {
                        "role": "assistant",
                        "text": TEXT,
                        "created_at": JAN + timedelta(seconds=number),
                        "llm_metadata": LLM,
                        "usage": BLOCK,
                    }
                    for number in range(start, start + BATCH)
                ],
            )
        messages = service.store.collection("messages")
        found = await messages.find(
            {"conversation_id": conversation}, {"message_id": 1, "tenant_id": 1}
        ).to_list()
        ours: list[float] = []
        raw: list[float] = []
        for turn in range(3):
            cost = Decimal128(Decimal("0.001234") + turn)
            fields = {
                f"token_usage.{name}": cost
                for name in ("prompt_cost", "completion_cost", "total_cost")
            }
            billed = {"total_cost": cost, "cost_currency": "USD", "priced_at": JAN}
            started = time.perf_counter()
            for start in range(0, total, BATCH):
                await messages.bulk_write(
                    [
                        UpdateOne(
                            {
                                "conversation_id": conversation,
                                "tenant_id": row["tenant_id"],
                                "message_id": row["message_id"],
                            },
                            {
                                "$set": {
                                    **fields,
                                    "token_usage.priced_at": JAN,
                                    "token_usage.first_billed": billed,
                                    "token_usage.revision": turn + 2,
                                }
                            },
                        )
                        for row in found[start : start + BATCH]
                    ],
                    ordered=False,
                )
            raw.append(total / (time.perf_counter() - started))
            await service.usage_counters.drain()
            await _load(service, turn + 2)
            started = time.perf_counter()
            done = await service.usage.recost(JAN, JAN + timedelta(days=365))
            ours.append(total / (time.perf_counter() - started))
            assert done.changed == total, done
            await service.usage_counters.drain()
        return Figure(
            f"recompute the cost of {total:,} messages",
            f"{median(ours):,.0f}/s",
            f"{median(raw):,.0f}/s",
            median(ours) / median(raw),
            0.6,
            "higher",
        )
