"""Which files hold messages of the OpenAI API, and what of damaged ones is read."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from message_service import errors
from message_service.interchange.formats.openai import OPENAI, read
from message_service.interchange.known_formats import guess
from message_service.interchange.reading.assembly import Assembly
from message_service.interchange.reading.drafts import as_json
from message_service.interchange.reading.glimpse import glimpse_of
from message_service.interchange.reading.records import ImportedConversation, ImportedMessage
from support.format_samples import SAMPLES
from support.openai_messages import ANSWER, HELLO, conversations

SAMPLE = SAMPLES["openai"]
PIXEL = b"\x89PNG pixel"
HASH = f"sha256:{hashlib.sha256(PIXEL).hexdigest()}"
DATA_URL = f"data:image/png;base64,{base64.b64encode(PIXEL).decode()}"


def test_shapes_of_files(tmp_path: Path) -> None:
    shapes: list[tuple[str, list[tuple[str, int]]]] = [
        (json.dumps([HELLO, ANSWER], indent=1), [("log#1", 2)]),
        (json.dumps({"messages": [HELLO]}, indent=1), [("log#1", 1)]),
        (json.dumps([{"messages": [HELLO]}, {"messages": [ANSWER]}]), [("log#1", 1), ("log#2", 1)]),
        (json.dumps([[HELLO, ANSWER], [HELLO]]), [("log#1", 2), ("log#2", 1)]),
        (f"{json.dumps(HELLO)}\n{json.dumps(ANSWER)}\n", [("log#1", 2)]),
        (json.dumps([{"messages": [HELLO]}, HELLO]), [("log#1", 1), ("log#2", 1)]),
    ]
    for text, expected in shapes:
        for content in (text.encode(), gzip.compress(text.encode())):
            file = tmp_path / "log.jsonl"
            file.write_bytes(content)
            found = list(read([file]))
            assert [(c.external_id, len(c.messages)) for c in found] == expected
            known = guess(file)
            assert known is not None
            assert known.name == "openai"


def test_a_file_that_has_grown_gives_the_same_ids(tmp_path: Path) -> None:
    for shape in ("list", "lines", "records"):
        ids: list[list[str]] = []
        for length in (2, 4):
            messages = [HELLO, ANSWER, ANSWER | {"id": "x"}, ANSWER | {"id": "x"}][:length]
            value = [messages] if shape == "list" else messages
            if shape == "records":
                value = [{"messages": messages}]
            (conversation,) = conversations(tmp_path, *value)
            ids.append([conversation.external_id, *(m.external_id for m in conversation.messages)])
        assert ids[1][:3] == ids[0]
        assert ids[1] == ["log#1", "1", "2", "x", "x#4"]


def test_damaged_messages_are_skipped_and_damaged_records_unreadable(tmp_path: Path) -> None:
    messages = [HELLO, 5, {"role": "user"}, {"role": "user", "content": ""}, {"role": 3}, ANSWER]
    found = conversations(tmp_path, [{"messages": messages}, 7, {"messages": None}])
    assert [c.unreadable for c in found] == [False, True, True]
    assert [m.external_id for m in found[0].messages] == ["1", "6"]
    assert [(s.external_id, s.reason) for s in found[0].skipped] == [
        ("2", "not a message"),
        ("3", "not a message"),
        ("4", "empty message"),
        ("5", "not a message"),
    ]
    assert found[0].records == 6


def test_a_truncated_file_gives_what_precedes_the_damage(tmp_path: Path) -> None:
    file = tmp_path / "log.json"
    file.write_text(json.dumps([HELLO, ANSWER])[:-5])
    found = read([file])
    assert len(next(found).messages) == 1
    with pytest.raises(errors.InvalidImport, match="is truncated"):
        next(found)


def test_a_part_that_is_nested_too_deeply_is_counted(tmp_path: Path) -> None:
    file = tmp_path / "log.json"
    outcomes: set[str] = set()
    for depth in (*range(700, 1_000), 100_000):
        block = '{"type": "new", "x": ' + "[" * depth + "]" * depth + "}"
        file.write_text('[{"role": "user", "content": ["Hi", ' + block + "]}]")
        try:
            (conversation,) = read([file])
        except errors.InvalidImport as error:
            outcomes.add(error.problem.partition(" at ")[0])
        else:
            (message,) = conversation.messages
            assert [p["type"] for p in message.parts] == ["text", "other"]
            outcomes |= {item.reason for item in conversation.skipped} or {"kept"}
    # How deep the middle outcome is, if there is any, depends on the version of Python.
    deepest = {"kept", "log.json is nested too deeply"}
    assert deepest <= outcomes <= deepest | {"part is nested too deeply"}


def test_a_part_that_cannot_be_written_is_counted() -> None:
    deep: list[Any] = []
    for _ in range(200_000):
        deep = [deep]
    assembly = Assembly(ImportedConversation(external_id="c"))
    draft = assembly.draft()
    draft.other("new", deep)
    draft.call("c", "f", deep)
    assembly.add(ImportedMessage(external_id="m", role="user", text=""), draft)
    done = assembly.close()
    assert [p["type"] for p in done.messages[0].parts] == ["other", "tool_call"]
    assert [(s.external_id, s.reason) for s in done.skipped] == [
        ("m", "part is nested too deeply"),
        ("m", "part is nested too deeply"),
    ]
    assert done.records == 1
    assert as_json(deep) is None


OTHERS: list[Any] = [
    {"system": "s", "messages": [HELLO]},
    [HELLO, {"role": "assistant", "content": [{"type": "thinking", "thinking": "x"}]}],
    {"messages": [HELLO], "tools": [{"name": "f", "input_schema": {}}]},
    {"id": "m", "role": "assistant", "content": [{"type": "text"}], "stop_reason": "x"},
    [[HELLO, {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]}]],
    {"messages": [{"type": "human", "data": {"content": "x"}}]},
    {"conversations": [{"role": "user", "content": "x"}]},
    {"chat": {}, "messages": [HELLO]},
    {"conversationId": "c", "messages": [HELLO]},
    {"chosen": "a", "rejected": "b", "messages": [HELLO]},
    {"instruction": "i", "input": "x", "output": "y"},
    {"x": 1},
    [1, 2],
]


@pytest.mark.parametrize("value", OTHERS)
def test_other_formats_are_refused_and_not_recognised(tmp_path: Path, value: object) -> None:
    with pytest.raises(errors.InvalidImport, match="does not hold messages of the OpenAI API"):
        conversations(tmp_path, value)
    seen = glimpse_of(tmp_path / "log.json")
    assert seen is not None
    assert not OPENAI.sign(seen)


def test_a_file_that_mixes_both_apis_loses_nothing(tmp_path: Path) -> None:
    call: dict[str, Any] = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    first, second = conversations(
        tmp_path,
        {"messages": [{"role": "tool", "tool_call_id": "c", "content": "x"}]},
        {"system": "s", "messages": [{"role": "assistant", "content": [call]}]},
    )
    assert [m.role for m in first.messages] == ["tool"]
    assert [m.external_id for m in second.messages] == ["system", "1"]
    assert second.messages[1].parts[0]["type"] == "tool_call"


def test_a_long_file_is_recognised_by_its_beginning(tmp_path: Path) -> None:
    file = tmp_path / "log.json"
    long = HELLO | {"content": "x" * 100_000}
    file.write_text(json.dumps({"messages": [HELLO, long]}))
    known = guess(file)
    assert known is not None
    assert known.name == "openai"


def test_the_sample(tmp_path: Path) -> None:
    file = tmp_path / "sample"
    file.write_text(SAMPLE)
    known = guess(file)
    assert known is OPENAI
    assert len(list(OPENAI.read([file]))) == 1
