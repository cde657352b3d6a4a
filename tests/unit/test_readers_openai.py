from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from support.format_samples import SAMPLES
from support.openai_messages import HELLO, conversations, only

SAMPLE = SAMPLES["openai"]
PIXEL = b"\x89PNG pixel"
HASH = f"sha256:{hashlib.sha256(PIXEL).hexdigest()}"
DATA_URL = f"data:image/png;base64,{base64.b64encode(PIXEL).decode()}"


def parts(folder: Path, message: dict[str, Any]) -> list[dict[str, Any]]:
    (read_back,) = only(folder, message).messages
    assert read_back.text == ""
    return read_back.parts


def test_a_chat_with_a_tool(tmp_path: Path) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    record = {
        "id": "chat-7",
        "model": "gpt-4o",
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "messages": [
            {"role": "developer", "content": "Be kind"},
            {"role": "user", "content": " Hi\n", "name": "ann"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "18 degrees"},
            {"role": "assistant", "content": "Warm", "weight": 0},
        ],
    }
    (conversation,) = conversations(tmp_path, record)
    assert conversation.external_id == "chat-7"
    assert conversation.custom == {
        "model": "gpt-4o",
        "tools": '[{"type":"function","function":{"name":"f"}}]',
    }
    assert conversation.records == 5
    rules, question, called, result, answer = conversation.messages
    assert [m.external_id for m in conversation.messages] == ["1", "2", "3", "4", "5"]
    assert (rules.role, rules.message_type, rules.text) == ("system", "system", "Be kind")
    assert rules.custom == {"original_role": "developer"}
    assert (question.text, question.sender, question.parts) == (" Hi\n", "ann", [])
    assert (called.role, called.text, called.llm_model) == ("assistant", "", "gpt-4o")
    assert called.parts == [{"type": "tool_call", "id": "c1", "name": "f", "arguments": '{"a": 1}'}]
    assert (result.role, result.llm_model) == ("tool", None)
    assert result.parts == [
        {"type": "tool_result", "call_id": "c1", "status": "ok", "text": "18 degrees"}
    ]
    assert (answer.text, answer.custom) == ("Warm", {"weight": 0})


