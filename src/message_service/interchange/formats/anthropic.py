"""Reads messages of the Anthropic API.

A file is a JSON array, JSON Lines, or a single object. It holds the messages of one conversation,
or records with a conversation each: requests (`messages`, with or without `system`), responses,
logs of both, and lines of a batch or of its results. `api_marks` says how they are told apart from
messages of the OpenAI API.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from message_service import errors
from message_service.interchange.formats import api_marks
from message_service.interchange.formats.api_files import Api, add_list, conversations
from message_service.interchange.formats.chat_messages import add_chat_message
from message_service.interchange.reading import sources
from message_service.interchange.reading.assembly import Assembly
from message_service.interchange.reading.drafts import as_json
from message_service.interchange.reading.format import Format
from message_service.interchange.reading.glimpse import Glimpse
from message_service.interchange.reading.json_reading import as_text
from message_service.interchange.reading.records import ImportedConversation, present

PROVIDER = "anthropic"

_FILES = ("*.jsonl", "*.json")


def read(paths: Sequence[Path]) -> Iterator[ImportedConversation]:
    """Yield the conversations of files; one conversation is in memory at a time.

    Args:
        paths: Files, plain or gzip, or folders with such files.

    Raises:
        InvalidImport: A file is missing, damaged, or of another format.
    """
    for path in sources.expand(paths, *_FILES):
        yield from conversations(_API, path)


def _refusal(path: Path) -> errors.InvalidImport:
    return sources.broken(
        path,
        "does not hold messages of the Anthropic API: neither 'role' with 'content', nor "
        "'messages' are in its first records, or they have marks of another API",
        "Name the file's own format",
    )


def _is_record(record: dict[str, Any]) -> bool:
    return (
        api_marks.has_messages(record)
        or api_marks.is_anthropic_response(api_marks.response_of(record))
        or ("custom_id" in record and "result" in record)
    )


def _fill(assembly: Assembly, record: dict[str, Any]) -> None:
    request, response = api_marks.request_of(record), api_marks.response_of(record)
    model = as_text(response.get("model")) or as_text(request.get("model"))
    assembly.conversation.title = as_text(record.get("title"))
    tools = as_json(request.get("tools"))
    assembly.conversation.custom = present({"model": model, "tools": tools})

    def add(to: Assembly, message: dict[str, Any], position: str) -> None:
        _add(to, message, position, model)

    if request.get("system"):
        _add(assembly, {"role": "system", "content": request["system"]}, "system")
    add_list(add, assembly, request.get("messages"))
    if api_marks.is_anthropic_response(response):
        _add(assembly, {"role": "assistant", **response}, "response", model)
    elif as_text(record.get("response")) is not None:
        _add(assembly, {"role": "assistant", "content": record["response"]}, "response", model)
    elif "result" in record or "response" in record:
        assembly.skip(assembly.own_id(None, "response"), "request without an answer")


def _add(
    assembly: Assembly, message: dict[str, Any], position: str, model: str | None = None
) -> None:
    own = assembly.own_id(message.get("id"), position)
    add_chat_message(assembly, message, own, model=model, provider=PROVIDER)


def _sign(seen: Glimpse) -> bool:
    holds_messages = api_marks.starts_with_messages(seen, _is_record)
    return holds_messages and api_marks.starts_as_anthropic(seen)


_API = Api(
    refusal=_refusal,
    is_record=_is_record,
    fill=_fill,
    add=_add,
    has_own_marks=api_marks.has_anthropic_marks,
    has_others_marks=api_marks.has_openai_marks,
)

ANTHROPIC = Format(
    name="anthropic",
    title="Anthropic API messages",
    reader=read,
    sign=_sign,
    files=_FILES,
)
