from __future__ import annotations

import html
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from message_service import errors
from message_service.interchange.formats.openwebui import OPENWEBUI, read
from message_service.interchange.known_formats import guess
from message_service.interchange.reading.records import (
    ImportedConversation,
    ImportedFeedback,
    ImportedMessage,
    SkippedItem,
)
from support.damaged_json import check, damaged
from support.format_samples import SAMPLES

SAMPLE = SAMPLES["openwebui"]
Node = dict[str, Any]


def said(own: str, parent: str | None, content: Any = "said", **more: Any) -> Node:
    return {
        "id": own,
        "parentId": parent,
        "childrenIds": [],
        "role": "assistant" if own.startswith("a") else "user",
        "content": content,
        "timestamp": 1700000000,
        **more,
    }


def chat(*nodes: Node, current: str | None = None, **more: Any) -> dict[str, Any]:
    by_id = {node["id"]: node for node in nodes}
    for node in nodes:
        if node["parentId"] in by_id:
            by_id[node["parentId"]]["childrenIds"].append(node["id"])
    return {"history": {"messages": by_id, "currentId": current}, **more}


def export(path: Path, *nodes: Node, current: str | None = None, **more: Any) -> Path:
    file = path / "chats.json"
    record = {"id": "c", "title": "T", "chat": chat(*nodes, current=current, **more)}
    file.write_text(json.dumps([record]))
    return file


def only(file: Path) -> ImportedConversation:
    (conversation,) = read([file])
    return conversation


def message(path: Path, content: Any = "", **more: Any) -> ImportedMessage:
    return only(export(path, said("a", None, content, **more))).messages[0]


def lines(conversation: ImportedConversation) -> list[tuple[str, str | None, str]]:
    return [(m.external_id, m.parent, m.branch) for m in conversation.messages]


SOURCES = [
    {
        "source": {"name": "doc.pdf", "url": "https://x"},
        "document": ["one", "two"],
        "metadata": [{"source": "doc.pdf"}],
    },
    {"document": ["p"], "metadata": [{"source": "https://y"}]},
    {"odd": 1},
]
FULL: list[Any] = [
    {
        "id": "c1",
        "user_id": "u",
        "title": "Title",
        "chat": chat(
            said("q", None, "Hi", files=[{"type": "image", "url": "data:image/png;base64,QUJD"}]),
            said(
                "a1",
                "q",
                "one",
                model="llama3.2",
                modelName="Llama",
                modelIdx=0,
                done=True,
                usage={"total_tokens": 3},
                sources=SOURCES,
                annotation={
                    "rating": -1,
                    "reason": "wrong",
                    "comment": "no",
                    "tags": ["x"],
                    "details": {"rating": 2},
                },
                statusHistory=[{"action": "web_search", "query": "llamas"}],
            ),
            said("a2", "q", "two", model="m2", merged={"status": True, "content": "both"}),
            said("q2", "a1", "on"),
            current="q2",
            id="",
            models=["llama3.2", "m2"],
            params={"system": "Be brief.", "temperature": 1},
            tags=["x"],
            timestamp=1700000000000,
            messages=[{"id": "q", "role": "user", "content": "Hi"}],
        ),
        "updated_at": 1700000005,
        "created_at": 1700000000,
        "share_id": None,
        "archived": False,
        "pinned": True,
        "meta": {"tags": ["x", "y"]},
        "folder_id": "f",
    }
]


def test_a_full_chat(tmp_path: Path) -> None:
    file = tmp_path / "chats.json"
    file.write_text(json.dumps(FULL))
    conversation = only(file)
    check([conversation])
    assert (conversation.external_id, conversation.title) == ("c1", "Title")
    assert conversation.sender == "u"
    assert conversation.records == 4
    assert conversation.created_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert conversation.custom == {
        "updated_at": datetime(2023, 11, 14, 22, 13, 25, tzinfo=UTC),
        "models": ["llama3.2", "m2"],
        "params": '{"temperature":1}',
        "tags": ["x", "y"],
        "is_starred": True,
        "folder_id": "f",
    }
    assert lines(conversation) == [
        ("system", None, "main"),
        ("q", "system", "main"),
        ("a1", "q", "main"),
        ("q2", "a1", "main"),
        ("a2", "q", "alt-1"),
        ("a2/merged", "q", "alt-2"),
    ]
    system, question, first, _, second, merged = conversation.messages
    assert (system.role, system.status, system.text) == ("system", "hidden", "Be brief.")
    assert question.parts[1] == {
        "type": "attachment",
        "kind": "image",
        "mime_type": "image/png",
        "size": 3,
        "hash": "sha256:b5d4045c3f466fa91fe2cc6abe79232a1a57cdf104f7a26e716e0a1e2789df78",
    }
    assert first.feedback == ImportedFeedback("down", "no\n2/10", ("wrong", "x"))
    assert first.custom == {
        "model_name": "Llama",
        "usage": '{"total_tokens":3}',
        "other_fields": '{"statusHistory":[{"action":"web_search","query":"llamas"}]}',
    }
    assert first.parts == [
        {"type": "text", "text": "one"},
        {"type": "citation", "title": "doc.pdf", "url": "https://x", "quote": "one\ntwo"},
        {"type": "citation", "url": "https://y", "quote": "p"},
        {"type": "other", "name": "source", "data": '{"odd":1}'},
    ]
    assert (second.text, second.llm_model, second.parts) == ("two", "m2", [])
    assert (merged.text, merged.role) == ("both", "assistant")


