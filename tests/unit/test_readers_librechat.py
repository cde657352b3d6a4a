from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from message_service import errors
from message_service.interchange.formats.librechat import LIBRECHAT, read
from message_service.interchange.known_formats import guess
from message_service.interchange.reading import deep_json
from message_service.interchange.reading.records import (
    ImportedConversation,
    ImportedFeedback,
    ImportedMessage,
    SkippedItem,
)
from support.damaged_json import check, damaged
from support.format_samples import SAMPLES

SAMPLE = SAMPLES["librechat"]
ROOT = "00000000-0000-0000-0000-000000000000"
Node = dict[str, Any]


def said(own: str, *children: Node, text: str = "said", by_user: bool = False, **more: Any) -> Node:
    return {
        "messageId": own,
        "parentMessageId": ROOT,
        "sender": "User" if by_user else "GPT-4",
        "text": text,
        "isCreatedByUser": by_user,
        "children": list(children),
        **more,
    }


def flat(own: str, parent: str | None, **more: Any) -> Node:
    node = said(own, **more)
    del node["children"]
    return {**node, "parentMessageId": parent}


ANSWER = [
    {"type": "think", "think": "Hm."},
    {"type": "text", "text": {"value": "It", "annotations": [{"url": "https://x"}, {"n": 1}]}},
    {
        "type": "tool_call",
        "tool_call": {"id": "t1", "name": "f", "args": '{"x":1}', "output": "42", "progress": 1},
    },
    {"type": "text", "text": "is 42"},
    {"type": "agent_update", "agent_update": {"agentId": "ag"}},
]
FULL = {
    "conversationId": "c1",
    "endpoint": "openAI",
    "title": "Title",
    "exportAt": "13:18:04 GMT-0400 (Eastern Daylight Time)",
    "branches": True,
    "recursive": True,
    "options": {"model": "gpt-4-turbo", "promptPrefix": "Be brief.", "temperature": 0.8},
    "messagesTree": [
        said(
            "q",
            said(
                "a1",
                text="",
                model="gpt-4-turbo",
                tokenCount=59,
                content=ANSWER,
                feedback={"rating": "thumbsDown", "tag": {"key": "slow"}, "text": "meh"},
            ),
            said(
                "a2",
                said("q2", by_user=True, createdAt="2024-05-01T16:40:00Z"),
                endpoint="google",
                model="gemini",
                unfinished=True,
                createdAt="2024-05-01T16:36:00Z",
                updatedAt="2024-05-01T16:37:00Z",
                finish_reason="length",
                mood=3,
            ),
            by_user=True,
            createdAt="2024-05-01T16:35:11.530Z",
            user="64d4",
            files=[{"file_id": "f1", "filename": "a.png", "type": "image/png", "bytes": 9}],
        )
    ],
}


def export(path: Path, *messages: Any, **more: Any) -> Path:
    file = path / "T.json"
    file.write_text(json.dumps({"conversationId": "c", "messages": list(messages), **more}))
    return file


def only(file: Path) -> ImportedConversation:
    (conversation,) = read([file])
    return conversation


def message(path: Path, *content: Any, **more: Any) -> ImportedMessage:
    (found,) = only(export(path, said("a", content=list(content), **{"text": "", **more}))).messages
    return found


def lines(conversation: ImportedConversation) -> list[tuple[str, str | None, str]]:
    return [(m.external_id, m.parent, m.branch) for m in conversation.messages]


