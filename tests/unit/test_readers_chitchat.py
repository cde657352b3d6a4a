from __future__ import annotations

import gzip
import json
import sys
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from message_service import errors
from message_service.interchange.formats.chitchat import read


def said(text: Any, sender: str = "ann", timestamp: Any = "2018-05-02T19:38:15Z") -> Any:
    return {"text": text, "sender": sender, "timestamp": timestamp}


def write(folder: Path, value: Any) -> Path:
    file = folder / "dataset.json"
    file.write_text(json.dumps(value))
    return file


def test_turns_become_messages_of_people(tmp_path: Path) -> None:
    record = {
        "messages": [[said(" hi "), said("")], [said("hello", "bob", "2018-05-02T19:39:00")]],
        "start": "2018-05-02T19:38:00Z",
        "prompt": "weather",
        "ratings": {"witty": 5, "_odd.name": 1, "none": None},
    }
    (conversation,) = read([write(tmp_path, {"c": record})])
    assert (conversation.external_id, conversation.title) == ("c", "weather")
    assert conversation.created_at == datetime(2018, 5, 2, 19, 38, tzinfo=UTC)
    assert conversation.sender == "ann"
    assert conversation.custom == {"prompt": "weather", "ratings": {"witty": 5, "odd-name": 1}}
    assert [(m.external_id, m.role, m.text, m.sender) for m in conversation.messages] == [
        ("c:0", "user", " hi ", "ann"),
        ("c:2", "user", "hello", "bob"),
    ]
    assert [m.created_at for m in conversation.messages] == [
        datetime(2018, 5, 2, 19, 38, 15, tzinfo=UTC),
        datetime(2018, 5, 2, 19, 39, tzinfo=UTC),
    ]
    assert [(s.external_id, s.reason) for s in conversation.skipped] == [("c:1", "empty text")]
    assert conversation.branches == []


def test_malformed_parts_are_listed(tmp_path: Path) -> None:
    good = {"messages": [[said("x", timestamp=5)]]}
    odd = {
        "messages": [[7, said(None, sender=""), said("kept", sender="")]],
        "start": 1,
        "ratings": [],
    }
    value = {
        "good": good,
        "odd": odd,
        "bad": {"messages": [1]},
        "none": None,
        "empty": {"messages": []},
    }
    conversations = list(read([write(tmp_path, value)]))
    assert [len(c.messages) for c in conversations] == [1, 1, 0, 0, 0]
    assert conversations[0].messages[0].created_at is None
    assert (conversations[1].sender, conversations[1].created_at) == (None, None)
    reasons = [[s.reason for s in c.skipped] for c in conversations]
    unread = ["conversation without turns of messages"]
    assert reasons == [[], ["no text", "no text"], unread, unread, []]


def test_other_objects_and_cut_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidImport, match="first values hold no turns"):
        next(read([write(tmp_path, {"question_id": 81})]))
    file = write(tmp_path, {"a": {"messages": []}, "b": {"messages": []}})
    packed = tmp_path / "dataset.json.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()[:-8]))
    conversations = read([packed])
    assert next(conversations).external_id == "a"
    with pytest.raises(errors.InvalidImport, match="is truncated"):
        next(conversations)


@pytest.mark.parametrize("paths", [[], [Path("package")]])
def test_the_installed_package_is_found(paths: list[Path]) -> None:
    pytest.importorskip("chitchat_dataset")
    first = next(read(paths))
    assert first.messages
    assert len(list(islice(read(paths), 20))) == 20


def test_a_missing_package_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", [])
    monkeypatch.delitem(sys.modules, "chitchat_dataset", raising=False)
    with pytest.raises(errors.InvalidImport, match=r"pip install 'message-service\[demo\]'"):
        next(read([]))
