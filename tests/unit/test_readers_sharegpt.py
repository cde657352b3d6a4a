from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from message_service import errors
from message_service.interchange.formats.sharegpt import SHAREGPT, read
from message_service.interchange.known_formats import guess
from message_service.interchange.reading.glimpse import glimpse_of
from message_service.interchange.reading.records import ImportedConversation, ImportedFeedback
from support.format_samples import SAMPLES

SAMPLE = SAMPLES["sharegpt"]


def conversations(folder: Path, *values: object) -> list[ImportedConversation]:
    """Read one value as a JSON file, several as JSON Lines."""
    file = folder / "chats.json"
    file.write_text("\n".join(map(json.dumps, values)))
    return list(read([file]))


def only(folder: Path, **record: Any) -> ImportedConversation:
    (conversation,) = conversations(folder, record)
    return conversation


def turn(label: str, text: object, **more: Any) -> dict[str, Any]:
    return {"from": label, "value": text, **more}


def lines(conversation: ImportedConversation) -> list[tuple[str, str, str, str]]:
    return [(m.external_id, m.role, m.branch, m.text) for m in conversation.messages]


def test_a_conversation_with_its_facts(tmp_path: Path) -> None:
    conversation = only(
        tmp_path,
        id="a1",
        title="T",
        system="Be kind",
        tools='[{"name": "f"}]',
        model="m-7b",
        conversations=[
            turn("human", " Hi\n"),
            turn("function_call", '{"name": "f", "arguments": {"a": 1}}'),
            turn("observation", "18"),
            turn("gpt", "<think>\nHm\n</think>\n\nWarm"),
            turn("bing", "Cold", weight=0),
            turn("Ann", "Me too"),
        ],
    )
    assert (conversation.external_id, conversation.title, conversation.records) == ("a1", "T", 7)
    assert conversation.custom == {"tools": '[{"name": "f"}]', "model": "m-7b"}
    system, human, call, result, gpt, bing, ann = conversation.messages
    assert (system.external_id, system.role, system.text) == ("system", "system", "Be kind")
    assert (human.external_id, human.role, human.text, human.custom) == ("1", "user", " Hi\n", {})
    assert call.parts == [
        {"type": "tool_call", "id": "call#1", "name": "f", "arguments": '{"a":1}'}
    ]
    assert (call.role, call.llm_model) == ("assistant", "m-7b")
    assert result.role == "tool"
    assert result.parts == [
        {"type": "tool_result", "call_id": "call#1", "status": "ok", "text": "18"}
    ]
    assert gpt.parts == [{"type": "reasoning", "text": "Hm"}, {"type": "text", "text": "Warm"}]
    assert (bing.role, bing.custom) == ("assistant", {"original_role": "bing", "weight": 0})
    assert (ann.role, ann.sender, ann.custom) == ("user", "Ann", {"original_role": "Ann"})


@pytest.mark.parametrize("name", ["conversation", "dialog", "items", "messages", "chat"])
def test_names_of_the_list_of_turns(tmp_path: Path, name: str) -> None:
    record = {name: [turn("user", "Q"), turn("assistant", "A")]}
    (conversation,) = conversations(tmp_path, [record])
    assert [m.role for m in conversation.messages] == ["user", "assistant"]
    assert guess(tmp_path / "chats.json") is SHAREGPT


def test_turns_with_roles_blocks_and_calls(tmp_path: Path) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    conversation = only(
        tmp_path,
        system="S",
        conversations=[
            {"role": "system", "content": "S"},
            {"role": "user", "content": [{"type": "text", "text": "Q"}]},
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": "x"},
        ],
    )
    assert [m.external_id for m in conversation.messages] == ["1", "2", "3", "4"]
    assert [m.text for m in conversation.messages] == ["S", "Q", "", ""]
    assert conversation.messages[2].parts[0]["id"] == "c"
    assert conversation.messages[3].parts[0]["call_id"] == "c"


