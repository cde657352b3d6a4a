from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from message_service import errors
from message_service.interchange.formats.openassistant import read


def message(own: str, *replies: Any, role: str = "assistant", **more: Any) -> dict[str, Any]:
    return {"message_id": own, "text": own, "role": role, "replies": list(replies)} | more


def write(folder: Path, *lines: Any) -> Path:
    file = folder / "trees.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def tree(*replies: Any, **more: Any) -> dict[str, Any]:
    root = message("root", *replies, role="prompter", **more)
    return {"message_tree_id": "t", "tree_state": "ready_for_export", "prompt": root}


def test_the_best_ranked_replies_are_main(tmp_path: Path) -> None:
    deep = message("q", message("a", rank=None), message("b", rank=0), role="prompter")
    line = tree(
        message("none"), message("second", rank=1), message("best", deep, rank=0), message("none2")
    )
    (conversation,) = read([write(tmp_path, line)])
    assert conversation.external_id == "t"
    assert conversation.custom == {"tree_state": "ready_for_export"}
    assert [(m.external_id, m.role, m.branch, m.parent) for m in conversation.messages] == [
        ("root", "user", "main", None),
        ("best", "assistant", "main", "root"),
        ("q", "user", "main", "best"),
        ("b", "assistant", "main", "q"),
        ("second", "assistant", "alt-1", "root"),
        ("none", "assistant", "alt-2", "root"),
        ("none2", "assistant", "alt-3", "root"),
        ("a", "assistant", "alt-4", "q"),
    ]


def test_both_shapes_read_alike(tmp_path: Path) -> None:
    wrapped = tree(message("a"), message("b"))
    (from_tree,) = read([write(tmp_path, wrapped)])
    (from_message,) = read([write(tmp_path, wrapped["prompt"] | {"parent_id": None})])
    assert from_message.external_id == "root"
    assert from_message.messages == from_tree.messages
    assert from_message.branches == from_tree.branches


def test_facts_of_a_message(tmp_path: Path) -> None:
    line = tree(
        user_id="u1",
        created_date="2023-02-05T14:23:50.983374+00:00",
        lang="en",
        rank=2,
        synthetic=True,
        model_name="chip20b",
        review_count=3,
        review_result=False,
        deleted=True,
        emojis={"+1": 4, "_skip_reply": 1, "x.y": 2, "bad": "many"},
        labels={"spam": {"value": 0.5, "count": 2}},
    )
    (conversation,) = read([write(tmp_path, line)])
    moment = datetime(2023, 2, 5, 14, 23, 50, 983000, UTC)
    assert (conversation.sender, conversation.created_at) == ("u1", moment)
    (root,) = conversation.messages
    assert (root.sender, root.created_at) == ("u1", moment)
    assert (root.status, root.llm_model, root.llm_provider) == ("deleted", "chip20b", None)
    assert root.custom == {
        "lang": "en",
        "rank": 2,
        "synthetic": True,
        "review_count": 3,
        "review_result": False,
        "emojis": {"+1": 4, "skip_reply": 1, "x-y": 2},
        "labels": {"spam": {"value": 0.5, "count": 2}},
    }


def test_damaged_messages_are_listed_and_their_replies_kept(tmp_path: Path) -> None:
    line = tree(
        message("empty", message("below"), text=""),
        message("again"),
        message("again", message("below2")),
        {"text": "no id", "role": "narrator"},
        None,
        message("odd", rank="best", emojis=3, labels=[]),
    )
    (conversation,) = read([write(tmp_path, line)])
    kept = {m.external_id: m for m in conversation.messages}
    assert kept["below"].parent == "root"
    assert kept["below2"].parent == "again"
    unnamed = next(m for m in conversation.messages if m.text == "no id")
    assert (unnamed.role, unnamed.custom) == ("system", {"original_role": "narrator"})
    assert {(s.external_id, s.reason) for s in conversation.skipped} == {
        ("empty", "empty text"),
        ("again", "same id as an earlier message"),
        ("a reply to root", "not an object"),
    }


def test_a_broken_line_does_not_hide_the_others(tmp_path: Path) -> None:
    file = write(tmp_path, tree(), {"message_tree_id": "bad"}, tree())
    conversations = list(read([file]))
    assert [len(c.messages) for c in conversations] == [1, 0, 1]
    assert [s.reason for s in conversations[1].skipped] == ["line without a message and replies"]


def test_other_files_are_refused(tmp_path: Path) -> None:
    flat = {"message_id": "1", "parent_id": None, "text": "x", "role": "prompter"}
    with pytest.raises(errors.InvalidImport, match="is not a file of Open Assistant trees"):
        next(read([write(tmp_path, flat)]))
    with pytest.raises(errors.InvalidImport, match="line 1 holds no message with 'replies'"):
        next(read([write(tmp_path, {"question_id": 1})]))
    file = write(tmp_path, tree())
    file.write_text(file.read_text() + '{"message_tree')
    conversations = read([file])
    assert len(next(conversations).messages) == 1
    with pytest.raises(errors.InvalidImport, match="is not JSON at line 2"):
        next(conversations)


def test_of_a_folder_with_both_shapes_the_trees_are_taken(tmp_path: Path) -> None:
    write(tmp_path, tree()).rename(tmp_path / "en_tree.jsonl")
    write(tmp_path, message("other")).rename(tmp_path / "en_message.jsonl")
    assert [c.external_id for c in read([tmp_path])] == ["t"]
