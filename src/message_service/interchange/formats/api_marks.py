"""Tells apart the messages of the OpenAI and the Anthropic API.

Both name messages by `role` and `content`, and plain texts look the same in both. The rule:

- A file has Anthropic's shape if one of its first records has a mark of that API: a block that only
  Anthropic has (`tool_use`, `tool_result`, `thinking` ..., or one with a `source`), `system` beside
  `messages`, `params` around `messages`, `stop_reason`, or tools with an `input_schema`.
- Otherwise it has OpenAI's shape: a list of plain messages is OpenAI's.
- Either reader accepts plain messages; it refuses a file whose first records have only marks of the
  other API.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from message_service.interchange.reading.glimpse import Glimpse
from message_service.interchange.reading.json_reading import as_list, as_object, as_text

LOOKED_AT = 20
"""How many records or messages are looked at for marks."""

_CONTENTS = ("content", "tool_calls", "function_call", "refusal", "audio", "reasoning_content")
_REQUESTS = ("body", "params", "request")
_OF_OTHER_FORMATS = frozenset(
    (
        *("mapping", "chat", "chat_messages", "history", "currentId", "conversationId"),
        *("conversations", "chosen", "rejected", "sessionId", "SessionId"),
    )
)
_ANTHROPIC_BLOCKS = frozenset(
    (
        *("tool_use", "tool_result", "thinking", "redacted_thinking", "server_tool_use"),
        *("web_search_tool_result", "search_result", "container_upload", "mcp_tool_use"),
    )
)
_OPENAI_BLOCKS = frozenset(
    (
        *("image_url", "input_audio", "file", "refusal", "input_text", "output_text"),
        *("input_image", "input_file"),
    )
)
_OPENAI_ITEMS = ("function_call", "function_call_output", "reasoning", "item_reference", "mcp_call")
_ANTHROPIC_START = re.compile(
    rb'"type"\s*:\s*"(tool_use|tool_result|thinking|redacted_thinking|server_tool_use)"'
    rb'|"(input_schema|stop_reason|tool_use_id)"\s*:|"source"\s*:\s*\{'
)
_MESSAGES_START = re.compile(rb'[\s\[{]*"(messages|role|content|model|system|input)"\s*:')


def is_message(item: object) -> bool:
    """Whether a value is a message, or an item of the Responses API."""
    found = as_object(item)
    if found is None or not may_be_api(found):
        return False
    if as_text(found.get("role")) is not None:
        return any(name in found for name in _CONTENTS)
    return is_openai_item(found)


def is_openai_item(found: dict[str, Any]) -> bool:
    """Whether an object without a role is an item of the Responses API."""
    kind = as_text(found.get("type")) or ""
    return kind in _OPENAI_ITEMS or kind.endswith(("_call", "_call_output"))


def request_of(record: dict[str, Any]) -> dict[str, Any]:
    """Return what was sent: an inner object of a log or batch line, or the record itself."""
    for name in _REQUESTS:
        inner = as_object(record.get(name))
        if inner is not None and ("messages" in inner or "input" in inner):
            return inner
    return record


def response_of(record: dict[str, Any]) -> dict[str, Any]:
    """Return what was answered: an inner object of a log or batch line, or the record itself."""
    for name in ("response", "result"):
        inner = as_object(record.get(name))
        if inner is not None:
            return as_object(inner.get("body")) or as_object(inner.get("message")) or inner
    return record


def may_be_api(record: dict[str, Any]) -> bool:
    """Whether a record has none of the names that mark other formats."""
    return _OF_OTHER_FORMATS.isdisjoint(record)


def has_messages(record: dict[str, Any]) -> bool:
    """Whether a record holds messages in `messages`, in the way of both APIs."""
    messages = as_list(request_of(record).get("messages"))
    return may_be_api(record) and any(map(is_message, messages))


def is_anthropic_response(record: dict[str, Any]) -> bool:
    """Whether an object is a response of the Messages API."""
    return isinstance(record.get("content"), list) and (
        "stop_reason" in record or (record.get("type") == "message" and "usage" in record)
    )


def has_anthropic_marks(item: object) -> bool:
    """Whether a record or message has a mark that only Anthropic's API leaves."""
    record = as_object(item) or {}
    request = request_of(record)
    if is_anthropic_response(response_of(record)):
        return True
    if "messages" in request and ("system" in request or request is record.get("params")):
        return True
    if any("input_schema" in (as_object(tool) or {}) for tool in as_list(request.get("tools"))):
        return True
    return any(
        block.get("type") in _ANTHROPIC_BLOCKS or as_object(block.get("source")) is not None
        for message in _messages(item)
        for block in _blocks(message)
        if isinstance(block.get("type"), str)
    )


def has_openai_marks(item: object) -> bool:
    """Whether a record or message has a mark that only OpenAI's API leaves."""
    record = as_object(item) or {}
    if "choices" in response_of(record) or "output" in response_of(record):
        return True
    if "input" in request_of(record) or ("type" in record and is_openai_item(record)):
        return True
    for message in _messages(item):
        if message.get("role") in ("developer", "tool", "function") or "function_call" in message:
            return True
        if "tool_calls" in message or "tool_call_id" in message:
            return True
        if any(as_text(block.get("type")) in _OPENAI_BLOCKS for block in _blocks(message)):
            return True
    return False


def starts_with_messages(seen: Glimpse, is_record: Callable[[dict[str, Any]], bool]) -> bool:
    """Whether a file begins with API messages.

    Args:
        seen: The beginning of the file.
        is_record: Whether a record holds a conversation of the API in question.
    """
    if seen.opening not in ("[", "{"):
        return False
    if seen.first is not None:
        return is_message(seen.first) or is_record(seen.first)
    # The first record is too long for a look at it.
    return (
        seen.has("role", "content")
        and _MESSAGES_START.match(seen.start) is not None
        and not any(seen.has(name) for name in _OF_OTHER_FORMATS)
    )


def starts_as_anthropic(seen: Glimpse) -> bool:
    """Whether a file that holds messages of either API has Anthropic's marks."""
    if seen.first is not None and has_openai_marks(seen.first):
        return False
    if _ANTHROPIC_START.search(seen.start) is not None:
        return True
    return seen.has("system") if seen.first is None else has_anthropic_marks(seen.first)


def _messages(item: object) -> Iterator[dict[str, Any]]:
    """Yield the first messages of a record, of a list of messages, or the message itself."""
    record = as_object(item)
    if record is None:
        found = as_list(item)
    elif is_message(record):
        found = [record]
    else:
        found = as_list(request_of(record).get("messages"))
    for message in found[:LOOKED_AT]:
        shown = as_object(message)
        if shown is not None:
            yield shown


def _blocks(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for item in as_list(message.get("content")):
        block = as_object(item)
        if block is not None:
            yield block
