from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from message_service import errors
from message_service.interchange.formats.langchain import LANGCHAIN, conversations_of, read
from message_service.interchange.known_formats import guess
from message_service.interchange.reading.glimpse import glimpse_of
from message_service.interchange.reading.records import ImportedConversation, ImportedMessage
from support.format_samples import SAMPLES

SAMPLE = SAMPLES["langchain"]
TIME = datetime(2024, 1, 12, 3, 28, 2, tzinfo=UTC)
HELLO: dict[str, Any] = {
    "type": "human",
    "data": {"content": "Hi", "additional_kwargs": {}, "type": "human"},
}


def oid(number: int) -> dict[str, str]:
    return {"$oid": f"65a0b1c2{number:016x}"}


def document(number: int, session: object, message: object, **more: Any) -> dict[str, Any]:
    history = message if isinstance(message, str) else json.dumps(message)
    return {"_id": oid(number), "SessionId": session, "History": history, **more}


def conversations(folder: Path, *documents: object) -> list[ImportedConversation]:
    file = folder / "dump.json"
    file.write_text("\n".join(map(json.dumps, documents)))
    return list(read([file]))


def only(kind: str, **data: Any) -> ImportedMessage:
    (conversation,) = conversations_of([document(1, "s", {"type": kind, "data": data})])
    (message,) = conversation.messages
    return message


def ids(found: list[ImportedConversation]) -> list[tuple[str, list[str]]]:
    return [(c.external_id, [m.external_id[-1] for m in c.messages]) for c in found]


def test_a_session_with_a_tool(tmp_path: Path) -> None:
    call = {"name": "f", "args": {"a": 1}, "id": "c1", "type": "tool_call"}
    answer = {
        "content": "",
        "id": "run-1",
        "example": False,
        "tool_calls": [call],
        "invalid_tool_calls": [],
        "additional_kwargs": {
            "tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": '{"a": 1}'}}]
        },
        "response_metadata": {"model_name": "gpt-4o", "model_provider": "openai"},
        "usage_metadata": {"input_tokens": 1},
    }
    result = {
        "content": "18",
        "tool_call_id": "c1",
        "status": "error",
        "name": "f",
        "artifact": [1],
    }
    (conversation,) = conversations(
        tmp_path,
        document(1, "s1", {"type": "system", "data": {"content": "Be kind"}}),
        document(2, "s1", HELLO),
        document(3, "s1", {"type": "ai", "data": answer}),
        document(4, "s1", {"type": "tool", "data": result}),
    )
    assert (conversation.external_id, conversation.records) == ("s1", 4)
    assert conversation.created_at == TIME
    system, human, ai, tool = conversation.messages
    assert (system.role, system.message_type, system.text) == ("system", "system", "Be kind")
    assert human.external_id == oid(2)["$oid"]
    assert (human.role, human.text, human.created_at, human.custom) == ("user", "Hi", TIME, {})
    assert ai.parts == [{"type": "tool_call", "id": "c1", "name": "f", "arguments": '{"a":1}'}]
    assert (ai.llm_model, ai.llm_provider) == ("gpt-4o", "openai")
    assert ai.custom == {"message_id": "run-1"}
    assert tool.parts == [
        {"type": "tool_result", "call_id": "c1", "status": "error", "name": "f", "text": "18"},
        {"type": "other", "name": "artifact", "data": "[1]"},
    ]


def test_the_documents_of_a_session_need_not_stand_together_in_a_dump(tmp_path: Path) -> None:
    found = conversations(
        tmp_path,
        document(1, "a", HELLO),
        document(2, "b", HELLO),
        document(3, "a", HELLO),
        document(4, "b", HELLO),
    )
    assert ids(found) == [("a", ["1", "3"]), ("b", ["2", "4"])]


def test_documents_of_a_collection_are_grouped_as_they_come() -> None:
    documents = [document(n, s, HELLO) for n, s in enumerate("aabba", start=1)]
    found = list(conversations_of(documents))
    assert ids(found) == [("a", ["1", "2"]), ("b", ["3", "4"]), ("a", ["5"])]
    stream = conversations_of(iter(documents))
    assert next(stream).external_id == "a"


