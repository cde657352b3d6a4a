from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from message_service import errors
from message_service.interchange.formats.chatgpt import read
from message_service.interchange.reading.records import ImportedFeedback
from support.chatgpt_nodes import export, node, only


def test_a_conversation_with_its_facts(tmp_path: Path) -> None:
    root = {"id": "client-created-root", "parent": None, "children": [], "message": None}
    file = export(
        tmp_path,
        root,
        node("q", "client-created-root", " what?\n"),
        node("a", "q", "that", role="assistant", metadata={"model_slug": "gpt-4o"}),
        title="Questions",
        create_time=1752302897.256834,
        update_time=1752302943,
        current_node="a",
        conversation_id="c-1",
        gizmo_id="g-1",
        default_model_slug="auto",
        is_archived=False,
        is_starred=True,
    )
    conversation = only(file)
    assert conversation.external_id == "c-1"
    assert conversation.title == "Questions"
    assert conversation.created_at == datetime(2025, 7, 12, 6, 48, 17, 256000, UTC)
    assert conversation.sender is None
    assert conversation.character == "g-1"
    assert conversation.active_branch == "main"
    assert conversation.custom == {
        "updated_at": datetime(2025, 7, 12, 6, 49, 3, tzinfo=UTC),
        "default_model": "auto",
        "is_starred": True,
    }
    assert [(s.external_id, s.reason) for s in conversation.skipped] == [
        ("client-created-root", "empty node")
    ]
    question, answer = conversation.messages
    assert (question.external_id, question.role, question.text) == ("q", "user", " what?\n")
    assert question.created_at == datetime(2025, 7, 12, 6, 48, 32, 471000, UTC)
    assert (question.parent, question.llm_model, question.llm_provider) == (None, None, None)
    assert question.custom == {}
    assert (answer.role, answer.parent) == ("assistant", "q")
    assert (answer.llm_model, answer.llm_provider) == ("gpt-4o", "openai")


def test_the_shown_path_is_main_and_regenerations_are_branches(tmp_path: Path) -> None:
    nodes = [
        node("q", None),
        node("a1", "q"),
        node("a2", "q"),
        node("a3", "q"),
        node("x", "a1"),
        node("y", "a2"),
    ]
    nodes[0]["children"] = ["a3", "a2", "a1"]
    conversation = only(export(tmp_path, *nodes, current_node="y"))
    assert [(m.external_id, m.branch) for m in conversation.messages] == [
        ("q", "main"),
        ("a2", "main"),
        ("y", "main"),
        ("a3", "alt-1"),
        ("a1", "alt-2"),
        ("x", "alt-2"),
    ]
    assert [(b.name, b.parent, b.fork) for b in conversation.branches] == [
        ("alt-1", "main", "q"),
        ("alt-2", "main", "q"),
    ]


@pytest.mark.parametrize("current", [None, "gone"])
def test_without_a_current_node_the_newest_message_is_shown(
    tmp_path: Path, current: str | None
) -> None:
    nodes = [node("q", None), node("old", "q", create_time=None), node("new", "q", create_time=2e9)]
    conversation = only(export(tmp_path, *nodes, current_node=current))
    assert [m.external_id for m in conversation.messages if m.branch == "main"] == ["q", "new"]


def test_empty_nodes_are_skipped_and_their_children_move_up(tmp_path: Path) -> None:
    file = export(
        tmp_path,
        node("root", None, "", role="system", weight=0.0, create_time=None),
        node("q", "root"),
        node("thinking", "q", "", role="assistant"),
        node("a", "thinking", role="assistant"),
        node("end", "a", "", role="tool"),
        current_node="end",
    )
    conversation = only(file)
    assert [(m.external_id, m.parent) for m in conversation.messages] == [("q", None), ("a", "q")]
    assert {s.external_id for s in conversation.skipped} == {"root", "thinking", "end"}
    assert {s.reason for s in conversation.skipped} == {"empty node"}


def test_hidden_messages_with_text_are_kept_and_marked(tmp_path: Path) -> None:
    seen = {"is_visually_hidden_from_conversation": True}
    file = export(
        tmp_path,
        node("s", None, "be kind", role="system", weight=0, create_time=None),
        node("h", "s", "hidden too", metadata=seen),
        node("q", "h", " "),
    )
    hidden, too, question = only(file).messages
    assert hidden.created_at is None
    assert (hidden.role, hidden.message_type, hidden.status) == ("system", "system", "hidden")
    assert too.status == "hidden"
    assert (question.text, question.status, question.custom) == (" ", "active", {})


