"""Whatever the calls, results, pins and budget: a call and its results stay together."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from message_service import MessageService, StoredMessage, errors

USER = "user_000000000001"
IDS: st.SearchStrategy[str] = st.sampled_from(["a", "b", "c"])

Told = tuple[str, list[str]]
"""What a message does, and with which calls."""

MESSAGE: st.SearchStrategy[Told] = st.one_of(
    st.just(("say", list[str]())),
    st.tuples(st.just("call"), st.lists(IDS, min_size=1, unique=True)),
    st.tuples(st.just("answer"), st.lists(IDS, min_size=1, max_size=2)),
)


def fields(kind: str, ids: list[str]) -> dict[str, Any]:
    if kind == "say":
        return {"role": "user", "text": "hello", "token_count": 6}
    if kind == "call":
        calls = [{"id": each, "name": "f"} for each in ids]
        return {"role": "assistant", "tool_calls": calls, "token_count": 6}
    results = [{"type": "tool_result", "call_id": each, "text": "x"} for each in ids]
    return {"role": "tool", "parts": results, "token_count": 6}


def pairs(told: list[Told]) -> set[tuple[int, int]]:
    """Return the numbers of calls and their results, in a conversation told from number 1."""
    found = set[tuple[int, int]]()
    made: dict[str, int] = {}
    for number, message in enumerate(told, start=1):
        for each in message[1]:
            if message[0] == "call":
                made[each] = number
            elif each in made:
                found.add((made[each], number))
    return found


def results_of(message: StoredMessage) -> set[str]:
    return {part.call_id for part in message.parts if part.type == "tool_result"}


@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    told=st.lists(MESSAGE, min_size=1, max_size=14),
    room=st.integers(1, 15),
    pinned=st.sets(st.integers(0, 13), max_size=2),
    step=st.sampled_from([None, 1, 4]),
)
async def test_calls_and_results_stand_together_or_not_at_all(
    service: MessageService,
    told: list[Told],
    room: int,
    pinned: set[int],
    step: int | None,
) -> None:
    messages = service.messages
    chat = (await service.conversations.create(USER)).conversation_id
    done = await messages.append_many(chat, [fields(*message) for message in told])
    for place in pinned:
        if place < len(done):
            outcome = done[place]
            assert not isinstance(outcome, errors.MessageServiceError)
            await messages.pin(chat, outcome.message_id)
    try:
        window = await messages.context(chat, token_budget=room * 10, step=step)
    except errors.ContextBudgetTooSmall:
        return
    assert window.token_count <= room * 10
    shown = [message.sequence_number for message in window.messages]
    assert shown == sorted(shown)
    together = pairs(told)
    for call, result in together:
        assert (call in shown) == (result in shown), (call, result, shown)
    # Only results that answer a call remain, and each of them is told apart from its neighbours.
    answered = dict[int, set[str]]()
    for call, result in together:
        ids = set(told[call - 1][1]) & set(told[result - 1][1])
        answered.setdefault(result, set()).update(ids)
    for message in window.messages:
        assert results_of(message) <= answered.get(message.sequence_number, set())
    left = {omission.sequence_number for omission in window.omissions}
    everything = set(range(1, len(told) + 1))
    newest = set(range(window.first_sequence or len(told) + 1, len(told) + 1))
    assert newest - set(shown) <= left <= everything
