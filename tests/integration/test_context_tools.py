"""Prompt windows of conversations with tool calls, reasoning and hidden messages."""

from __future__ import annotations

from typing import Any

import pytest

from message_service import MessageService, Reasoning, TextPart, errors

USER = "user_000000000001"


@pytest.fixture
async def conversation(service: MessageService) -> str:
    return (await service.conversations.create(USER)).conversation_id


def call(*ids: str, **more: Any) -> dict[str, Any]:
    calls = [{"id": each, "name": "weather", "arguments": "{}"} for each in ids]
    return {"role": "assistant", "tool_calls": calls, "token_count": 6, **more}


def result(call_id: str, **more: Any) -> dict[str, Any]:
    return {"role": "tool", "text": "sunny", "tool_call_id": call_id, "token_count": 6, **more}


def said(role: str, text: str, **more: Any) -> dict[str, Any]:
    return {"role": role, "text": text, "token_count": 6, **more}


async def shown(service: MessageService, conversation: str, budget: int, **more: Any) -> list[int]:
    window = await service.messages.context(conversation, token_budget=budget, step=1, **more)
    assert window.token_count <= budget
    return [message.sequence_number for message in window.messages]


async def test_a_window_never_begins_with_a_result(
    service: MessageService, conversation: str
) -> None:
    for turn in range(20):
        await service.messages.append_many(
            conversation,
            [
                said("user", "what is the weather?"),
                call(f"call_{turn}"),
                result(f"call_{turn}"),
                said("assistant", "it is sunny"),
            ],
        )
    for room in range(1, 30):
        numbers = await shown(service, conversation, room * 10)
        assert numbers == list(range(numbers[0], 81))
        assert len(numbers) == room - (room % 4 == 2), "only a separated result is left out"
        assert numbers[0] % 4 != 3


async def test_the_window_says_what_it_left_out(service: MessageService, conversation: str) -> None:
    await service.messages.append_many(
        conversation, [call("a", "b"), result("a"), result("b"), said("assistant", "sunny")]
    )
    window = await service.messages.context(conversation, token_budget=30, step=1)
    assert [message.sequence_number for message in window.messages] == [4]
    assert [(left.sequence_number, left.reason, left.call_ids) for left in window.omissions] == [
        (2, "belongs_before_window", ("a",)),
        (3, "belongs_before_window", ("b",)),
    ]
    assert window.left_out


async def test_parallel_calls_stay_whole(service: MessageService, conversation: str) -> None:
    await service.messages.append_many(
        conversation,
        [
            said("user", "both?"),
            call("a", "b"),
            result("b"),
            said("user", "hurry"),
            result("a"),
            said("assistant", "done"),
        ],
    )
    sizes = [len(await shown(service, conversation, room * 10)) for room in range(1, 7)]
    assert sizes == [1, 1, 1, 1, 5, 6]


async def test_results_in_one_message_belong_to_their_calls(
    service: MessageService, conversation: str
) -> None:
    results = [
        {"type": "tool_result", "call_id": "a", "text": "1"},
        {"type": "tool_result", "call_id": "b", "text": "2", "status": "error"},
        {"type": "text", "text": "go on"},
    ]
    await service.messages.append_many(
        conversation,
        [call("a"), call("b"), {"role": "user", "parts": results, "token_count": 6}, call("c")],
    )
    sizes = [len(await shown(service, conversation, room * 10)) for room in range(1, 5)]
    assert sizes == [1, 1, 1, 4]
    window = await service.messages.context(conversation, token_budget=100)
    assert window.unanswered_calls == ("c",)


async def test_an_id_that_is_used_again_belongs_to_the_nearest_call(
    service: MessageService, conversation: str
) -> None:
    for _ in range(5):
        await service.messages.append_many(conversation, [call("call_0"), result("call_0")])
    for room in range(2, 11):
        assert len(await shown(service, conversation, room * 10)) == room // 2 * 2


async def test_a_tools_message_without_an_id_belongs_to_the_message_before(
    service: MessageService, conversation: str
) -> None:
    for turn in range(10):
        await service.messages.append_many(
            conversation,
            [
                said("user", f"question {turn}"),
                said("assistant", '{"call": "weather"}'),
                said("tool", "sunny"),
                said("tool", "windy"),
                said("assistant", "it is sunny and windy"),
            ],
        )
    for room in range(1, 40):
        numbers = await shown(service, conversation, room * 10)
        assert numbers == list(range(numbers[0], 51))
        assert numbers[0] % 5 not in (3, 4)


async def test_a_branch_that_begins_with_a_tools_message(
    service: MessageService, conversation: str
) -> None:
    await service.messages.append_many(
        conversation, [said("tool", "lost"), said("tool", "lost too"), said("user", "hello")]
    )
    window = await service.messages.context(conversation, token_budget=1_000)
    assert [message.sequence_number for message in window.messages] == [3]
    assert [left.reason for left in window.omissions] == ["result_without_call"] * 2