def test_links_from_parents_to_children_only(tmp_path: Path) -> None:
    nodes = [node("c", None), node("a", None), node("b", None), node("lost", None)]
    for one, children in zip(nodes, ([], ["b"], ["c"], []), strict=True):
        del one["parent"]
        one["children"] = children
    file = tmp_path / "conversations.json"
    mapping = {one["id"]: one for one in nodes}
    file.write_text(json.dumps([{"id": "c1", "mapping": mapping, "current_node": "c"}]))
    conversation = only(file)
    assert [(m.external_id, m.parent, m.branch) for m in conversation.messages] == [
        ("a", None, "main"),
        ("b", "a", "main"),
        ("c", "b", "main"),
        ("lost", None, "alt-1"),
    ]
    assert [m.custom.get("orphaned") for m in conversation.messages] == [None, None, None, True]


def test_entries_that_are_no_conversations_are_left_out_however_many(tmp_path: Path) -> None:
    folders: list[dict[str, Any]] = [{"id": f"p{n}", "name": "My project"} for n in range(100)]
    chat = {"id": "c1", "mapping": {"n": node("n", None)}}
    file = tmp_path / "conversations.json"
    file.write_text(json.dumps([*folders, {"id": "null", "mapping": None}, chat]))
    read_back = list(read([file]))
    assert [bool(one.messages) for one in read_back] == [False] * 101 + [True]
    assert not any(one.unreadable for one in read_back)
    assert {s.reason for one in read_back for s in one.skipped} == {"entry without nodes"}


def test_opinions_are_taken_from_the_file_beside(tmp_path: Path) -> None:
    opinions = [
        {"message_id": "a", "conversation_id": "c1", "rating": "thumbsDown", "content": "{}"},
        {
            "id": "x",
            "conversation_id": "c-1",
            "rating": "thumbs_up",
            "content": '{"text": "good", "tags": ["clear"]}',
        },
        {"rating": "odd"},
        5,
    ]
    (tmp_path / "message_feedback.json").write_text(json.dumps(opinions))
    file = export(tmp_path, node("q", None), node("a", "q", role="assistant"))
    conversation = only(file)
    assert [m.feedback for m in conversation.messages] == [None, ImportedFeedback("down")]
    assert conversation.custom["feedback"] == [
        {"rating": "up", "comment": "good", "tags": ["clear"]}
    ]


def test_the_model_of_the_conversation_is_that_of_answers_without_one(tmp_path: Path) -> None:
    def models(default: str) -> list[str | None]:
        nodes = [node("q", None), node("a", "q", role="assistant")]
        named = node("b", "a", role="assistant", metadata={"model_slug": "gpt-4"})
        file = export(tmp_path, *nodes, named, default_model_slug=default)
        return [message.llm_model for message in only(file).messages]

    assert models("gpt-9") == [None, "gpt-9", "gpt-4"]
    assert models("auto") == [None, None, "gpt-4"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"content_type": "app_pairing", "x": 1}, "nothing in content type 'app_pairing'"),
        ({"content_type": "text", "parts": None}, "empty node"),
        (None, "empty node"),
        ([], "empty node"),
        (7, "empty node"),
    ],
)
def test_content_without_text_is_skipped_with_the_reason(
    tmp_path: Path, content: object, reason: str
) -> None:
    conversation = only(export(tmp_path, node("n", None, content=content), node("below", "n")))
    assert [s.reason for s in conversation.skipped] == [reason]
    assert [(m.external_id, m.parent) for m in conversation.messages] == [("below", None)]


