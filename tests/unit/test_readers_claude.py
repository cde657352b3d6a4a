from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from message_service import errors
from message_service.interchange.formats.claude import CLAUDE, read
from message_service.interchange.known_formats import guess
from message_service.interchange.reading.records import (
    ImportedConversation,
    ImportedMessage,
    SkippedItem,
)
from support.damaged_json import check, damaged
from support.format_samples import SAMPLES

SAMPLE = SAMPLES["claude"]
ROOT = "00000000-0000-4000-8000-000000000000"


def said(own: str | None, text: str = "said", sender: str = "human", **more: Any) -> dict[str, Any]:
    record = {
        "uuid": own,
        "text": text,
        "sender": sender,
        "created_at": "2026-07-13T12:57:37.405920Z",
        "updated_at": "2026-07-13T12:57:37.405920Z",
        "content": [{"type": "text", "text": text, "citations": [], "flags": None}],
        "attachments": [],
        "files": [],
    }
    return record | more


def export(path: Path, *messages: Any, **conversation: Any) -> Path:
    record = {"uuid": "c1", "name": "", "chat_messages": list(messages)} | conversation
    file = path / "conversations.json"
    file.write_text(json.dumps([record]))
    return file


def only(file: Path) -> ImportedConversation:
    (conversation,) = read([file])
    return conversation


def message(path: Path, *blocks: Any, **more: Any) -> ImportedMessage:
    (found,) = only(
        export(path, said("a", "", "assistant") | {"content": list(blocks)} | more)
    ).messages
    return found


TOOLS = [
    {"type": "thinking", "thinking": "Hm.", "signature": "s", "summaries": [{"summary": "Look"}]},
    {
        "type": "tool_use",
        "id": "toolu_1",
        "name": "view",
        "input": {"path": "a"},
        "message": "Read a",
    },
    {
        "type": "tool_result",
        "tool_use_id": "toolu_1",
        "name": "view",
        "content": [
            {"type": "text", "text": "one"},
            {"type": "image", "file_uuid": "f-1"},
            {"type": "knowledge", "title": "T", "url": "https://x", "text": "two"},
            {"type": "local_resource", "path": "/a"},
        ],
        "is_error": True,
    },
    {"type": "token_budget", "start_timestamp": "x"},
    {
        "type": "text",
        "text": "It is a.",
        "citations": [{"details": {"type": "web", "url": "https://x"}}, {"uuid": "u"}],
    },
]
FULL = [
    {
        "uuid": "c1",
        "name": "Title",
        "summary": "**Overview**",
        "created_at": "2026-07-13T12:57:35.595298Z",
        "updated_at": "2026-07-13T12:57:53.409114Z",
        "account": {"uuid": "o"},
        "chat_messages": [
            said(
                "m1",
                "Hi",
                parent_message_uuid=ROOT,
                attachments=[
                    {
                        "file_name": "a.txt",
                        "file_size": 12,
                        "file_type": "txt",
                        "extracted_content": "pasted",
                    }
                ],
                files=[{"file_uuid": "f", "file_name": "img.png"}],
                files_v2=[{"file_uuid": "f", "file_name": "img.png"}],
            ),
            said("m2", "", "assistant", content=TOOLS, parent_message_uuid="m1"),
        ],
    }
]


