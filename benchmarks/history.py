"""A page of 50 at the beginning and at the end of a very long conversation, against raw find."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.harness import USER, Figure, fresh_service, median
from message_service.catalogue.queries.messages import PAGE_FIELDS

ROUNDS = 15
PAGES = 80


async def measure(uri: str, *, quick: bool) -> list[Figure]:
    size = 50_000 if quick else 1_000_000
    figures: list[Figure] = []
    async with fresh_service(uri) as service:
        conversation = (await service.conversations.create(USER)).conversation_id
        await fill(service.store.collection("messages"), service, conversation, size)
        messages = service.store.collection("messages")
        # What building left to be written to disk must not be paid by whoever is measured first.
        await service.store.database.client.admin.command("fsync")

        async def raw(after: int) -> None:
            rows = await (
                messages.find(
                    {
                        "tenant_id": "default",
                        "conversation_id": conversation,
                        "relationships.conversation_branch": "main",
                        "status": "active",
                        "sequence_number": {"$gt": after},
                    },
                    PAGE_FIELDS,
                )
                .sort("sequence_number", 1)
                .limit(50)
                .to_list()
            )
            assert len([row["content"]["text"] for row in rows]) == 50

        async def ours(after: int) -> None:
            page = await service.messages.history(conversation, after=after, limit=50)
            assert len([message.text for message in page]) == 50

        speeds: dict[str, float] = {}
        for where, after in (("message 10", 10), (f"message {size - 100:,}", size - 100)):
            rates: dict[str, list[float]] = {"raw": [], "ours": []}
            for _ in range(ROUNDS):
                for name, call in (("raw", raw), ("ours", ours)):
                    started = time.perf_counter()
                    for _ in range(PAGES):
                        await call(after)
                    rates[name].append(PAGES / (time.perf_counter() - started))
            speeds[where] = median(rates["ours"])
            figures.append(
                Figure(
                    f"history page of 50 at {where} of {size:,}",
                    f"{median(rates['ours']):,.0f} /s",
                    f"{median(rates['raw']):,.0f} /s",
                    median(rates["ours"]) / median(rates["raw"]),
                    0.9,
                    "higher",
                )
            )
    early, deep = speeds.values()
    figures.append(
        Figure(
            "history: deep page against early page",
            f"{deep:,.0f} /s",
            f"{early:,.0f} /s (early)",
            deep / early,
            0.9,
            "higher",
        )
    )
    return figures


async def fill(messages: Any, service: Any, conversation: str, size: int) -> None:
    """Fill a conversation with finished documents, as fast as the driver takes them."""
    first = await service.messages.append(conversation, "user", "number 1")
    template = (await service.messages.get(conversation, first.message_id)).raw
    template = {name: value for name, value in template.items() if name != "_id"}
    for start in range(2, size + 1, 5_000):
        await messages.insert_many(
            [
                {**template, "message_id": f"msg_{n:026}", "sequence_number": n}
                for n in range(start, min(start + 5_000, size + 1))
            ],
            ordered=False,
        )
