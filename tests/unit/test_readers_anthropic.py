from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from message_service import errors
from message_service.interchange.formats.anthropic import ANTHROPIC, read
from message_service.interchange.known_formats import guess
from message_service.interchange.reading.glimpse import glimpse_of
from message_service.interchange.reading.records import ImportedConversation
from support.format_samples import SAMPLES

SAMPLE = SAMPLES["anthropic"]
PIXEL = b"\x89PNG pixel"
HASH = f"sha256:{hashlib.sha256(PIXEL).hexdigest()}"
BASE64 = base64.b64encode(PIXEL).decode()
IMAGE = {"type": "base64", "media_type": "image/png", "data": BASE64}
HELLO = {"role": "user", "content": "Hi"}


def conversations(folder: Path, *values: object) -> list[ImportedConversation]:
    """Read one value as a JSON file, several as JSON Lines."""
    file = folder / "log.json"
    file.write_text("\n".join(map(json.dumps, values)))
    return list(read([file]))


def parts(folder: Path, *blocks: Any, role: str = "assistant") -> list[dict[str, Any]]:
    (conversation,) = conversations(folder, [{"role": role, "content": list(blocks)}])
    (message,) = conversation.messages
    assert message.text == ""
    return message.parts


def test_a_request_with_its_response(tmp_path: Path) -> None:
    request = {
        "model": "claude-opus-4",
        "max_tokens": 100,
        "system": [{"type": "text", "text": "Be kind", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            HELLO,
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Hm", "signature": "sig"},
                    {"type": "redacted_thinking", "data": "enc"},
                    {"type": "text", "text": "I look"},
                    {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
                ],
            },
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "18"}],
            },
        ],
    }
    response = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-opus-4-1",
        "content": [{"type": "text", "text": "Warm"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 1},
    }
    (conversation,) = conversations(tmp_path, {"request": request, "response": response})
    assert conversation.external_id == "log#1"
    assert conversation.records == 5
    system, question, called, result, answer = conversation.messages
    assert [m.external_id for m in conversation.messages] == ["system", "1", "2", "3", "msg_1"]
    assert (system.role, system.status, system.text) == ("system", "active", "Be kind")
    assert (question.role, question.text) == ("user", "Hi")
    assert called.parts == [
        {"type": "reasoning", "text": "Hm", "signature": "sig"},
        {"type": "reasoning", "encrypted": "enc"},
        {"type": "text", "text": "I look"},
        {"type": "tool_call", "id": "t1", "name": "f", "arguments": '{"a":1}'},
    ]
    assert result.role == "tool"
    assert result.parts == [{"type": "tool_result", "call_id": "t1", "status": "ok", "text": "18"}]
    assert (answer.text, answer.llm_provider, answer.llm_model) == (
        "Warm",
        "anthropic",
        "claude-opus-4-1",
    )
    assert answer.custom == {"stop_reason": "end_turn"}
    (alone,) = conversations(tmp_path, response)
    assert [(alone.external_id, m.text) for m in alone.messages] == [("msg_1", "Warm")]


def test_results_with_files_and_errors(tmp_path: Path) -> None:
    found = parts(
        tmp_path,
        {
            "type": "tool_result",
            "tool_use_id": "t1",
            "is_error": True,
            "content": [
                {"type": "text", "text": "a"},
                {"type": "image", "source": IMAGE},
                {"type": "text", "text": "b"},
                {"type": "search_result", "title": "T"},
            ],
        },
        {"type": "tool_result", "tool_use_id": "t2"},
        {"type": "text", "text": "and?"},
        role="user",
    )
    picture = {"mime_type": "image/png", "size": len(PIXEL), "hash": HASH}
    assert found == [
        {"type": "tool_result", "call_id": "t1", "status": "error", "text": "a\nb"},
        {"type": "attachment", "kind": "image", **picture},
        {
            "type": "other",
            "name": "search_result",
            "data": '{"type":"search_result","title":"T"}',
        },
        {"type": "tool_result", "call_id": "t2", "status": "ok", "text": ""},
        {"type": "text", "text": "and?"},
    ]