def test_a_full_conversation(tmp_path: Path) -> None:
    file = tmp_path / "conversations.json"
    file.write_text(json.dumps(FULL))
    conversation = only(file)
    check([conversation])
    assert conversation.external_id == "c1"
    assert conversation.title == "Title"
    assert conversation.sender == "o"
    assert conversation.records == 2
    assert conversation.created_at == datetime(2026, 7, 13, 12, 57, 35, 595000, UTC)
    assert conversation.custom["summary"] == "**Overview**"
    question, answer = conversation.messages
    assert question.role == "user"
    assert question.text == ""
    assert question.parts == [
        {"type": "text", "text": "Hi"},
        {
            "type": "attachment",
            "kind": "document",
            "name": "a.txt",
            "mime_type": "text/plain",
            "size": 12,
        },
        {"type": "text", "text": "pasted"},
        {
            "type": "attachment",
            "kind": "image",
            "name": "img.png",
            "mime_type": "image/png",
            "pointer": "f",
        },
    ]
    assert answer.parent == "m1"
    assert (answer.role, answer.llm_provider) == ("assistant", "anthropic")
    assert answer.custom == {"tool_notes": ["Read a"]}
    assert answer.parts == [
        {"type": "reasoning", "text": "Hm.", "signature": "s"},
        {"type": "other", "name": "thinking_summaries", "data": '[{"summary":"Look"}]'},
        {"type": "tool_call", "id": "toolu_1", "name": "view", "arguments": '{"path":"a"}'},
        {
            "type": "tool_result",
            "call_id": "toolu_1",
            "status": "error",
            "name": "view",
            "text": "one\nT\nhttps://x\ntwo",
        },
        {"type": "attachment", "kind": "image", "pointer": "f-1"},
        {
            "type": "other",
            "name": "local_resource",
            "data": '{"type":"local_resource","path":"/a"}',
        },
        {"type": "text", "text": "It is a."},
        {"type": "citation", "url": "https://x"},
        {"type": "other", "name": "citation", "data": '{"uuid":"u"}'},
    ]


def test_the_oldest_exports_have_a_text_and_neither_content_nor_parents(tmp_path: Path) -> None:
    records = [said("a", "one", content=[]), said("b", "two", "assistant"), said("c", "three")]
    del records[2]["content"]
    conversation = only(export(tmp_path, *records))
    assert [m.text for m in conversation.messages] == ["one", "two", "three"]
    assert [m.role for m in conversation.messages] == ["user", "assistant", "user"]
    assert [m.parent for m in conversation.messages] == [None, None, None]
    assert conversation.branches == []
    assert not any(m.parts for m in conversation.messages)


def test_edits_and_retries_are_branches(tmp_path: Path) -> None:
    records = [
        said("q", parent_message_uuid=ROOT),
        said("a1", "first", "assistant", parent_message_uuid="q"),
        said("gone", "", "assistant", content=[], parent_message_uuid="q"),
        said("f", "on", parent_message_uuid="gone", created_at="2026-07-14T12:00:00Z"),
    ]
    conversation = only(export(tmp_path, *records))
    assert [(m.external_id, m.branch, m.parent) for m in conversation.messages] == [
        ("q", "main", None),
        ("f", "main", "q"),
        ("a1", "alt-1", "q"),
    ]
    assert conversation.skipped == [SkippedItem("gone", "empty message")]
    (chosen,) = read([export(tmp_path, *records, current_leaf_message_uuid="a1")])
    assert [m.external_id for m in chosen.messages if m.branch == "main"] == ["q", "a1"]


def test_tool_calls_without_ids(tmp_path: Path) -> None:
    lone = message(
        tmp_path,
        {"type": "tool_use", "id": None, "name": "f", "input": {}},
        {"type": "tool_result", "tool_use_id": None, "name": "f", "content": ""},
        {"type": "tool_use", "name": "g", "input": {"_tool_call_id": "t"}},
    )
    assert [part.get("id") or part.get("call_id") for part in lone.parts] == ["a/1", "a/1", "t"]
    parallel = message(
        tmp_path,
        {"type": "tool_use", "name": "f", "input": {"x": 1}},
        {"type": "tool_use", "name": "f", "input": {"x": 2}},
        {"type": "tool_use", "name": "g", "input": {}},
        {"type": "tool_result", "name": "g", "content": "late"},
        {"type": "tool_result", "name": "f", "content": "unclear which"},
    )
    ids = [part.get("id") or part.get("call_id") for part in parallel.parts]
    assert ids == ["a/1", "a/2", "a/3", "a/3", "a/5"]


