"""The prompt window: budget, pins, summary, branch, a stable prefix."""

import pytest

from message_service import MessageService, errors
from message_service.documents.conversation import MAIN_BRANCH
from message_service.messages.known_conversations import FULL_SPAN
from message_service.messages.window_messages import Line, WindowMessages
from message_service.messages.window_view import MESSAGE_OVERHEAD

USER = "user_000000000001"
COST = 10 + MESSAGE_OVERHEAD


@pytest.fixture
async def conversation(service: MessageService) -> str:
    """A hundred messages of ten tokens."""
    created = await service.conversations.create(USER)
    await service.messages.append_many(
        created.conversation_id,
        [
            {"role": "user", "text": f"m{i}", "token_count": 10, "tokenizer": "given"}
            for i in range(1, 101)
        ],
    )
    return created.conversation_id


async def test_the_newest_that_fit(service: MessageService, conversation: str) -> None:
    window = await service.messages.context(conversation, token_budget=5 * COST + 3, step=1)
    assert [m.text for m in window.messages] == ["m96", "m97", "m98", "m99", "m100"]
    assert window.token_count == 5 * COST
    assert window.tokenizer == "given"
    assert window.left_out
    assert (window.first_sequence, window.last_sequence) == (96, 100)


async def test_everything_when_it_fits(service: MessageService, conversation: str) -> None:
    window = await service.messages.context(conversation, token_budget=100 * COST)
    assert len(window.messages) == 100
    assert not window.left_out
    short = await service.messages.context(conversation, token_budget=10_000, max_messages=7)
    assert len(short.messages) <= 7


async def test_the_prefix_stays_while_the_conversation_grows(
    service: MessageService, conversation: str
) -> None:
    starts: list[int] = []
    for i in range(40):
        window = await service.messages.context(conversation, token_budget=30 * COST, step=8)
        assert window.token_count <= 30 * COST
        assert (window.first_sequence - 1) % 8 == 0
        assert window.last_sequence == 100 + i
        starts.append(window.first_sequence)
        await service.messages.append(conversation, "user", f"n{i}", token_count=10)
    assert len(set(starts)) == 6  # forty turns, five steps
    assert starts == sorted(starts)


async def test_what_was_written_between_the_reads_is_not_missed(
    service: MessageService, conversation: str
) -> None:
    line = Line(conversation, [(MAIN_BRANCH, 0, FULL_SPAN)], ["active"])
    reading = WindowMessages(service.store.scope("default"), line, 100 * COST, 1_000)
    await reading.look()
    for last in (100, 103):  # the newest were read when there were 100
        for first in (1, 68, 69, 70, 99, 100):
            rows = await reading.between(first, last)
            assert [row["sequence_number"] for row in rows] == list(range(first, last + 1))
        await service.messages.append_many(
            conversation, [{"role": "user", "text": f"late {i}"} for i in range(3)]
        )
    assert len([number async for number, _ in reading.counts()]) == 100


async def test_pins_and_summary_are_kept_and_counted(
    service: MessageService, conversation: str
) -> None:
    third = (await service.messages.history(conversation, after=2, limit=1)).items[0]
    inside = (await service.messages.history(conversation, after=98, limit=1)).items[0]
    await service.messages.pin(conversation, third.message_id)
    await service.messages.pin(conversation, inside.message_id)
    await service.conversations.set_summary(
        conversation, "They talked.", up_to_sequence=90, token_count=6
    )
    budget = 5 * COST + 6 + MESSAGE_OVERHEAD
    window = await service.messages.context(conversation, token_budget=budget, step=1)
    assert window.summary == "They talked."
    assert [m.text for m in window.messages] == ["m3", "m97", "m98", "m99", "m100"]
    assert window.pinned == 1
    assert window.token_count == budget
    plain = await service.messages.context(
        conversation, token_budget=budget, step=1, include_pinned=False, include_summary=False
    )
    assert plain.summary is None
    assert plain.pinned == 0
    await service.messages.pin(conversation, third.message_id, pinned=False)
    window = await service.messages.context(conversation, token_budget=budget, step=1)
    assert [m.text for m in window.messages] == ["m96", "m97", "m98", "m99", "m100"]


async def test_deleted_messages_are_left_out(service: MessageService, conversation: str) -> None:
    last = (await service.messages.history(conversation, direction="backward", limit=1)).items[0]
    await service.messages.delete(conversation, last.message_id)
    window = await service.messages.context(conversation, token_budget=2 * COST, step=1)
    assert [m.text for m in window.messages] == ["m98", "m99"]


async def test_a_branch_has_its_own_window(service: MessageService, conversation: str) -> None:
    fork = (await service.messages.history(conversation, after=49, limit=1)).items[0]
    await service.messages.branch(conversation, fork.message_id, name="b")
    await service.messages.append(conversation, "assistant", "b1", branch="b", token_count=10)
    window = await service.messages.context(conversation, token_budget=3 * COST, step=1, branch="b")
    assert [m.text for m in window.messages] == ["m49", "m50", "b1"]


async def test_equal_windows_have_equal_digests(service: MessageService, conversation: str) -> None:
    one = await service.messages.context(conversation, token_budget=500)
    two = await service.messages.context(conversation, token_budget=500)
    assert one.digest == two.digest
    await service.messages.edit(conversation, one.messages[0].message_id, "other")
    three = await service.messages.context(conversation, token_budget=500)
    assert three.digest != one.digest


async def test_an_empty_conversation(service: MessageService) -> None:
    created = await service.conversations.create(USER)
    window = await service.messages.context(created.conversation_id, token_budget=100)
    assert window.messages == []
    assert window.token_count == 0


@pytest.mark.parametrize("budget", [1, COST - 1])
async def test_a_budget_that_holds_nothing(
    service: MessageService, conversation: str, budget: int
) -> None:
    with pytest.raises(errors.ContextBudgetTooSmall):
        await service.messages.context(conversation, token_budget=budget)


async def test_bad_arguments(service: MessageService, conversation: str) -> None:
    for options, field in (
        ({"token_budget": 0}, "token_budget"),
        ({"token_budget": "many"}, "token_budget"),
        ({"token_budget": 9, "max_messages": 0}, "max_messages"),
        ({"token_budget": 9, "step": -1}, "step"),
    ):
        with pytest.raises(errors.InvalidInput) as caught:
            await service.messages.context(conversation, **options)  # type: ignore[arg-type]
        assert caught.value.field == field