def test_a_full_conversation(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text(json.dumps(FULL))
    conversation = only(file)
    check([conversation])
    assert (conversation.external_id, conversation.title) == ("c1", "Title")
    assert conversation.sender == "64d4"
    assert conversation.records == 4
    assert conversation.custom == {
        "endpoint": "openAI",
        "default_model": "gpt-4-turbo",
        "options": '{"temperature":0.8}',
    }
    assert lines(conversation) == [
        ("promptPrefix", None, "main"),
        ("q", "promptPrefix", "main"),
        ("a2", "q", "main"),
        ("q2", "a2", "main"),
        ("a1", "q", "alt-1"),
    ]
    system, question, second, _, first = conversation.messages
    assert (system.role, system.status, system.text) == ("system", "hidden", "Be brief.")
    assert question.sender == "64d4"
    assert question.created_at == datetime(2024, 5, 1, 16, 35, 11, 530000, UTC)
    assert question.parts == [
        {"type": "text", "text": "said"},
        {
            "type": "attachment",
            "kind": "image",
            "name": "a.png",
            "mime_type": "image/png",
            "size": 9,
            "pointer": "f1",
        },
    ]
    assert (second.llm_provider, second.llm_model) == ("google", "gemini")
    assert second.custom == {
        "name": "GPT-4",
        "updated_at": "2024-05-01T16:37:00+00:00",
        "unfinished": True,
        "finish_reason": "length",
        "other_fields": '{"mood":3}',
    }
    assert (first.llm_provider, first.llm_model) == ("openAI", "gpt-4-turbo")
    assert first.feedback == ImportedFeedback("down", "meh", ("slow",))
    assert first.custom == {"name": "GPT-4", "token_count": 59, "content_type": "agent_update"}
    assert first.parts == [
        {"type": "reasoning", "text": "Hm."},
        {"type": "text", "text": "It"},
        {"type": "citation", "url": "https://x"},
        {"type": "other", "name": "annotation", "data": '{"n":1}'},
        {"type": "tool_call", "id": "t1", "name": "f", "arguments": '{"x":1}'},
        {"type": "tool_result", "call_id": "t1", "status": "ok", "name": "f", "text": "42"},
        {"type": "text", "text": "is 42"},
        {"type": "other", "name": "agent_update", "data": '{"agent_update":{"agentId":"ag"}}'},
    ]


def test_older_files_nest_replies_in_messages(tmp_path: Path) -> None:
    tree = said("q", said("a1"), said("a2"), by_user=True)
    nested = only(export(tmp_path, tree))
    single = tmp_path / "single.json"
    single.write_text(json.dumps({"conversationId": "c", "messages": tree}))
    assert lines(nested) == lines(only(single))
    assert lines(nested) == [("q", None, "main"), ("a2", "q", "main"), ("a1", "q", "alt-1")]


def test_flat_files(tmp_path: Path) -> None:
    conversation = only(
        export(tmp_path, flat("q", ROOT), flat("a1", "q"), flat("a2", "q"), flat("q2", "a1"))
    )
    assert lines(conversation) == [
        ("q", None, "main"),
        ("a1", "q", "main"),
        ("q2", "a1", "main"),
        ("a2", "q", "alt-1"),
    ]
    unlinked = [{"text": "one", "isCreatedByUser": True}, {"text": "two"}]
    assert lines(only(export(tmp_path, *unlinked))) == [("#1", None, "main"), ("#2", "#1", "main")]


def test_an_empty_message_keeps_its_replies(tmp_path: Path) -> None:
    conversation = only(export(tmp_path, said("q", said("gone", said("on"), text=""))))
    assert lines(conversation) == [("q", None, "main"), ("on", "q", "main")]
    assert conversation.skipped == [SkippedItem("gone", "empty message")]
    assert conversation.records == 3


def test_words_of_the_user_within_an_answer(tmp_path: Path) -> None:
    content = [
        {"type": "text", "text": "one"},
        {"type": "steer", "steer": "faster!", "createdAt": "2024", "files": [{"file_id": "f"}]},
        {"type": "text", "text": "two"},
    ]
    answer = said("a", said("q2", by_user=True), text="", content=content, model="m")
    conversation = only(export(tmp_path, said("q", answer, by_user=True)))
    check([conversation])
    assert [(m.external_id, m.parent, m.role) for m in conversation.messages] == [
        ("q", None, "user"),
        ("a", "q", "assistant"),
        ("a/steer-1", "a", "user"),
        ("a/after-1", "a/steer-1", "assistant"),
        ("q2", "a/after-1", "user"),
    ]
    assert conversation.records == 3
    steer = conversation.messages[2]
    assert steer.parts[0] == {"type": "text", "text": "faster!"}
    assert steer.custom == {"in_message": "a"}


def test_tool_calls_of_assistants(tmp_path: Path) -> None:
    function = {"name": "g", "arguments": {"y": 2}, "output": {"z": 3}}
    interpreter = {"input": "1+1", "outputs": [{"type": "logs", "logs": "2"}]}
    found = message(
        tmp_path,
        {"type": "tool_call", "tool_call": {"id": "1", "type": "function", "function": function}},
        {
            "type": "tool_call",
            "tool_call": {"type": "code_interpreter", "code_interpreter": interpreter},
        },
        {"type": "tool_call", "tool_call": {"id": "3", "name": "h", "args": "", "progress": 0.1}},
    )
    assert found.parts == [
        {"type": "tool_call", "id": "1", "name": "g", "arguments": '{"y":2}'},
        {"type": "tool_result", "call_id": "1", "status": "ok", "name": "g", "text": '{"z":3}'},
        {"type": "tool_call", "id": "a/2", "name": "code_interpreter", "arguments": "1+1"},
        {
            "type": "tool_result",
            "call_id": "a/2",
            "status": "ok",
            "name": "code_interpreter",
            "text": '[{"type":"logs","logs":"2"}]',
        },
        {"type": "tool_call", "id": "3", "name": "h", "arguments": ""},
    ]


def test_other_parts(tmp_path: Path) -> None:
    found = message(
        tmp_path,
        {"type": "image_file", "image_file": {"file_id": "f", "filename": "x.png", "width": 3}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}},
        {"type": "error", "error": "went wrong"},
        {"type": "wow", "text": "words"},
        "bare",
        text="only when the content has no text",
        error=True,
        attachments=[{"type": "web_search", "results": ["r"]}],
        plugins=[{"input": "old"}],
        summary="what was said",
    )
    assert found.message_type == "error"
    assert found.custom["content_type"] == "wow"
    assert [part["type"] for part in found.parts] == [
        *("attachment", "attachment", "text", "text", "text", "other", "other", "other"),
    ]
    assert found.parts[1]["size"] == 3
    assert [part["name"] for part in found.parts[5:]] == ["web_search", "summary", "plugins"]
    assert "QUJD" not in json.dumps(found.parts)