@pytest.mark.parametrize(
    ("value", "kinds", "text"),
    [
        ("<think>a</think>b", ["reasoning", "text"], ""),
        ("<think>\n\n</think>\n\nb", [], "b"),
        ("<think>a</think>", ["reasoning"], ""),
        ("<think>never closed", [], "<think>never closed"),
        ("b <think>a</think>", [], "b <think>a</think>"),
    ],
)
def test_what_a_model_thought(tmp_path: Path, value: str, kinds: list[str], text: str) -> None:
    (message,) = only(tmp_path, conversations=[turn("gpt", value)]).messages
    assert [p["type"] for p in message.parts] == kinds
    assert message.text == text
    (asked,) = only(tmp_path, conversations=[turn("human", value)]).messages
    assert asked.text == value


@pytest.mark.parametrize("value", ["not JSON", "[]", "{}", '[{"name": 3}]', "7"])
def test_a_function_call_that_is_none_stays_text(tmp_path: Path, value: str) -> None:
    (message,) = only(tmp_path, conversations=[turn("function_call", value)]).messages
    assert (message.role, message.text) == ("assistant", value)


def test_several_function_calls_in_one_turn(tmp_path: Path) -> None:
    calls = '[{"name": "f", "arguments": "{}"}, {"name": "g", "arguments": {}}]'
    (message,) = only(tmp_path, conversations=[turn("function_call", calls)]).messages
    assert [(p["id"], p["name"], p["arguments"]) for p in message.parts] == [
        ("call#1", "f", "{}"),
        ("call#2", "g", "{}"),
    ]


def test_files_beside_the_turns(tmp_path: Path) -> None:
    conversation = only(
        tmp_path,
        images=["a.png", "data:image/png;base64,QUJD", "left.png"],
        conversations=[turn("human", "<image>What?"), turn("gpt", "A"), turn("human", "<image>")],
    )
    first, _, third = conversation.messages
    assert first.parts[1] == {"type": "attachment", "kind": "image", "pointer": "a.png"}
    assert (third.parts[1]["mime_type"], third.parts[1]["size"]) == ("image/png", 3)
    assert conversation.custom == {"images": '["left.png"]'}


def test_instructions(tmp_path: Path) -> None:
    conversation = only(
        tmp_path,
        instruction="Translate",
        input="Hola",
        output="Hello",
        system="S",
        history=[["q", "a"], ["only a question"], "?"],
    )
    assert lines(conversation) == [
        ("system", "system", "main", "S"),
        ("history-1-user", "user", "main", "q"),
        ("history-1-assistant", "assistant", "main", "a"),
        ("history-2-user", "user", "main", "only a question"),
        ("instruction", "user", "main", "Translate\nHola"),
        ("output", "assistant", "main", "Hello"),
    ]
    assert guess(tmp_path / "chats.json") is SHAREGPT


PAIRS: list[dict[str, Any]] = [
    {"instruction": "Q", "chosen": "good", "rejected": "bad"},
    {"instruction": "Q", "output": ["good", "bad"]},
    {"prompt": "Q", "chosen": "good", "rejected": "bad"},
    {"prompt": [turn("human", "Q")], "chosen": [turn("gpt", "good")], "rejected": "bad"},
    {
        "conversations": [turn("human", "Q")],
        "chosen": turn("gpt", "good"),
        "rejected": turn("gpt", "bad"),
    },
    {
        "chosen": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "good"}],
        "rejected": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "bad"}],
    },
]


@pytest.mark.parametrize("record", PAIRS)
def test_the_rejected_answer_is_a_branch(tmp_path: Path, record: dict[str, Any]) -> None:
    conversation = only(tmp_path, **record)
    question, good, bad = conversation.messages
    assert (question.role, question.branch, question.text) == ("user", "main", "Q")
    assert (good.role, good.branch, good.text) == ("assistant", "main", "good")
    assert (bad.role, bad.branch, bad.text) == ("assistant", "rejected", "bad")
    assert good.parent == bad.parent == question.external_id
    assert [(b.name, b.fork) for b in conversation.branches] == [("rejected", question.external_id)]
    assert guess(tmp_path / "chats.json") is SHAREGPT


def test_an_empty_chosen_answer_does_not_make_the_rejected_one_main(tmp_path: Path) -> None:
    chosen = {"from": "gpt", "value": ""}
    conversation = only(
        tmp_path, conversations=[turn("human", "Q")], chosen=chosen, rejected=turn("gpt", "bad")
    )
    assert [(m.text, m.branch) for m in conversation.messages] == [
        ("Q", "main"),
        ("bad", "rejected"),
    ]


