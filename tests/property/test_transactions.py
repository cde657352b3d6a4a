"""Transactions that end well or badly, beside plain appends, all at once."""

from __future__ import annotations

import asyncio

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from message_service import MessageService
from message_service.database.transaction import Transaction
from support.waiting import soon

USER = "user_000000000001"


class Abandoned(Exception):
    pass


# What each does: which conversations it writes to, in order, and how it ends.
plans = st.lists(
    st.tuples(
        st.lists(st.integers(0, 1), min_size=1, max_size=4),
        st.sampled_from(["commit", "abort", "plain"]),
    ),
    min_size=1,
    max_size=6,
)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(plans)
async def test_numbers_have_no_holes_and_only_what_was_committed_is_there(
    service: MessageService, plan: list[tuple[list[int], str]]
) -> None:
    ids = [(await service.conversations.create(USER)).conversation_id for _ in range(2)]

    async def carry_out(name: int, targets: list[int], ending: str) -> None:
        async def work(tx: Transaction | None) -> None:
            for place, target in enumerate(targets):
                await service.messages.append(ids[target], "user", f"{name}.{place}", within=tx)
            if ending == "abort":
                raise Abandoned

        if ending == "plain":
            await work(None)
            return
        try:
            await service.transaction(work)
        except Abandoned:
            assert ending == "abort"
        else:
            assert ending == "commit"

    await soon(
        "everybody",
        asyncio.gather(*(carry_out(name, *each) for name, each in enumerate(plan))),
    )
    for target, conversation in enumerate(ids):
        expected = {
            f"{name}.{place}"
            for name, (targets, ending) in enumerate(plan)
            for place, each in enumerate(targets)
            if each == target and ending != "abort"
        }
        page = await service.messages.history(conversation, limit=200)
        assert sorted(message.text for message in page) == sorted(expected)
        found = await service.messages.check(conversation)
        assert (found.complete, found.last) == (True, len(expected))