def test_a_text_beside_content_without_text(tmp_path: Path) -> None:
    found = message(tmp_path, {"type": "think", "think": "Hm"}, text="answer")
    assert [part["text"] for part in found.parts] == ["Hm", "answer"]


def test_repeated_and_damaged_records(tmp_path: Path) -> None:
    same = said("a", text="x")
    conversation = only(export(tmp_path, same, same, said("a", text="y"), 5, None))
    check([conversation])
    assert {m.external_id for m in conversation.messages} == {"a", "a#2"}
    assert [s.reason for s in conversation.skipped] == [
        "same as an earlier message",
        "not an object",
    ]
    assert conversation.records == 4


def test_deep_and_cyclic_trees(tmp_path: Path) -> None:
    chain = [flat(str(n), str(n - 1) if n else ROOT) for n in range(5_000)]
    assert only(export(tmp_path, *chain)).messages[-1].external_id == "4999"
    cyclic = only(export(tmp_path, flat("a", "b"), flat("b", "a"), flat("c", "c")))
    check([cyclic])
    assert len(cyclic.messages) == 3


def test_replies_nested_deeper_than_the_usual_parser_reads(tmp_path: Path) -> None:
    depth = 5_000
    start = '{"conversationId": "c", "messages": ['
    nested = "".join(f'{{"messageId": "m{n}", "text": "t{n}", "children": [' for n in range(depth))
    file = tmp_path / "x.json"
    file.write_text(start + nested + "]}" * depth + "]}")
    conversation = only(file)
    assert [m.text for m in conversation.messages] == [f"t{n}" for n in range(depth)]
    assert conversation.branches == []
    file.write_text(start + nested + "]}" * depth)
    with pytest.raises(errors.InvalidImport, match="is not JSON"):
        only(file)


@given(value=damaged(FULL))
def test_deep_parser_reads_what_the_usual_one_reads(value: Any) -> None:
    for indent in (None, 1):
        text = json.dumps(value, indent=indent)
        assert deep_json.loads(text) == json.loads(text)


@pytest.mark.parametrize(
    "text", ["", "[", "[1", "[1 2]", "[1}", '{"a"', '{"a" 1}', "{1: 2}", "[,]", "[] x", '{"a":}']
)
def test_deep_parser_refuses_what_is_not_json(text: str) -> None:
    with pytest.raises(ValueError, match="line 1 column"):
        deep_json.loads(text)


def test_a_grown_export_keeps_the_ids(tmp_path: Path) -> None:
    before = only(export(tmp_path, said("q", said("a"))))
    after = only(export(tmp_path, said("q", said("a", said("q2")), said("b"))))
    assert {m.external_id for m in before.messages} < {m.external_id for m in after.messages}


def test_lists_of_conversations(tmp_path: Path) -> None:
    file = tmp_path / "all.json"
    file.write_text(json.dumps([{}, FULL, {**FULL, "conversationId": None}]))
    bad, first, second = read([file])
    assert bad.unreadable
    assert (first.external_id, second.external_id) == ("c1", "all#3")


@pytest.mark.parametrize("text", ['{"messages": []}', "[]x", "{", '[{"mapping": {}}]', "7"])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(text)
    with pytest.raises(errors.InvalidImport):
        list(read([file]))


@pytest.mark.parametrize("text", [SAMPLE, json.dumps(FULL), json.dumps([FULL])])
def test_the_samples_are_recognised(tmp_path: Path, text: str) -> None:
    file = tmp_path / "x"
    file.write_text(text)
    assert guess(file) is LIBRECHAT
    assert len(list(read([file]))) == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(value=damaged(FULL))
def test_damage_anywhere(tmp_path: Path, value: Any) -> None:
    file = tmp_path / "x.json"
    file.write_text(json.dumps(value))
    try:
        conversations = list(LIBRECHAT.read([file]))
    except errors.InvalidImport:
        return
    check(conversations)
