"""One small file of every import format, with what the format can hold beyond plain text."""

from __future__ import annotations

import json
from typing import Any

from support.chat_exports import Chat
from support.format_samples import SAMPLES

PIXEL = "data:image/png;base64,iVBORw0KGgo="


def _lines(*records: Any) -> str:
    return "".join(f"{json.dumps(record)}\n" for record in records)


def _chatgpt() -> str:
    chat = Chat()
    chat.say("root", "I keep birds", hidden=True)
    question = chat.attach(chat.current, "f1", "bird.png")
    call = chat.call(question, "web.run", '{"q": "bird"}')
    thought = chat.think(chat.result(call, "a finch"), "It looks like a finch.")
    chat.say(thought, "It is a finch.")
    other = chat.say(question, "A sparrow.")
    chat.say(other, "y" * 60_000)
    return json.dumps([chat.snapshot()])


def _claude() -> str:
    def message(own: str, sender: str, *content: dict[str, Any], **more: Any) -> dict[str, Any]:
        said = {"uuid": own, "sender": sender, "text": "", "content": list(content)}
        return said | {"created_at": "2025-01-01T10:00:00Z"} | more

    text = {"type": "text", "text": "What does the note say?"}
    note = {"file_name": "note.txt", "file_type": "txt", "extracted_content": "buy milk"}
    use = {"type": "tool_use", "id": "t1", "name": "repl", "input": {"code": "1+1"}}
    done = {"type": "tool_result", "tool_use_id": "t1", "name": "repl", "content": []}
    thinking = {"type": "thinking", "thinking": "Milk."}
    answer = {"type": "text", "text": "To buy milk."}
    chat = {
        "uuid": "c1",
        "name": "Note",
        "created_at": "2025-01-01T10:00:00Z",
        "updated_at": "2025-01-01T10:05:00Z",
        "chat_messages": [
            message("m1", "human", text, attachments=[note], files=[{"file_name": "a.png"}]),
            message("m2", "assistant", thinking, use, done, answer),
        ],
    }
    return json.dumps([chat])


_CARD = {
    "spec": "chara_card_v2",
    "spec_version": "2.0",
    "data": {
        "name": "Luna",
        "description": "A cat who sails.",
        "first_mes": "Ahoy!",
        "alternate_greetings": ["Hello.", "Good evening."],
        "system_prompt": "You are {{char}}.",
        "creator": "someone",
    },
}
_TOOL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
_OPENAI = {
    "id": "r1",
    "model": "gpt-9",
    "messages": [
        {"role": "developer", "content": "be brief"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "what is this?"},
                {"type": "image_url", "image_url": {"url": PIXEL}},
            ],
        },
        {"role": "assistant", "content": None, "tool_calls": [_TOOL]},
        {"role": "tool", "tool_call_id": "c1", "content": "a pixel"},
        {"role": "assistant", "content": "A pixel.", "refusal": None},
    ],
}
_ANTHROPIC = {
    "id": "a1",
    "system": "be brief",
    "messages": [
        {"role": "user", "content": "two questions"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Both.", "signature": "c2ln"},
                {"type": "tool_use", "id": "t1", "name": "f", "input": {"q": 1}},
                {"type": "tool_use", "id": "t2", "name": "f", "input": {"q": 2}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": "one"},
                {"type": "tool_result", "tool_use_id": "t2", "is_error": True, "content": "no"},
            ],
        },
    ],
}
_LIBRECHAT = {
    "conversationId": "l1",
    "endpoint": "openAI",
    "title": "T",
    "options": {"promptPrefix": "be kind"},
    "messages": [
        {"messageId": "1", "parentMessageId": None, "isCreatedByUser": True, "text": "hi"},
        {"messageId": "2", "parentMessageId": "1", "isCreatedByUser": False, "text": "hello"},
        {
            "messageId": "3",
            "parentMessageId": "1",
            "isCreatedByUser": False,
            "text": "",
            "content": [{"type": "think", "think": "hm"}, {"type": "text", "text": "hey"}],
            "feedback": {"rating": "thumbsUp"},
        },
    ],
}
_OPENWEBUI = {
    "id": "o1",
    "title": "T",
    "created_at": 1_700_000_000,
    "chat": {
        "history": {
            "currentId": "b",
            "messages": {
                "q": {"id": "q", "parentId": None, "childrenIds": ["a", "b"], "role": "user"}
                | {"content": "hi", "timestamp": 1_700_000_000},
                "a": {"id": "a", "parentId": "q", "role": "assistant", "content": "hello"},
                "b": {"id": "b", "parentId": "q", "role": "assistant", "content": "hey"}
                | {"annotation": {"rating": 1}},
            },
        }
    },
}
_TAVERN = (
    {"user_name": "Ann", "character_name": "Luna", "create_date": "2024-7-12@01h31m37s"},
    {
        "name": "Luna",
        "is_user": False,
        "mes": "Ahoy",
        "swipes": ["Ahoy", "Hello"],
        "swipe_id": 0,
        "extra": {"reasoning": "a greeting", "model": "m"},
    },
    {"name": "Ann", "is_user": True, "mes": "hi", "send_date": "2024-7-12@01h32m00s"},
    {"name": "System", "is_user": False, "is_system": True, "mes": "a note"},
)


def _langchain(kind: str, **data: Any) -> dict[str, Any]:
    return {"SessionId": "s", "History": json.dumps({"type": kind, "data": data})}


RICH: dict[str, str] = SAMPLES | {
    "chatgpt": _chatgpt(),
    "claude": _claude(),
    "charactercard": json.dumps(_CARD),
    "openai": json.dumps(_OPENAI),
    "anthropic": json.dumps(_ANTHROPIC),
    "librechat": json.dumps(_LIBRECHAT),
    "openwebui": json.dumps([_OPENWEBUI]),
    "sillytavern": _lines(*_TAVERN),
    "sharegpt": json.dumps(
        [
            {
                "id": "x",
                "conversations": [
                    {"from": "human", "value": "hi"},
                    {"from": "gpt", "value": "<think>hm</think>hello"},
                ],
            },
            {"prompt": "why?", "chosen": "because", "rejected": "no"},
        ]
    ),
    "langchain": _lines(
        _langchain("human", content="weather?"),
        _langchain(
            "ai", content="", tool_calls=[{"name": "f", "args": {"a": 1}, "id": "c", "type": "t"}]
        ),
        _langchain("tool", content="sunny", tool_call_id="c", status="success"),
    ),
}
"""The content of a file, by format."""
