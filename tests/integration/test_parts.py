"""Messages with parts: tool calls and results, reasoning, attachments, refusals, citations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from message_service import (
    Attachment,
    Citation,
    ImportReport,
    MessageService,
    OtherPart,
    Part,
    Reasoning,
    Refusal,
    TextPart,
    ToolCall,
    ToolResult,
    errors,
)
from message_service.documents.parts import AttachmentKind, ToolStatus

USER = "user_000000000001"

EVERY_KIND: list[Part] = [
    Reasoning(text="Let me look.", signature="c2ln"),
    TextPart(text="I will look it up."),
    Attachment(
        kind=AttachmentKind.IMAGE,
        name="sky.png",
        mime_type="image/png",
        size=12,
        hash="sha256:00",
        pointer="s3://files/sky.png",
        token_count=85,
    ),
    ToolCall(id="call_1", name="weather", arguments='{"city": "Lima"}'),
    ToolCall(id="call_2", name="weather", arguments="{}"),
    ToolResult(call_id="call_0", status=ToolStatus.ERROR, text="no such town"),
    Citation(title="Sky", url="https://example.org/sky", start=0, end=6),
    Refusal(text="I cannot say more."),
    OtherPart(name="server_tool_use", data='{"a":1}'),
]


@pytest.fixture
async def conversation(service: MessageService) -> str:
    return (await service.conversations.create(USER)).conversation_id


async def test_every_kind_of_part_reads_back_as_it_was_given(
    service: MessageService, conversation: str
) -> None:
    done = await service.messages.append(conversation, "assistant", parts=EVERY_KIND)
    for message in (
        await service.messages.get(conversation, done.message_id),
        (await service.messages.history(conversation)).items[0],
    ):
        assert message.parts == EVERY_KIND
        assert message.text == "I will look it up.\nno such town\nI cannot say more."
    stored = (await service.messages.get(conversation, done.message_id)).document()
    assert stored.content.call_ids == ["call_1", "call_2", "call_0"]


async def test_an_assistants_turn_may_consist_of_tool_calls_only(
    service: MessageService, conversation: str
) -> None:
    ours = {"id": "call_1", "name": "weather", "arguments": {"city": "Lima"}}
    theirs = {
        "id": "call_2",
        "type": "function",
        "function": {"name": "weather", "arguments": '{"city":"Quito"}'},
    }
    done = await service.messages.append(conversation, "assistant", tool_calls=[ours, theirs])
    await service.messages.append(conversation, "tool", "sunny", tool_call_id="call_1")
    calls, result = (await service.messages.history(conversation)).items
    assert calls.text == ""
    assert calls.parts == [
        ToolCall(id="call_1", name="weather", arguments='{"city":"Lima"}'),
        ToolCall(id="call_2", name="weather", arguments='{"city":"Quito"}'),
    ]
    assert result.text == "sunny"
    assert result.parts == [ToolResult(call_id="call_1", text="sunny")]
    shown = await service.conversations.get(conversation)
    assert shown.last_sequence_number == 2
    assert done.sequence_number == 1


async def test_a_plain_text_is_one_part_and_stores_none(
    service: MessageService, conversation: str
) -> None:
    await service.messages.append(conversation, "user", "hello")
    await service.messages.append(conversation, "user", parts=[TextPart(text="hello")])
    for message in (await service.messages.history(conversation, full=True)).items:
        assert message.parts == [TextPart(text="hello")]
        assert "parts" not in message.raw["content"]


async def test_several_texts_stay_apart(service: MessageService, conversation: str) -> None:
    parts: list[Part] = [TextPart(text="one"), TextPart(text="two\nthree"), TextPart(text="four")]
    await service.messages.append(conversation, "user", parts=parts)
    [message] = (await service.messages.history(conversation)).items
    assert (message.parts, message.text) == (parts, "one\ntwo\nthree\nfour")


async def test_one_text_is_stored_once(service: MessageService, conversation: str) -> None:
    await service.messages.append(
        conversation, "assistant", "calling", tool_calls=[{"id": "c", "name": "f"}]
    )
    [message] = (await service.messages.history(conversation)).items
    assert [part.get("text") for part in message.raw["content"]["parts"]] == [None, None]
    assert message.parts[0] == TextPart(text="calling")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, "text"),
        ({"parts": []}, "text"),
        ({"parts": [{"type": "text", "text": ""}]}, "text"),
        ({"parts": [{"type": "magic"}]}, "parts"),
        ({"parts": [{"text": "no type"}]}, "parts"),
        ({"parts": [{"type": "tool_call", "id": "", "name": "f"}]}, "parts"),
        ({"parts": [{"type": "tool_call", "id": "a", "name": "f", "args": 1}]}, "parts"),
        ({"parts": [{"type": "tool_call", "id": "a", "name": "f"}] * 2}, "parts.1.id"),
        ({"parts": [{"type": "reasoning"}]}, "parts.0"),
        ({"parts": [{"type": "attachment", "pointer": "data:x;base64,AA=="}]}, "parts.0.pointer"),
        ({"parts": [{"type": "text", "text": "a"}], "text": "b"}, "text"),
        ({"parts": [{"type": "refusal", "text": "n"}], "tool_calls": []}, "tool_calls"),
        ({"tool_call_id": "a", "tool_calls": [], "text": "x"}, "tool_calls"),
        ({"tool_calls": [{"id": "a", "function": {"arguments": "{}"}}]}, "tool_calls"),
        ({"parts": [{"type": "text", "text": "x"}] * 10_000}, "parts"),
        ({"parts": [{"type": "other", "name": "n", "data": "x" * 400_000}] * 3}, "parts"),
        ({"parts": [{"type": "text", "text": "x" * 30_000}] * 2}, "text"),
    ],
)
async def test_wrong_parts_are_refused_by_name_and_nothing_is_stored(
    service: MessageService, conversation: str, fields: dict[str, Any], named: str
) -> None:
    with pytest.raises(errors.InvalidInput) as refused:
        await service.messages.append(conversation, "assistant", **fields)
    assert refused.value.field.startswith(named)
    assert (await service.messages.history(conversation)).items == []


async def test_a_repeated_request_compares_the_parts(
    service: MessageService, conversation: str
) -> None:
    async def append(arguments: str, **more: Any) -> bool:
        call = {"type": "tool_call", "id": "c", "name": "f", "arguments": arguments}
        done = await service.messages.append(
            conversation, "assistant", parts=[call], client_msg_id="once", **more
        )
        return done.duplicate

    assert not await append("{}")
    assert await append("{}")
    with pytest.raises(errors.IdempotencyConflict):
        await append('{"a":1}')
    with pytest.raises(errors.IdempotencyConflict):
        await service.messages.append(conversation, "assistant", "x", client_msg_id="once")


async def test_an_edited_text_leaves_the_other_parts(
    service: MessageService, conversation: str
) -> None:
    file = Attachment(name="a.txt", pointer="s3://a")
    call = ToolCall(id="c", name="f")
    done = await service.messages.append(conversation, "user", parts=[file, TextPart(text="old")])
    bare = await service.messages.append(conversation, "assistant", parts=[call])
    edited = await service.messages.edit(conversation, done.message_id, "new")
    assert edited.parts == [file, TextPart(text="new")]
    assert (await service.messages.edit(conversation, bare.message_id, "why")).parts == [
        TextPart(text="why"),
        call,
    ]
    assert (await service.messages.edit(conversation, bare.message_id, "")).parts == [call]
    replaced = await service.messages.edit(conversation, done.message_id, parts=[file])
    assert (replaced.parts, replaced.text) == ([file], "")
    versions = await service.messages.versions(conversation, done.message_id)
    assert [version.content.text for version in versions] == ["old", "new"]
    assert (await service.messages.edit(conversation, done.message_id, "t", parts=[])).parts == [
        TextPart(text="t")
    ]


async def test_an_edit_that_cannot_place_its_text_is_refused(
    service: MessageService, conversation: str
) -> None:
    done = await service.messages.append(conversation, "assistant", parts=EVERY_KIND)
    plain = await service.messages.append(conversation, "assistant", "plain")
    with pytest.raises(errors.InvalidInput, match="3 parts"):
        await service.messages.edit(conversation, done.message_id, "new")
    with pytest.raises(errors.InvalidInput, match="is empty"):
        await service.messages.edit(conversation, plain.message_id)
    kept = await service.messages.get(conversation, done.message_id)
    assert (kept.parts, kept.revision) == (EVERY_KIND, 1)


async def test_tokens_count_what_a_prompt_holds(service: MessageService, conversation: str) -> None:
    async def count(**fields: Any) -> tuple[int, int]:
        done = await service.messages.append(conversation, "assistant", **fields)
        content = (await service.messages.get(conversation, done.message_id)).raw["content"]
        return content["token_count"], content.get("reasoning_token_count", 0)

    plain, _ = await count(text="four words of text")
    thought = {"type": "reasoning", "text": "x" * 400}
    assert await count(text="four words of text", parts=[thought]) == (plain, 100)
    call = {"id": "c", "name": "weather", "arguments": "x" * 393}
    assert await count(text="four words of text", tool_calls=[call]) == (plain + 100, 0)
    image = {"type": "attachment", "kind": "image", "token_count": 85}
    assert await count(text="four words of text", parts=[image]) == (plain + 85, 0)
    assert (await count(parts=[{"type": "attachment", "kind": "image"}]))[0] > 1_000
    assert await count(tool_calls=[call], token_count=7) == (7, 0)


async def test_an_export_restores_the_parts(
    service: MessageService, conversation: str, tmp_path: Path
) -> None:
    done = await service.messages.append(conversation, "assistant", parts=EVERY_KIND)
    await service.messages.edit(conversation, done.message_id, parts=EVERY_KIND[:3])
    there, other = service.tenant("default"), service.tenant("other")
    file = tmp_path / "export.jsonl"
    file.write_text("".join([line async for line in there.transfer.export_lines()]))
    report = ImportReport()
    async for _ in other.transfer.import_files("jsonl", [file], report):
        pass
    assert report.complete
    restored = await other.messages.get(conversation, done.message_id)
    assert restored.parts == EVERY_KIND[:3]
    [version] = await other.messages.versions(conversation, done.message_id)
    assert version.content.call_ids == ["call_1", "call_2", "call_0"]

    damaged = tmp_path / "damaged.jsonl"
    damaged.write_text(file.read_text().replace("sky.png", "sea.png"))
    report = ImportReport()
    async for _ in service.tenant("third").transfer.import_files("jsonl", [damaged], report):
        pass
    assert report.failed == {"checksum_mismatch": 1}