def test_content_blocks_in_their_order(tmp_path: Path) -> None:
    content = [
        {"type": "text", "text": "What is"},
        {"type": "image_url", "image_url": {"url": DATA_URL, "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://x.org/a.png"}},
        {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "mp3"}},
        {"type": "file", "file": {"file_id": "file-1", "filename": "a.pdf"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,QUJD"}},
        {"type": "text", "text": ""},
        {"type": "hologram", "depth": 3, "shape": {"url": DATA_URL}},
        "this?",
    ]
    abc = f"sha256:{hashlib.sha256(b'ABC').hexdigest()}"
    picture = {"mime_type": "image/png", "size": len(PIXEL), "hash": HASH}
    assert parts(tmp_path, {"role": "user", "content": content}) == [
        {"type": "text", "text": "What is"},
        {"type": "attachment", "kind": "image", **picture},
        {"type": "attachment", "kind": "image", "pointer": "https://x.org/a.png"},
        {"type": "attachment", "kind": "audio", "mime_type": "audio/mpeg", "size": 3, "hash": abc},
        {"type": "attachment", "kind": "file", "name": "a.pdf", "pointer": "file-1"},
        {
            "type": "attachment",
            "kind": "file",
            "mime_type": "application/pdf",
            "size": 3,
            "hash": abc,
        },
        {
            "type": "other",
            "name": "hologram",
            "data": '{"type":"hologram","depth":3,"shape":{"url":"' + HASH + '"}}',
        },
        {"type": "attachment", "kind": "image", **picture},
        {"type": "text", "text": "this?"},
    ]


@pytest.mark.parametrize("data", ["QUJD", "QUI=", "QUI", "Q\nUI", "-_-_", "!!", "", "QUJDR"])
def test_the_bytes_of_a_file_are_never_kept(tmp_path: Path, data: str) -> None:
    block = {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}
    (part,) = parts(tmp_path, {"role": "user", "content": [block]})
    if part["type"] == "attachment":
        assert "pointer" not in part
        assert part["mime_type"] == "audio/wav"
        assert ("size" in part) == ("hash" in part) == (data not in ("!!", "QUJDR"))
    else:
        assert data == ""


def test_odd_forms_are_kept(tmp_path: Path) -> None:
    call = {"id": "i" * 300, "type": "function", "function": {"name": 7, "arguments": None}}
    message = {
        "role": "assistant",
        "reasoning": {"effort": "high"},
        "content": [
            {"text": "no type"},
            {"type": "thinking", "thinking": ["x"]},
            {"type": "file", "file": {"file_data": "data:text/plain,a%20b"}},
            {"type": "text", "text": "\ud800"},
            {"type": "new", "x": "\ud800"},
        ],
        "refusal": 5,
        "tool_calls": [call],
    }
    found = parts(tmp_path, message)
    assert [(p["type"], p.get("name")) for p in found] == [
        ("other", "reasoning"),
        ("text", None),
        ("other", "reasoning"),
        ("attachment", None),
        ("text", None),
        ("other", "new"),
        ("other", "refusal"),
        ("tool_call", "7"),
    ]
    assert (found[3]["size"], found[3]["mime_type"]) == (3, "text/plain")
    assert found[5]["data"] == '{"type":"new","x":"\\ud800"}'
    assert found[7]["id"].startswith("sha256:")


def test_an_address_that_is_too_long_is_kept_as_other(tmp_path: Path) -> None:
    url = "https://x.org/" + "a" * 5_000
    block = {"type": "image_url", "image_url": {"url": url}}
    (part,) = parts(tmp_path, {"role": "user", "content": [block]})
    assert (part["type"], part["name"]) == ("other", "attachment")
    assert url in part["data"]


def test_the_facts_of_an_answer(tmp_path: Path) -> None:
    site = {"start_index": 3, "end_index": 7, "title": "T", "url": "https://x.org"}
    message = {
        "role": "assistant",
        "reasoning_content": "Hm",
        "content": "As said",
        "refusal": "No",
        "annotations": [{"type": "url_citation", "url_citation": site}, {"type": "file_path"}],
        "audio": {"id": "audio_1", "transcript": "spoken", "expires_at": 1},
    }
    assert parts(tmp_path, message) == [
        {"type": "reasoning", "text": "Hm"},
        {"type": "text", "text": "As said"},
        {"type": "citation", "title": "T", "url": "https://x.org", "start": 3, "end": 7},
        {"type": "other", "name": "file_path", "data": '{"type":"file_path"}'},
        {"type": "refusal", "text": "No"},
        {"type": "text", "text": "spoken"},
        {"type": "attachment", "kind": "audio", "pointer": "audio_1"},
    ]


def test_old_calls_and_calls_without_ids_match_their_results(tmp_path: Path) -> None:
    conversation = only(
        tmp_path,
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{"}},
        {"role": "function", "name": "f", "content": "1"},
        {
            "role": "assistant",
            "tool_calls": [
                {"function": {"name": "g", "arguments": {"x": float("nan")}}},
                {"id": "", "type": "custom", "custom": {"name": "h", "input": "print()"}},
                {"id": "z", "type": "new"},
            ],
        },
        {"role": "tool", "name": "h", "content": None},
        {"role": "tool", "content": [{"type": "text", "text": "2"}]},
    )
    called, result, both, second, first = (m.parts for m in conversation.messages)
    assert called == [{"type": "tool_call", "id": "call#1", "name": "f", "arguments": "{"}]
    assert result[0]["call_id"] == "call#1"
    assert result[0]["name"] == "f"
    assert [p.get("id") for p in both] == ["call#2", "call#3", None]
    assert [p.get("arguments") for p in both] == ['{"x":NaN}', "print()", None]
    assert both[2]["type"] == "other"
    assert (second[0]["call_id"], second[0]["text"]) == ("call#3", "")
    assert (first[0]["call_id"], first[0]["text"]) == ("call#2", "2")


def test_a_response_with_several_answers_has_branches(tmp_path: Path) -> None:
    response = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1752302912,
        "model": "gpt-4o",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "A"}},
            {"index": 1, "message": {"content": "B"}},
            {"index": 2, "message": None},
        ],
    }
    request = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Q"}]}
    (logged,) = conversations(tmp_path, {"request": request, "response": response})
    assert [(m.external_id, m.branch, m.parent) for m in logged.messages] == [
        ("1", "main", None),
        ("chatcmpl-1:0", "main", "1"),
        ("chatcmpl-1:1", "choice-2", "1"),
    ]
    assert [(b.name, b.fork) for b in logged.branches] == [("choice-2", "1")]
    assert [(s.external_id, s.reason) for s in logged.skipped] == [
        ("chatcmpl-1:2", "not a message")
    ]
    assert logged.messages[1].created_at == datetime(2025, 7, 12, 6, 48, 32, tzinfo=UTC)
    (alone,) = conversations(tmp_path, response)
    assert alone.external_id == "chatcmpl-1"
    assert [(m.text, m.branch) for m in alone.messages] == [("A", "main"), ("B", "choice-2")]


def test_batch_requests_and_results_are_one_conversation(tmp_path: Path) -> None:
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Q"}]}
    answer = {"id": "chatcmpl-1", "choices": [{"message": {"role": "assistant", "content": "A"}}]}
    found = conversations(
        tmp_path,
        {"custom_id": "r-1", "method": "POST", "url": "/v1/chat/completions", "body": body},
        {"id": "b", "custom_id": "r-1", "response": {"status_code": 200, "body": answer}},
        {"id": "c", "custom_id": "r-2", "response": None, "error": {"code": "batch_expired"}},
    )
    assert [c.external_id for c in found] == ["r-1", "r-1", "r-2"]
    assert [m.external_id for c in found for m in c.messages] == ["1", "chatcmpl-1:0"]
    assert [s.reason for s in found[2].skipped] == ["request without an answer"]