def test_the_oldest_chats_have_a_list_only(tmp_path: Path) -> None:
    file = tmp_path / "chats.json"
    listed = [
        {"role": "user", "content": "one"},
        {"id": "x", "role": "assistant", "content": "two"},
        {"role": "user", "content": "three"},
    ]
    file.write_text(json.dumps([{"chat": {"id": "c", "messages": listed}}]))
    conversation = only(file)
    assert conversation.external_id == "c"
    assert lines(conversation) == [
        ("#1", None, "main"),
        ("x", "#1", "main"),
        ("#3", "x", "main"),
    ]


def test_chats_without_an_object_around_them(tmp_path: Path) -> None:
    file = tmp_path / "chat.json"
    file.write_text(json.dumps(chat(said("q", None), current="q", title="T")))
    conversation = only(file)
    assert (conversation.external_id, conversation.title) == ("q", "T")
    assert guess(file) is OPENWEBUI


def test_one_chat_that_is_no_list(tmp_path: Path) -> None:
    file = tmp_path / "chat.json"
    file.write_text(json.dumps(FULL[0]))
    assert only(file).external_id == "c1"
    assert guess(file) is OPENWEBUI


def test_messages_that_only_the_list_has(tmp_path: Path) -> None:
    listed = [{"id": "q", "content": "said"}, {"id": "late", "role": "assistant", "content": "x"}]
    conversation = only(export(tmp_path, said("q", None), messages=listed))
    assert lines(conversation) == [("q", None, "main"), ("late", "q", "main")]


def details(kind: str, body: str, **facts: str) -> str:
    given = "".join(f' {name}="{html.escape(value)}"' for name, value in facts.items())
    return f'<details type="{kind}"{given}>\n<summary>Done</summary>\n{body}\n</details>\n'


def test_thoughts_and_tool_calls_in_the_text(tmp_path: Path) -> None:
    twice = json.dumps(json.dumps({"q": "a > b"}))
    text = (
        details("reasoning", "&gt; 1 &lt; 2\n&gt; so", done="true", duration="3")
        + "Let me look.\n"
        + details("tool_calls", "", done="true", id="t", name="f", arguments=twice, result='"ok"')
        + details("tool_calls", "in the body", done="true", name="g", arguments='{"x": 1}')
        + details("tool_calls", "", done="false", id="u", name="h", arguments='""')
        + details("code_interpreter", "```python\n1+1\n```", done="true", output='"2"')
        + "\nIt is 2.\n"
    )
    found = message(tmp_path, text)
    assert found.parts == [
        {"type": "reasoning", "text": "1 < 2\nso"},
        {"type": "text", "text": "Let me look."},
        {"type": "tool_call", "id": "t", "name": "f", "arguments": '{"q": "a > b"}'},
        {"type": "tool_result", "call_id": "t", "status": "ok", "name": "f", "text": "ok"},
        {"type": "tool_call", "id": "a/5", "name": "g", "arguments": '{"x": 1}'},
        {
            "type": "tool_result",
            "call_id": "a/5",
            "status": "ok",
            "name": "g",
            "text": "in the body",
        },
        {"type": "tool_call", "id": "u", "name": "h", "arguments": ""},
        {
            "type": "tool_call",
            "id": "a/8",
            "name": "code_interpreter",
            "arguments": "```python\n1+1\n```",
        },
        {
            "type": "tool_result",
            "call_id": "a/8",
            "status": "ok",
            "name": "code_interpreter",
            "text": "2",
        },
        {"type": "text", "text": "It is 2."},
    ]


@pytest.mark.parametrize(
    "text", ["plain\n", "<details><summary>S</summary>x</details>", '<details type="odd">x']
)
def test_other_details_stay_in_the_text(tmp_path: Path, text: str) -> None:
    found = message(tmp_path, text)
    assert (found.text, found.parts) == (text, [])


def test_details_of_users_and_unfinished_ones(tmp_path: Path) -> None:
    text = details("reasoning", "typed")
    conversation = only(export(tmp_path, said("q", None, text)))
    assert conversation.messages[0].text == text
    found = message(tmp_path, '<details type="reasoning" done="false">\n> going on', done=False)
    assert found.parts == [{"type": "reasoning", "text": "going on"}]
    assert found.custom["unfinished"] is True