async def test_a_result_that_does_not_fit_with_its_call_is_refused(
    service: MessageService, conversation: str
) -> None:
    await service.messages.append_many(conversation, [call("a"), result("a")])
    with pytest.raises(errors.ContextBudgetTooSmall, match="tool call"):
        await service.messages.context(conversation, token_budget=15)


async def test_a_result_whose_call_is_gone_is_left_out(
    service: MessageService, conversation: str
) -> None:
    [_, made, *_] = await service.messages.append_many(
        conversation,
        [
            said("user", "the weather?"),
            call("a"),
            result("a"),
            result("never"),
            said("assistant", "sunny"),
        ],
    )
    assert not isinstance(made, errors.MessageServiceError)
    await service.messages.delete(conversation, made.message_id)
    window = await service.messages.context(conversation, token_budget=1_000)
    assert [message.sequence_number for message in window.messages] == [1, 5]
    assert [(left.sequence_number, left.reason) for left in window.omissions] == [
        (3, "result_without_call"),
        (4, "result_without_call"),
    ]
    assert window.token_count == 20
    await service.messages.undelete(conversation, made.message_id)
    assert await shown(service, conversation, 1_000) == [1, 2, 3, 5]


async def test_a_result_without_call_takes_only_itself_out_of_its_message(
    service: MessageService, conversation: str
) -> None:
    parts = [
        {"type": "tool_result", "call_id": "never", "text": "lost"},
        {"type": "text", "text": "and what now?"},
    ]
    await service.messages.append(conversation, "user", parts=parts)
    window = await service.messages.context(conversation, token_budget=1_000)
    assert [message.parts for message in window.messages] == [[TextPart(text="and what now?")]]
    assert (await service.messages.history(conversation)).items[0].text == "lost\nand what now?"


async def test_a_pinned_call_brings_its_results(service: MessageService, conversation: str) -> None:
    done = await service.messages.append_many(
        conversation,
        [call("x"), result("x"), call("a", "b"), result("a"), result("b"), call("b"), result("b")],
    )
    await service.messages.append_many(conversation, [said("user", "more")] * 30)
    assert not isinstance(done[4], errors.MessageServiceError)
    await service.messages.pin(conversation, done[4].message_id)
    window = await service.messages.context(conversation, token_budget=60, step=1)
    assert [message.sequence_number for message in window.messages] == [3, 4, 5, 35, 36, 37]
    assert window.pinned == 3
    assert (await shown(service, conversation, 345))[:5] == [3, 4, 5, 7 + 1, 9]


async def test_a_branch_holds_the_calls_of_its_own_line(
    service: MessageService, conversation: str
) -> None:
    done = await service.messages.append_many(
        conversation, [said("user", "?"), call("a"), result("a")]
    )
    assert not isinstance(done[0], errors.MessageServiceError)
    await service.messages.branch(conversation, done[0].message_id, name="other")
    await service.messages.append_many(
        conversation,
        [result("a", branch="other"), said("assistant", "?", branch="other")],
    )
    assert await shown(service, conversation, 1_000, branch="other") == [1, 5]
    assert await shown(service, conversation, 1_000, branch="main") == [1, 2, 3]


async def test_reasoning_is_sent_only_when_asked_for(
    service: MessageService, conversation: str
) -> None:
    thought = {"type": "reasoning", "text": "x" * 400}
    await service.messages.append(conversation, "assistant", parts=[thought])
    await service.messages.append(
        conversation, "assistant", parts=[thought, {"type": "text", "text": "Hello"}]
    )
    window = await service.messages.context(conversation, token_budget=1_000)
    assert [message.parts for message in window.messages] == [[TextPart(text="Hello")]]
    assert window.token_count == 6
    assert [left.reason for left in window.omissions] == ["reasoning_only"]
    asked = await service.messages.context(conversation, token_budget=1_000, include_reasoning=True)
    assert [message.parts[0] for message in asked.messages] == [Reasoning(text="x" * 400)] * 2
    assert asked.token_count == 210
    assert asked.digest != window.digest
    small = await service.messages.context(conversation, token_budget=150, include_reasoning=True)
    assert [message.sequence_number for message in small.messages] == [2]
    assert small.token_count == 106


async def test_hidden_messages_are_shown_when_asked_for(
    service: MessageService, conversation: str
) -> None:
    await service.messages.append_many(
        conversation,
        [
            said("system", "be kind", status="hidden"),
            said("user", "hello"),
            said("assistant", "hi"),
        ],
    )
    assert await shown(service, conversation, 1_000) == [2, 3]
    assert await shown(service, conversation, 1_000, include_hidden=True) == [1, 2, 3]
    done = (await service.messages.history(conversation)).items[1]
    await service.messages.hide(conversation, done.message_id)
    assert await shown(service, conversation, 1_000) == [2]