def test_tools_and_what_is_said_to_them(tmp_path: Path) -> None:
    call = {"content_type": "code", "text": "search()"}
    file = export(
        tmp_path,
        node("call", None, role="assistant", recipient="web.run", content=call),
        node("result", "call", "found", role="tool", name="web.run", status="in_progress"),
        node("error", "result", role="tool", content={"content_type": "system_error", "text": "E"}),
        node("odd", "error", role="critic"),
    )
    called, result, error, odd = only(file).messages
    assert called.parts == [
        {"type": "tool_call", "id": "call", "name": "web.run", "arguments": "search()"}
    ]
    assert result.parts == [
        {"type": "tool_result", "call_id": "call", "text": "found", "name": "web.run"}
    ]
    assert error.parts == [
        {"type": "tool_result", "call_id": "call", "text": "E", "status": "error"}
    ]
    assert called.custom == {"content_type": "code", "recipient": "web.run"}
    assert result.role == "tool"
    assert result.llm_provider is None
    assert result.custom == {"tool": "web.run", "source_status": "in_progress"}
    assert error.message_type == "error"
    assert (odd.role, odd.custom) == ("system", {"original_role": "critic"})


@pytest.mark.parametrize("moment", [None, "then", True, float("nan"), 1e300, -1e300, [1]])
def test_times_that_make_no_sense_are_none(tmp_path: Path, moment: object) -> None:
    (message,) = only(export(tmp_path, node("n", None, create_time=moment))).messages
    assert message.created_at is None


def test_orphans_and_rings_are_kept(tmp_path: Path) -> None:
    file = export(
        tmp_path,
        node("q", None),
        node("lost", "gone"),
        node("r1", "r2"),
        node("r2", "r1"),
        current_node="q",
    )
    conversation = only(file)
    assert sorted(m.external_id for m in conversation.messages) == ["lost", "q", "r1", "r2"]
    assert {m.external_id for m in conversation.messages if m.custom} == {"lost", "r1"}
    assert all(m.custom["orphaned"] for m in conversation.messages if m.custom)
    assert [m.external_id for m in conversation.messages if m.branch == "main"] == ["q"]


def test_nodes_of_the_wrong_shape_are_skipped(tmp_path: Path) -> None:
    file = tmp_path / "c.json"
    mapping = {
        "a": 1,
        "b": {"parent": 5, "children": "x", "message": "m"},
        "c": {"parent": "b", "children": [1], "message": {"content": "just a string"}},
        "d": {"message": {"author": "me", "metadata": 3, "content": {"parts": [None, 1]}}},
    }
    file.write_text(json.dumps([{"mapping": mapping, "title": 3, "create_time": {}}]))
    conversation = only(file)
    assert conversation.external_id == "c.json#1"
    assert conversation.title is None
    assert [(m.external_id, m.text) for m in conversation.messages] == [("c", "just a string")]
    assert [s.external_id for s in conversation.skipped] == ["a", "b", "d"]


def test_one_broken_conversation_does_not_hide_the_others(tmp_path: Path) -> None:
    whole = {"id": "good", "mapping": {"n": node("n", None)}}
    file = tmp_path / "c.json.gz"
    records = [whole, {"id": "bad", "mapping": None}, 5, whole | {"id": "good2"}]
    file.write_bytes(gzip.compress(json.dumps(records).encode()))
    read_back = list(read([file]))
    assert [c.external_id for c in read_back] == ["good", "bad", "c.json.gz#3", "good2"]
    assert [len(c.messages) for c in read_back] == [1, 0, 0, 1]
    assert [s.reason for c in read_back for s in c.skipped] == [
        "entry without nodes",
        "item that is not an object",
    ]
    assert [c.unreadable for c in read_back] == [False, False, True, False]


def test_a_truncated_export_gives_its_whole_conversations(tmp_path: Path) -> None:
    file = export(tmp_path, node("n", None))
    text = file.read_text()
    file.write_text(f"{text[:-1]}, {text[1:60]}")
    conversations = read([file])
    assert next(conversations).external_id == "c1"
    with pytest.raises(errors.InvalidImport, match=r"conversations\.json is truncated"):
        next(conversations)


def test_other_lists_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "c.json"
    file.write_text('[{"persona": []}]')
    with pytest.raises(errors.InvalidImport, match="is not a ChatGPT export: no item"):
        next(read([file]))
    file.write_text("[]")
    assert list(read([file])) == []


def test_a_folder_stands_for_the_exports_in_it(tmp_path: Path) -> None:
    export(tmp_path, node("n", None)).rename(tmp_path / "conversations-001.json")
    (tmp_path / "user.json").write_text("{}")
    assert [c.external_id for c in read([tmp_path])] == ["c1"]
