"""The prompt window: never over its budget, and its first message stays."""

from __future__ import annotations

import asyncio
import math
import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from message_service import MessageService
from message_service.messages.window_start import Fitting

USER = "user_000000000001"


def fitted(sizes: dict[int, int], budget: int) -> tuple[int, int]:
    """Return the window's first number and how many messages would have fit."""
    fitting = Fitting(budget, 5_000, step=None, pinned={}, other=0)
    count = 0
    for number in reversed(sizes):
        if not fitting.take(number, sizes[number]):
            break
        count += 1
    return fitting.start(), count


@settings(max_examples=60, deadline=None)
@given(
    budget=st.integers(60, 20_000),
    longest=st.integers(10, 60),
    gap=st.integers(1, 4),
    seed=st.integers(0, 2**32),
)
def test_the_start_moves_forward_only_and_in_steps(
    budget: int, longest: int, gap: int, seed: int
) -> None:
    chance = random.Random(seed)
    sizes: dict[int, int] = {}
    number = moves = given_up = 0
    first, fewest, grown = 0, 10**9, 0
    for _ in range(400):
        number += chance.randint(1, gap)  # other branches take numbers too
        sizes[number] = chance.randint(5, longest)
        start, count = fitted(sizes, budget)
        window = [one for one in sizes if one >= start]
        assert sum(sizes[one] for one in window) <= budget
        assert len(window) >= count - max(count // 8, min(8, count // 3))
        assert start >= first
        if count < len(sizes):
            fewest, grown = min(fewest, count), grown + 1
            given_up = max(fewest // 8, min(8, fewest // 3))
            moves += start > first
        first = start
    if grown and gap == 1:
        # The first move may end at a step that is near; the ones after it are whole steps apart.
        assert moves <= 1 + math.ceil(grown / max(1, given_up / 2))


async def turns(service: MessageService, budget: int) -> list[int]:
    made = await service.conversations.create(USER)
    starts: list[int] = []
    chance = random.Random(budget)
    for turn in range(260):
        await service.messages.append(
            made.conversation_id,
            "user" if turn % 2 == 0 else "assistant",
            f"m{turn}",
            token_count=chance.randint(10, 40),
        )
        if turn % 2:
            window = await service.messages.context(made.conversation_id, token_budget=budget)
            assert window.token_count <= budget
            if window.left_out:
                starts.append(window.first_sequence)
    return starts


@pytest.mark.parametrize("budget", [300, 500, 1_000, 4_000])
async def test_the_first_message_stays_at_small_budgets_too(
    service: MessageService, budget: int
) -> None:
    starts = await turns(service, budget)
    assert starts == sorted(starts)
    moved = sum(before != after for before, after in pairwise(starts))
    assert moved <= len(starts) / 2, (moved, len(starts))


async def test_never_over_the_budget_while_others_write(
    service: MessageService, mongo_uri: str
) -> None:
    made = await service.conversations.create(USER)
    conversation = made.conversation_id
    small, large = "word " * 5, "word " * 600
    for _ in range(30):
        await service.messages.append(conversation, "user", small)
    budget = 1_000
    stop = asyncio.Event()
    async with await MessageService.connect(
        mongo_uri, settings=service.settings, database=service.store.database.name
    ) as other:

        async def disturb() -> None:
            chance = random.Random(1)
            while not stop.is_set():
                page = await other.messages.history(
                    conversation, direction="backward", limit=5, statuses=("active", "deleted")
                )
                one = chance.choice(page.items)
                await other.messages.edit(conversation, one.message_id, large) if (
                    one.raw["status"] == "active"
                ) else await other.messages.undelete(conversation, one.message_id)
                await other.messages.append(conversation, "user", chance.choice((small, large)))
                newest = page.items[0].message_id
                await other.messages.delete(conversation, newest)
                await other.messages.undelete(conversation, newest)
                await other.messages.delete(conversation, newest)
                for _ in range(3):
                    await other.messages.append(conversation, "user", small)

        writer = asyncio.create_task(disturb())
        try:
            over = []
            for _ in range(300):
                window = await service.messages.context(conversation, token_budget=budget)
                said = sum(m.raw["content"]["token_count"] + 4 for m in window.messages)
                assert said == window.token_count
                if said > budget:
                    over.append(said)
            assert over == []
        finally:
            stop.set()
            await writer