def test_other_blocks(tmp_path: Path) -> None:
    found = message(
        tmp_path,
        {"type": "voice_note", "title": "Note", "text": "spoken"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}},
        {"type": "document", "source": {"type": "text", "data": "a document"}},
        {"type": "redacted_thinking", "data": "secret"},
        {"type": "code", "text": "x = 1"},
        {"type": "wow", "text": "words", "level": 9},
        {"type": "tool_result", "tool_use_id": "t", "structured_content": {"n": 1}},
        "bare",
        None,
        7,
    )
    digest = "sha256:b5d4045c3f466fa91fe2cc6abe79232a1a57cdf104f7a26e716e0a1e2789df78"
    assert found.custom == {"content_type": "code, wow"}
    assert found.parts == [
        {"type": "text", "text": "Note"},
        {"type": "text", "text": "spoken"},
        {
            "type": "attachment",
            "kind": "image",
            "mime_type": "image/png",
            "size": 3,
            "hash": digest,
        },
        {"type": "text", "text": "a document"},
        {"type": "reasoning", "encrypted": "secret"},
        {"type": "text", "text": "x = 1"},
        {"type": "text", "text": "words"},
        {"type": "other", "name": "wow", "data": '{"level":9}'},
        {"type": "tool_result", "call_id": "t", "status": "ok", "text": '{"n":1}'},
        {"type": "text", "text": "bare"},
        {"type": "other", "name": "unknown", "data": "7"},
    ]


def test_a_placeholder_for_a_block_is_no_text(tmp_path: Path) -> None:
    text = "```\nThis block is not supported on your current device yet.\n```"
    block = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    found = message(tmp_path, block, text=text)
    assert [part["type"] for part in found.parts] == ["tool_call"]
    kept = message(tmp_path, block, text=text + "\nBut this is.")
    assert kept.parts[-1] == {"type": "text", "text": "\nBut this is."}


def test_odd_messages(tmp_path: Path) -> None:
    conversation = only(
        export(
            tmp_path,
            None,
            said(None, "no id"),
            said("a", "one", "alien", created_at="not a date", mood="good"),
            said("a", "one", "alien", created_at="not a date", mood="good"),
            said("a", "other words, same id", updated_at="2026-07-14T00:00:00Z"),
            said("f", "", content=[], files=[{"file_name": "clip.mp4"}]),
            uuid=None,
        )
    )
    check([conversation])
    assert conversation.external_id == "a"
    assert [m.external_id for m in conversation.messages] == ["#2", "a", "a#2", "f"]
    odd = conversation.messages[1]
    assert (odd.role, odd.created_at) == ("system", None)
    assert odd.custom["original_role"] == "alien"
    assert odd.custom["other_fields"] == '{"mood":"good"}'
    assert conversation.messages[2].custom == {"updated_at": "2026-07-14T00:00:00+00:00"}
    assert conversation.messages[3].parts[0]["kind"] == "video"
    assert [(s.external_id, s.reason) for s in conversation.skipped] == [
        ("#1", "not an object"),
        ("a", "same as an earlier message"),
    ]


def test_a_grown_export_keeps_the_ids(tmp_path: Path) -> None:
    records = [said(None, "one"), said(None, "two"), said("x", "three")]
    before = only(export(tmp_path, *records[:2]))
    after = only(export(tmp_path, *records))
    known = [(m.external_id, m.text) for m in before.messages]
    assert [(m.external_id, m.text) for m in after.messages][:2] == known


def test_cycles_of_parents(tmp_path: Path) -> None:
    records = [said("a", parent_message_uuid="b"), said("b", parent_message_uuid="a")]
    conversation = only(export(tmp_path, *records))
    assert {m.external_id for m in conversation.messages} == {"a", "b"}


@pytest.mark.parametrize("text", ["[{}]", '[{"mapping": {}}]', "{}", "[1", '[{"messages": []}]'])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "conversations.json"
    file.write_text(text)
    with pytest.raises(errors.InvalidImport):
        list(read([file]))


def test_the_sample_is_recognised(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_text(SAMPLE)
    assert guess(file) is CLAUDE
    (conversation,) = read([file])
    assert conversation.skipped == [SkippedItem("c", "conversation without messages")]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(value=damaged(FULL))
def test_damage_anywhere(tmp_path: Path, value: Any) -> None:
    file = tmp_path / "conversations.json"
    file.write_text(json.dumps(value))
    try:
        conversations = list(CLAUDE.read([file]))
    except errors.InvalidImport:
        return
    check(conversations)