def test_live_documents_and_other_keys() -> None:
    own = ObjectId(oid(1)["$oid"])
    documents: list[dict[str, Any]] = [
        {"_id": own, "session": 7, "message": HELLO},
        {"_id": "65a0b1c2d3e4f5a6b7c8d9e0", "session": 7, "message": json.dumps(HELLO)},
    ]
    (conversation,) = conversations_of(documents, session_key="session", history_key="message")
    assert conversation.external_id == "7"
    assert [m.created_at for m in conversation.messages] == [TIME, None]
    assert documents[0] == {"_id": own, "session": 7, "message": HELLO}


def test_a_document_for_each_session(tmp_path: Path) -> None:
    messages: list[Any] = [HELLO, {"type": "ai", "data": {"content": "A", "id": "run-1"}}, {"x": 1}]
    file = tmp_path / "dump.json"
    file.write_text(
        json.dumps(
            [
                {"_id": oid(1), "sessionId": "s1", "messages": messages},
                {"_id": oid(2), "messages": messages[:1]},
            ],
            indent=1,
        )
    )
    first, second = read([file])
    assert [(m.external_id, m.text) for m in first.messages] == [("1", "Hi"), ("run-1", "A")]
    assert (first.external_id, first.created_at, first.records) == ("s1", TIME, 3)
    assert [(s.external_id, s.reason) for s in first.skipped] == [
        ("3", "history without a message")
    ]
    assert second.external_id == oid(2)["$oid"]
    assert guess(file) is LANGCHAIN


@pytest.mark.parametrize(
    ("kind", "data", "role", "original"),
    [
        ("human", {}, "user", None),
        ("HumanMessageChunk", {}, "user", None),
        ("AIMessageChunk", {}, "assistant", None),
        ("developer", {}, "system", "developer"),
        ("chat", {"role": "assistant"}, "assistant", "assistant"),
        ("chat", {"role": "critic"}, "user", "critic"),
        ("chat", {}, "user", None),
        ("strange", {}, "system", "strange"),
    ],
)
def test_types(kind: str, data: dict[str, Any], role: str, original: str | None) -> None:
    message = only(kind, content="x", **data)
    assert message.role == role
    assert message.custom.get("original_role") == original


def test_blocks_and_the_calls_they_repeat() -> None:
    message = only(
        "ai",
        content=[
            "Let me",
            {"type": "thinking", "thinking": "Hm", "signature": "s"},
            {"type": "text", "text": "look"},
            {"type": "tool_use", "id": "t1", "name": "f", "input": {}},
            {"type": "image", "source_type": "base64", "mime_type": "image/png", "data": "QUJD"},
        ],
        tool_calls=[
            {"name": "f", "args": {"a": 1}, "id": "t1"},
            {"name": "g", "args": {}, "id": None},
            {"id": "t3", "function": {"name": "h", "arguments": "{}"}},
        ],
    )
    assert [p["type"] for p in message.parts] == [
        *("text", "reasoning", "text", "tool_call", "attachment", "tool_call", "tool_call"),
    ]
    assert message.parts[3]["arguments"] == '{"a":1}'
    assert message.parts[4]["size"] == 3
    assert (message.parts[5]["id"], message.parts[5]["name"]) == ("call#1", "g")


def test_calls_in_the_providers_form_count_when_there_are_no_others() -> None:
    more = {
        "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}],
        "function_call": {"name": "g", "arguments": "{"},
        "refusal": "No",
        "reasoning_content": "Hm",
    }
    message = only("ai", content="", additional_kwargs=more)
    assert [(p["type"], p.get("name")) for p in message.parts] == [
        ("reasoning", None),
        ("refusal", None),
        ("tool_call", "f"),
        ("tool_call", "g"),
    ]


def test_calls_with_broken_arguments_are_kept() -> None:
    invalid = [
        {"name": "f", "args": "{", "id": "c1", "error": "no JSON"},
        {"name": None, "args": "{", "id": "c2", "error": None},
    ]
    message = only("ai", content="", invalid_tool_calls=invalid)
    assert message.parts[0] == {"type": "tool_call", "id": "c1", "name": "f", "arguments": "{"}
    assert message.parts[1]["type"] == "other"
    assert message.custom == {"invalid_tool_calls": ["no JSON"]}