def test_images_and_documents(tmp_path: Path) -> None:
    pdf = {"type": "base64", "media_type": "application/pdf", "data": BASE64}
    written = {"type": "text", "media_type": "text/plain", "data": "typed by a person"}
    found = parts(
        tmp_path,
        {"type": "image", "source": IMAGE},
        {"type": "image", "source": {"type": "url", "url": "https://x.org/a.png"}},
        {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
        {"type": "document", "source": pdf, "title": "T", "context": "about it"},
        {"type": "document", "source": written},
        {"type": "container_upload", "file_id": "file_2"},
        role="user",
    )
    size = {"size": len(PIXEL), "hash": HASH}
    assert found[:5] == [
        {"type": "attachment", "kind": "image", "mime_type": "image/png", **size},
        {"type": "attachment", "kind": "image", "pointer": "https://x.org/a.png"},
        {"type": "attachment", "kind": "image", "pointer": "file_1"},
        {
            "type": "attachment",
            "kind": "document",
            "name": "T",
            "mime_type": "application/pdf",
            **size,
        },
        {"type": "other", "name": "document_context", "data": '"about it"'},
    ]
    assert found[5]["type"] == "other"
    assert "typed by a person" in found[5]["data"]
    assert found[6] == {"type": "attachment", "kind": "file", "pointer": "file_2"}


def test_citations_stand_for_the_text_they_belong_to(tmp_path: Path) -> None:
    place = {
        "type": "char_location",
        "cited_text": "quoted",
        "document_title": "D",
        "start_char_index": 100,
        "end_char_index": 106,
    }
    page = {"type": "web_search_result_location", "url": "https://x.org", "title": "W"}
    assert parts(
        tmp_path,
        {"type": "text", "text": "One"},
        {"type": "text", "text": "Two", "citations": [place, page]},
    ) == [
        {"type": "text", "text": "One"},
        {"type": "text", "text": "Two"},
        {"type": "citation", "title": "D", "quote": "quoted", "start": 4, "end": 7},
        {"type": "citation", "title": "W", "url": "https://x.org", "start": 4, "end": 7},
    ]


def test_tools_that_the_provider_runs(tmp_path: Path) -> None:
    results = [{"type": "web_search_result", "url": "https://x.org", "title": "W"}]
    failed = {"type": "web_search_tool_result_error", "error_code": "max_uses_exceeded"}
    output = {"type": "code_execution_result", "stdout": "42", "stderr": ""}
    found = parts(
        tmp_path,
        {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "q"}},
        {"type": "web_search_tool_result", "tool_use_id": "s1", "content": results},
        {"type": "web_search_tool_result", "tool_use_id": "s2", "content": failed},
        {"type": "code_execution_tool_result", "tool_use_id": "s3", "content": output},
        {
            "type": "mcp_tool_result",
            "tool_use_id": "s4",
            "content": [{"type": "text", "text": "m"}],
        },
        {"type": "mid_conv_system", "content": []},
    )
    assert [p["type"] for p in found] == [
        "tool_call",
        *("tool_result", "other") * 3,
        "tool_result",
        "other",
    ]
    answers = [(p["call_id"], p["status"], p["text"]) for p in found if p["type"] == "tool_result"]
    assert answers == [
        ("s1", "ok", ""),
        ("s2", "error", ""),
        ("s3", "ok", "42"),
        ("s4", "ok", "m"),
    ]
    assert "https://x.org" in found[2]["data"]


def test_calls_without_ids_match_their_results(tmp_path: Path) -> None:
    messages: list[dict[str, Any]] = [
        {"role": "assistant", "content": [{"type": "tool_use", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "content": "1"}]},
    ]
    (conversation,) = conversations(tmp_path, messages)
    called, result = conversation.messages
    assert called.parts[0]["id"] == result.parts[0]["call_id"] == "call#1"