@pytest.mark.parametrize(("tag", "rating"), [(True, "up"), (False, "down")])
def test_verdicts(tmp_path: Path, tag: bool, rating: str) -> None:
    conversation = only(tmp_path, conversations=[turn("human", "Q"), turn("gpt", "A")], kto_tag=tag)
    assert conversation.messages[-1].feedback == ImportedFeedback(rating)
    assert conversation.messages[0].feedback is None


def test_a_file_that_has_grown_gives_the_same_ids(tmp_path: Path) -> None:
    turns = [turn("human", "Q"), turn("gpt", "A"), turn("human", "R"), turn("gpt", "B")]
    old = conversations(tmp_path, {"conversations": turns[:2]}, {"id": 7, "items": turns[:2]})
    new = conversations(tmp_path, *({"conversations": turns}, {"id": 7, "items": turns}) * 2)
    assert [c.external_id for c in old] == ["chats#1", "7"]
    assert [c.external_id for c in new] == ["chats#1", "7", "chats#3", "7@chats#4"]
    for before, after in zip(old, new[:2], strict=True):
        assert lines(after)[:2] == lines(before)


def test_damage(tmp_path: Path) -> None:
    turns = [turn("human", "Q"), None, "text", {"from": "gpt"}, turn("gpt", ""), turn("gpt", 5)]
    records: list[Any] = [{"conversations": turns}, 7, {"id": "x"}, {"conversations": []}]
    found = conversations(tmp_path, records)
    assert [(c.external_id, c.unreadable) for c in found] == [
        ("chats#1", False),
        ("chats#2", True),
        ("x", True),
        ("chats#4", False),
    ]
    assert [(m.external_id, m.text) for m in found[0].messages] == [("1", "Q"), ("6", "")]
    assert [(s.external_id, s.reason) for s in found[0].skipped] == [
        ("2", "not a turn"),
        ("3", "not a turn"),
        ("4", "not a turn"),
        ("5", "empty message"),
    ]
    assert [s.reason for s in found[3].skipped] == ["conversation without messages"]


def test_deep_nesting(tmp_path: Path) -> None:
    file = tmp_path / "chats.json"
    for depth in (*range(700, 1_000), 100_000):
        deep = "[" * depth + "]" * depth
        one = '{"from": "gpt", "value": "A", "x": ' + deep + "}"
        file.write_text(
            '[{"tools": ' + deep + ', "chosen": [' + one + '], "rejected": [' + one + "]}]"
        )
        try:
            (conversation,) = read([file])
        except errors.InvalidImport:
            assert depth > 900
        else:
            assert {m.text for m in conversation.messages} == {"A"}


@pytest.mark.parametrize(
    "value",
    [
        {"messages": [{"role": "user", "content": "x"}]},
        [{"role": "user", "content": "x"}],
        {"messages": [{"type": "human", "data": {"content": "x"}}]},
        {"mapping": {}, "conversations": [turn("human", "x")]},
        {"prompt": "x", "completion": "y"},
        {"text": "pretraining"},
        {"x": 1},
        [1, 2],
    ],
)
def test_other_formats_are_refused_and_not_recognised(tmp_path: Path, value: object) -> None:
    with pytest.raises(errors.InvalidImport, match="is not a dataset of chats"):
        conversations(tmp_path, value)
    seen = glimpse_of(tmp_path / "chats.json")
    assert seen is not None
    assert not SHAREGPT.sign(seen)


def test_a_long_file_is_recognised_by_its_beginning(tmp_path: Path) -> None:
    file = tmp_path / "chats.json"
    file.write_text(
        json.dumps([{"conversations": [turn("human", "x"), turn("gpt", "x" * 99_999)]}])
    )
    assert guess(file) is SHAREGPT


def test_the_sample(tmp_path: Path) -> None:
    file = tmp_path / "sample"
    file.write_text(SAMPLE)
    assert guess(file) is SHAREGPT
    assert len(list(SHAREGPT.read([file]))) == 1
