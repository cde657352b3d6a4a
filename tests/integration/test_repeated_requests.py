"""What makes an append under a known client message id a repetition, and what a conflict."""

from datetime import UTC, datetime
from typing import Any, cast

import pytest

from message_service import MessageService, errors
from message_service.messages.new_message import NewMessage

USER = "user_000000000001"
THEN = datetime(2025, 1, 2, 3, 4, 5, 678_900, tzinfo=UTC)

COMPARED: dict[str, tuple[Any, Any]] = {
    "role": ("user", "assistant"),
    "text": ("one", "two"),
    "message_id": ("msg_000000000001", "msg_000000000002"),
    "user_id": ("user_000000000002", "user_000000000003"),
    "character_id": ("char_000000000001", "char_000000000002"),
    "branch": ("main", "b"),
    "parent_message_id": ("msg_00000000000a", "msg_00000000000b"),
    "reply_to_message_id": ("msg_00000000000a", "msg_00000000000b"),
    "related_message_ids": (["msg_00000000000a"], ["msg_00000000000b"]),
    "thread_id": ("a", "b"),
    "message_type": ("template", "system"),
    "status": ("active", "archived"),
    "created_at": (THEN, THEN.replace(year=2024)),
    "detected_language": ("en", "de"),
    "token_count": (3, 4),
    "pinned": (True, False),
    "llm_metadata": ({"model": "a"}, {"model": "b"}),
    "usage": ({"input": 1}, {"input": 2}),
    "token_usage": ({"prompt_tokens": 1}, {"prompt_tokens": 2}),
    "context_metadata": ({"context_tokens": 1}, {"context_tokens": 2}),
    "safety_metadata": ({"safety_score": 0.5}, {"safety_score": 0.25}),
    "quality_metadata": ({"coherence_score": 0.5}, {"coherence_score": 0.25}),
    "custom_metadata": ({"a": [1, {"b": 2}], "c": 3}, {"a": [1, {"b": 3}], "c": 3}),
    "parts": (
        [{"type": "attachment", "name": "a.png"}],
        [{"type": "attachment", "name": "b.png"}],
    ),
    "tool_calls": ([{"id": "c", "name": "f"}], [{"id": "c", "name": "g"}]),
    "tool_call_id": ("c", "d"),
    "continues_message_id": ("msg_00000000000a", "msg_00000000000b"),
    "data_classification": ("standard", "sensitive"),
    "retention_policy": ("standard", "extended"),
}
"""Fields a repeated request may not name with another value."""

MAY_DIFFER = {
    "client_msg_id": "the key itself",
    "tokenizer": "needs token_count; compared below",
    "client_metadata": "describes the request",
    "processing_metadata": "describes the request",
    "stations": "describes the request",
}


def test_every_field_is_one_or_the_other() -> None:
    assert set(COMPARED) | set(MAY_DIFFER) == set(NewMessage.model_fields)


async def begun(service: MessageService) -> str:
    """A conversation with two messages and a branch."""
    made = await service.conversations.create(USER)
    for letter in "ab":
        await service.messages.append(
            made.conversation_id, "user", letter, message_id=f"msg_00000000000{letter}"
        )
    await service.messages.branch(made.conversation_id, "msg_00000000000a", name="b")
    return made.conversation_id


@pytest.fixture
async def conversation(service: MessageService) -> str:
    return await begun(service)


@pytest.mark.parametrize("many", [False, True])
async def test_another_value_is_a_conflict(service: MessageService, many: bool) -> None:
    async def send(conversation: str, **fields: Any) -> Any:
        values = {"role": "user", "text": "one", "client_msg_id": "k", **fields}
        if many:
            filler = {"role": "user", "text": "filler"}
            outcome, _ = await service.messages.append_many(conversation, [values, filler])
            return outcome
        role, text = values.pop("role"), values.pop("text")
        try:
            return await service.messages.append(conversation, role, text, **values)
        except errors.IdempotencyConflict as conflict:
            return conflict

    for field, (first, other) in COMPARED.items():
        conversation = await begun(service)
        stored = await send(conversation, **{field: first})
        assert not stored.duplicate, field
        again = await send(conversation, **{field: first})
        assert (again.duplicate, again.message_id) == (True, stored.message_id), field
        refused = await send(conversation, **{field: other})
        assert isinstance(refused, errors.IdempotencyConflict), field


async def test_a_field_that_was_not_named_at_first_is_a_conflict(service: MessageService) -> None:
    """Its value would be lost."""
    defaults = ("branch", "status", "data_classification", "retention_policy")
    for field, (first, other) in COMPARED.items():
        if field in ("role", "text"):
            continue
        conversation = await begun(service)
        await service.messages.append(conversation, "user", "one", client_msg_id="k")
        value = other if field in defaults else first
        repeated = {"role": "user", "text": "one", "client_msg_id": "k", field: value}
        [outcome] = await service.messages.append_many(conversation, [repeated])
        assert isinstance(outcome, errors.IdempotencyConflict), field


async def test_naming_what_was_settled_anyway_is_a_repetition(
    service: MessageService, conversation: str
) -> None:
    first = await service.messages.append(conversation, "user", "one", client_msg_id="k")
    for named in (
        {"branch": "main"},
        {"user_id": USER},
        {"message_id": first.message_id},
        {"created_at": first.created_at},
        {"message_type": "standard", "status": "active", "pinned": False},
        {"data_classification": "standard", "retention_policy": "standard"},
        {"custom_metadata": {}},
        {"client_metadata": {"ip_address": "192.0.2.1"}},
    ):
        again = await service.messages.append(
            conversation, "user", "one", client_msg_id="k", **cast("dict[str, Any]", named)
        )
        assert again.duplicate, named


async def test_a_repetition_may_say_less(service: MessageService, conversation: str) -> None:
    await service.messages.append(
        conversation,
        "user",
        "one",
        client_msg_id="k",
        custom_metadata={"b": 1, "a": 2},
        token_count=3,
        tokenizer="mine",
        created_at=THEN,
    )
    for fields in ({}, {"custom_metadata": {"a": 2, "b": 1}}, {"token_count": 3}):
        again = await service.messages.append(
            conversation, "user", "one", client_msg_id="k", **cast("dict[str, Any]", fields)
        )
        assert again.duplicate
    with pytest.raises(errors.IdempotencyConflict) as conflict:
        await service.messages.append(
            conversation, "user", "one", client_msg_id="k", token_count=3, tokenizer="other"
        )
    assert "tokenizer" in conflict.value.message


async def test_a_repetition_after_a_switch_of_branches_and_an_edit(
    service: MessageService, conversation: str
) -> None:
    first = await service.messages.append(conversation, "user", "one", client_msg_id="k")
    await service.messages.edit(conversation, first.message_id, "edited")
    await service.conversations.patch(conversation, active_branch="b")
    again = await service.messages.append(conversation, "user", "one", client_msg_id="k")
    assert (again.duplicate, again.branch) == (True, "main")