def test_batches(tmp_path: Path) -> None:
    answer = {"role": "assistant", "content": [{"type": "text", "text": "A"}], "stop_reason": "x"}
    found = conversations(
        tmp_path,
        {"custom_id": "r1", "params": {"model": "m", "messages": [HELLO]}},
        {
            "custom_id": "r1",
            "result": {
                "type": "succeeded",
                "message": {"id": "msg_1", "type": "message", **answer},
            },
        },
        {"custom_id": "r2", "result": {"type": "expired"}},
    )
    assert [(c.external_id, [m.external_id for m in c.messages]) for c in found] == [
        ("r1", ["1"]),
        ("r1", ["msg_1"]),
        ("r2", []),
    ]
    assert [s.reason for s in found[2].skipped] == ["request without an answer"]


def test_a_log_of_responses_has_a_conversation_each(tmp_path: Path) -> None:
    answer = {"role": "assistant", "content": [{"type": "text", "text": "A"}], "stop_reason": "x"}
    found = conversations(tmp_path, answer | {"id": "m1"}, answer | {"id": "m2"})
    assert [c.external_id for c in found] == ["m1", "m2"]
    (one,) = conversations(tmp_path, [HELLO, answer])
    assert [m.text for m in one.messages] == ["Hi", "A"]


def test_a_log_with_the_answer_as_text(tmp_path: Path) -> None:
    record = {"system": "s", "messages": [HELLO], "response": "A"}
    (conversation,) = conversations(tmp_path, record)
    assert [(m.role, m.text) for m in conversation.messages][1:] == [
        ("user", "Hi"),
        ("assistant", "A"),
    ]


def test_plain_messages_are_accepted_when_the_format_is_named(tmp_path: Path) -> None:
    (conversation,) = conversations(tmp_path, {"messages": [HELLO]})
    assert [m.text for m in conversation.messages] == ["Hi"]
    known = guess(tmp_path / "log.json")
    assert known is not None
    assert known.name == "openai"


def test_a_file_that_has_grown_gives_the_same_ids(tmp_path: Path) -> None:
    ids: list[list[str]] = []
    for length in (2, 4):
        record = {"system": "s", "messages": [HELLO] * length}
        (conversation,) = conversations(tmp_path, record)
        ids.append([conversation.external_id, *(m.external_id for m in conversation.messages)])
    assert ids[1][:4] == ids[0] == ["log#1", "system", "1", "2"]


@pytest.mark.parametrize(
    "value",
    [
        {"messages": [{"role": "tool", "tool_call_id": "c", "content": "x"}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "u"}]}]},
        {"choices": [{"message": HELLO}]},
        {"system": "s", "conversations": [{"from": "human", "value": "x"}]},
        {"x": 1},
        [1, 2],
    ],
)
def test_other_formats_are_refused_and_not_recognised(tmp_path: Path, value: object) -> None:
    with pytest.raises(errors.InvalidImport, match="does not hold messages of the Anthropic API"):
        conversations(tmp_path, value)
    seen = glimpse_of(tmp_path / "log.json")
    assert seen is not None
    assert not ANTHROPIC.sign(seen)


MARKED: list[Any] = [
    [HELLO, {"role": "assistant", "content": [{"type": "thinking", "thinking": "x"}]}],
    {"messages": [HELLO], "tools": [{"name": "f", "input_schema": {}}]},
    {"messages": [{"role": "user", "content": [{"type": "image", "source": IMAGE}]}]},
    {"system": "s", "messages": [HELLO, {"role": "user", "content": "x" * 100_000}]},
]


@pytest.mark.parametrize("value", MARKED)
def test_marks(tmp_path: Path, value: object) -> None:
    assert len(conversations(tmp_path, value)) == 1
    assert guess(tmp_path / "log.json") is ANTHROPIC


@pytest.mark.parametrize(
    "content", [5, True, {"type": 3}, [None, [], {}, 1], [{"type": "text"}], [{"type": "thinking"}]]
)
def test_wrong_types_are_kept_or_skipped(tmp_path: Path, content: object) -> None:
    (conversation,) = conversations(
        tmp_path, {"system": "s", "messages": [HELLO, {"role": "user", "content": content}]}
    )
    assert len(conversation.messages) + len(conversation.skipped) == 3


def test_the_sample(tmp_path: Path) -> None:
    file = tmp_path / "sample"
    file.write_text(SAMPLE)
    assert guess(file) is ANTHROPIC
    assert len(list(ANTHROPIC.read([file]))) == 1