OUTPUT = [
    {"type": "reasoning", "id": "r", "content": [{"type": "output_text", "text": "Hm"}]},
    {"type": "reasoning", "summary": [{"text": "short"}], "encrypted_content": "e"},
    {"type": "function_call", "call_id": "t", "name": "f", "arguments": "{}"},
    {
        "type": "function_call_output",
        "call_id": "t",
        "output": [{"type": "input_text", "text": "42"}, {"type": "input_image", "image_url": "u"}],
    },
    {"type": "message", "content": [{"type": "output_text", "text": "It is 42."}]},
    {"type": "message", "content": [{"type": "refusal", "refusal": "No."}]},
    {"type": "wow", "level": 1},
]


def test_structured_output_replaces_its_rendering(tmp_path: Path) -> None:
    found = message(tmp_path, details("reasoning", "Hm") + "It is 42.", output=OUTPUT)
    assert found.custom == {"content_type": "wow"}
    assert found.parts == [
        {"type": "reasoning", "text": "Hm"},
        {"type": "reasoning", "text": "short", "encrypted": "e"},
        {"type": "tool_call", "id": "t", "name": "f", "arguments": "{}"},
        {"type": "tool_result", "call_id": "t", "status": "ok", "text": "42"},
        {"type": "attachment", "kind": "file", "pointer": "u"},
        {"type": "text", "text": "It is 42."},
        {"type": "refusal", "text": "No."},
        {"type": "other", "name": "wow", "data": '{"level":1}'},
    ]
    without = message(tmp_path, details("reasoning", "Hm") + "It is 42.", output=OUTPUT[:1])
    assert [part["text"] for part in without.parts] == ["Hm", "It is 42."]


def test_files_and_lists_of_content(tmp_path: Path) -> None:
    file = {
        "type": "file",
        "id": "f",
        "file": {
            "id": "f",
            "filename": "a.pdf",
            "meta": {"content_type": "application/pdf", "size": 9},
            "data": {"content": "what is in it"},
        },
    }
    content = [
        {"type": "text", "text": "see"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}},
        {"type": "odd", "x": 1},
    ]
    found = message(tmp_path, content, files=[file], images=["https://i/x.png"])
    assert found.custom == {"content_type": "odd"}
    assert [part["type"] for part in found.parts] == [
        *("text", "attachment", "other", "attachment", "text", "attachment"),
    ]
    assert found.parts[3] == {
        "type": "attachment",
        "kind": "document",
        "name": "a.pdf",
        "mime_type": "application/pdf",
        "size": 9,
        "pointer": "f",
    }
    assert found.parts[4]["text"] == "what is in it"
    assert "QUJD" not in json.dumps(found.parts)


def test_errors_and_runs(tmp_path: Path) -> None:
    failed = message(tmp_path, "", error={"content": "no model"})
    assert (failed.message_type, failed.text) == ("error", "no model")
    assert message(tmp_path, "words", error=True).custom == {}
    ran = message(tmp_path, "x", code_executions=[{"code": "1", "result": {"output": "1"}}])
    assert ran.parts[1]["name"] == "code_execution"


def test_ratings(tmp_path: Path) -> None:
    assert message(tmp_path, "x", annotation={"rating": 1}).feedback == ImportedFeedback("up")
    assert message(tmp_path, "x", annotation={"rating": 0}).feedback is None
    assert message(tmp_path, "x", annotation={"rating": "good"}).feedback is None


def test_empty_damaged_and_cyclic_nodes(tmp_path: Path) -> None:
    nodes = [said("q", None), said("a", "q", ""), said("q3", "a"), said("x", "y"), said("y", "x")]
    file = export(tmp_path, *nodes, current="gone", messages=[None])
    conversation = only(file)
    check([conversation])
    assert {m.external_id for m in conversation.messages} == {"q", "q3", "x", "y"}
    assert conversation.skipped == [
        SkippedItem("a", "empty message"),
        SkippedItem("#1", "not an object"),
    ]


def test_a_grown_export_keeps_the_ids(tmp_path: Path) -> None:
    before = only(export(tmp_path, said("q", None), said("a", "q"), params={"system": "s"}))
    after = only(
        export(
            tmp_path,
            *(said("q", None), said("a", "q"), said("a2", "q"), said("q2", "a")),
            params={"system": "s"},
        )
    )
    assert {m.external_id for m in before.messages} < {m.external_id for m in after.messages}


@pytest.mark.parametrize(
    "text", ["[{}]", '[{"mapping": {}}]', '[{"chat_messages": []}]', '{"messages": []}', "[", "1"]
)
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(text)
    with pytest.raises(errors.InvalidImport):
        list(read([file]))


@pytest.mark.parametrize("text", [SAMPLE, json.dumps(FULL)])
def test_the_samples_are_recognised(tmp_path: Path, text: str) -> None:
    file = tmp_path / "x"
    file.write_text(text)
    assert guess(file) is OPENWEBUI
    assert len(list(read([file]))) == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(value=damaged(FULL) | damaged([{"chat": chat(said("a", None, "x", output=OUTPUT))}]))
def test_damage_anywhere(tmp_path: Path, value: Any) -> None:
    file = tmp_path / "x.json"
    file.write_text(json.dumps(value))
    try:
        conversations = list(OPENWEBUI.read([file]))
    except errors.InvalidImport:
        return
    check(conversations)
