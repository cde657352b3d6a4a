"""Append against `insert_one` of the same finished documents, all indexes and the validator on."""

from __future__ import annotations

import itertools
from typing import Any

from benchmarks.harness import TEXT, USER, Figure, callers, fresh_service, median, percentile

ROUNDS = 3


async def measure(uri: str, *, quick: bool) -> list[Figure]:
    figures: list[Figure] = []
    for count in (1, 16, 64):
        each = (400 if count == 1 else 3_200 // count) // (4 if quick else 1)
        figures += await _against_raw(uri, count, each, conversations=count)
    figures += await _against_raw(uri, 64, 50 // (4 if quick else 1), conversations=1)
    return figures


async def _against_raw(uri: str, count: int, each: int, *, conversations: int) -> list[Figure]:
    async with fresh_service(uri) as service:
        ids = [
            (await service.conversations.create(USER)).conversation_id for _ in range(conversations)
        ]
        keys = itertools.count()
        messages = service.store.collection("messages")

        async def ours(caller: int, turn: int) -> None:
            await service.messages.append(
                ids[caller % conversations], "user", TEXT, client_msg_id=f"k{next(keys)}"
            )

        await callers(count, 5, ours)
        [template] = await messages.find({"conversation_id": ids[0]}).limit(1).to_list()

        def finished(caller: int) -> dict[str, Any]:
            number = next(keys)
            document = {name: value for name, value in template.items() if name != "_id"}
            conversation = f"{ids[caller % conversations]}RAW"
            return {
                **document,
                "conversation_id": conversation,
                "partition_key": conversation,
                "message_id": f"msg_{number:026}",
                "sequence_number": number + 1,
                "client_metadata": {
                    **document["client_metadata"],
                    "client_msg_id": f"r{number}",
                },
            }

        async def raw(caller: int, turn: int) -> None:
            await messages.insert_one(finished(caller))

        await callers(count, 5, raw)
        rates: dict[str, list[float]] = {"ours": [], "raw": []}
        latencies: dict[str, list[float]] = {"ours": [], "raw": []}
        for _ in range(ROUNDS):
            for name, call in (("raw", raw), ("ours", ours)):
                rate, times = await callers(count, each, call)
                rates[name].append(rate)
                latencies[name] += times
    where = "one conversation" if conversations == 1 and count > 1 else f"{conversations} conv."
    title = f"append, {count} caller{'s' if count > 1 else ''}, {where}"
    rate_ours, rate_raw = median(rates["ours"]), median(rates["raw"])
    if count == 1:
        ours_ms, raw_ms = median(latencies["ours"]), median(latencies["raw"])
        return [
            Figure(
                f"{title}: median latency",
                f"{ours_ms:.2f} ms",
                f"{raw_ms:.2f} ms",
                ours_ms / raw_ms,
                1.3,
                "lower",
            )
        ]
    p99_ours, p99_raw = (percentile(latencies[name], 0.99) for name in ("ours", "raw"))
    return [
        Figure(
            f"{title}: throughput",
            f"{rate_ours:,.0f} /s",
            f"{rate_raw:,.0f} /s",
            rate_ours / rate_raw,
            2.0 if count == 64 else 1.0,
            "higher",
        ),
        Figure(
            f"{title}: p99 latency",
            f"{p99_ours:.1f} ms",
            f"{p99_raw:.1f} ms",
            p99_ours / p99_raw,
            1.0,
            "lower",
        ),
    ]