def test_lines_for_preference_tuning(tmp_path: Path) -> None:
    line = {
        "input": {"messages": [{"role": "user", "content": "Q"}]},
        "preferred_output": [{"role": "assistant", "content": "good"}],
        "non_preferred_output": [{"role": "assistant", "content": "bad"}],
    }
    (conversation,) = conversations(tmp_path, line)
    assert [(m.text, m.branch) for m in conversation.messages] == [
        ("Q", "main"),
        ("good", "main"),
        ("bad", "non-preferred"),
    ]


def test_items_of_the_responses_api(tmp_path: Path) -> None:
    source = {"type": "url_citation", "url": "https://x.org", "start_index": 0, "end_index": 2}
    record: dict[str, Any] = {
        "id": "resp_1",
        "model": "o3",
        "instructions": "Be kind",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
            {"type": "function_call_output", "call_id": "c0", "output": "old"},
        ],
        "output": [
            {
                "type": "reasoning",
                "id": "rs_1",
                "summary": [{"type": "summary_text", "text": "S"}],
                "encrypted_content": "xyz",
            },
            {"type": "reasoning", "id": "rs_2", "summary": []},
            {
                "type": "function_call",
                "id": "fc_1",
                "call_id": "c1",
                "name": "f",
                "arguments": "{}",
            },
            {"type": "web_search_call", "id": "ws_1", "action": {"type": "search"}},
            {
                "type": "image_generation_call",
                "id": "ig_1",
                "result": base64.b64encode(PIXEL).decode(),
            },
            {
                "type": "message",
                "id": "msg_1",
                "role": "assistant",
                "content": [
                    {"type": "output_text", "text": "Yes", "annotations": [source]},
                    {"type": "refusal", "refusal": "No"},
                ],
            },
        ],
    }
    (conversation,) = conversations(tmp_path, record)
    assert [(m.external_id, m.role) for m in conversation.messages] == [
        ("instructions", "system"),
        ("1", "user"),
        ("2", "tool"),
        ("rs_1", "assistant"),
        ("fc_1", "assistant"),
        ("ws_1", "assistant"),
        ("ig_1", "assistant"),
        ("msg_1", "assistant"),
    ]
    assert [(s.external_id, s.reason) for s in conversation.skipped] == [("rs_2", "empty message")]
    by_id = {m.external_id: m for m in conversation.messages}
    assert by_id["1"].text == "Hi"
    assert by_id["2"].parts[0] == {
        "type": "tool_result",
        "call_id": "c0",
        "status": "ok",
        "text": "old",
    }
    assert by_id["rs_1"].parts == [{"type": "reasoning", "text": "S", "encrypted": "xyz"}]
    assert by_id["fc_1"].parts[0]["id"] == "c1"
    assert by_id["fc_1"].llm_model == "o3"
    assert by_id["ws_1"].parts[0]["name"] == "web_search_call"
    other, picture = by_id["ig_1"].parts
    assert HASH in other["data"]
    assert (picture["type"], picture["hash"]) == ("attachment", HASH)
    assert by_id["msg_1"].parts == [
        {"type": "text", "text": "Yes"},
        {"type": "citation", "url": "https://x.org", "start": 0, "end": 2},
        {"type": "refusal", "text": "No"},
    ]


def test_a_log_with_times_and_the_answer_as_text(tmp_path: Path) -> None:
    first = HELLO | {"timestamp": "2024-01-12T03:28:02Z"}
    second = HELLO | {"created_at": 1705030082, "timestamp": "?"}
    (conversation,) = conversations(tmp_path, {"messages": [first, second], "response": "A"})
    time = datetime(2024, 1, 12, 3, 28, 2, tzinfo=UTC)
    assert [m.created_at for m in conversation.messages] == [time, time, None]
    assert conversation.messages[2].text == "A"
    assert conversation.skipped == []


def test_text_that_only_begins_like_a_file_is_kept(tmp_path: Path) -> None:
    block = {
        "type": "note",
        "a": "data: one, two",
        "b": "data:text/plain,said",
        "file_data": "these are words, said by a person; no file of any kind, however long",
        "c": {"type": "base64", "data": "!!"},
    }
    note, *files = parts(tmp_path, {"role": "user", "content": [block]})
    kept = json.loads(note["data"])
    assert {name: kept[name] for name in ("a", "b", "file_data")} == {
        name: block[name] for name in ("a", "b", "file_data")
    }
    assert files == [{"type": "attachment", "kind": "file"}]


def test_an_input_that_is_a_text(tmp_path: Path) -> None:
    record = {"model": "o3", "input": "Hi"}
    (asked,) = conversations(tmp_path, record)
    assert [(m.role, m.text) for m in asked.messages] == [("user", "Hi")]
    (answered,) = conversations(tmp_path, record | {"output": "Hello"})
    assert [(m.role, m.text) for m in answered.messages] == [("user", "Hi"), ("assistant", "Hello")]