def test_a_function_message_answers_the_call_of_its_function() -> None:
    call = {"function_call": {"name": "f", "arguments": "{}"}}
    (conversation,) = conversations_of(
        [
            document(1, "s", {"type": "ai", "data": {"content": "", "additional_kwargs": call}}),
            document(2, "s", {"type": "function", "data": {"name": "f", "content": "1"}}),
        ]
    )
    called, result = conversation.messages
    assert called.parts[0]["id"] == result.parts[0]["call_id"]


def test_what_is_not_stored(tmp_path: Path) -> None:
    found = conversations(
        tmp_path,
        document(1, "s", HELLO),
        document(2, "s", {"type": "remove", "data": {"id": "x"}}),
        document(3, "s", {"type": "ai", "data": {"content": ""}}),
        document(4, "s", "{"),
        document(5, "s", {"role": "user", "content": "home-made"}),
        document(6, None, HELLO),
        document(7, "other", "{"),
    )
    assert [(c.external_id[-5:], c.unreadable) for c in found] == [
        ("00006", True),
        ("s", False),
        ("other", True),
    ]
    session = next(c for c in found if c.external_id == "s")
    assert [s.reason for s in session.skipped] == [
        "asks to remove a message",
        "empty message",
        "history without a message",
        "history without a message",
    ]


def test_a_session_without_messages() -> None:
    (conversation,) = conversations_of([{"sessionId": "s", "messages": []}])
    assert conversation.unreadable
    assert [s.reason for s in conversation.skipped] == ["history without a message"]


def test_a_dump_that_has_grown_gives_the_same_ids(tmp_path: Path) -> None:
    documents = [document(n, s, HELLO) for n, s in enumerate("abab", start=1)]
    without = [{k: v for k, v in one.items() if k != "_id"} for one in documents]
    for dump in (documents, without):
        old, new = conversations(tmp_path, *dump[:3]), conversations(tmp_path, *dump)
        assert ids(old)[0] == ids(new)[0]
        assert ids(new)[1][1][:1] == ids(old)[1][1]


def test_a_truncated_dump_gives_what_precedes_the_damage(tmp_path: Path) -> None:
    file = tmp_path / "dump.json"
    file.write_text(SAMPLE + "\n" + SAMPLE[:50])
    found = read([file])
    assert len(next(found).messages) == 1
    with pytest.raises(errors.InvalidImport, match="is not JSON at line 2"):
        next(found)


def test_deep_nesting(tmp_path: Path) -> None:
    file = tmp_path / "dump.json"
    for depth in (*range(700, 1_000), 100_000):
        deep = "[" * depth + "]" * depth
        text = f'{{"type": "human", "data": {{"content": ["Hi", {deep}]}}}}'
        for history in (json.dumps(text), text):
            file.write_text(f'{SAMPLE}\n{{"SessionId": "s", "History": {history}}}')
            conversations = read([file])
            first = next(conversations)
            assert first.messages[0].text == "hi"
            if len(first.messages) == 2:
                assert first.messages[1].parts[0] == {"type": "text", "text": "Hi"}
            else:
                assert depth > 900


@pytest.mark.parametrize(
    "value",
    [
        {"messages": [{"role": "user", "content": "x"}]},
        {"SessionId": "s", "input": "x", "output": "y"},
        {"conversations": [{"from": "human", "value": "x"}]},
        {"SessionId": "s", "x": 1},
        {"x": 1},
        [1, 2],
    ],
)
def test_other_formats_are_refused_and_not_recognised(tmp_path: Path, value: object) -> None:
    with pytest.raises(errors.InvalidImport, match="is not a LangChain chat history"):
        conversations(tmp_path, value)
    seen = glimpse_of(tmp_path / "dump.json")
    assert seen is not None
    assert not LANGCHAIN.sign(seen)


def test_the_sample(tmp_path: Path) -> None:
    file = tmp_path / "sample"
    file.write_text(SAMPLE)
    assert guess(file) is LANGCHAIN
    assert len(list(LANGCHAIN.read([file]))) == 1
