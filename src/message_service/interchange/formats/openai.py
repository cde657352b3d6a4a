"""Reads messages of the OpenAI API: chat completions and responses.

A file is a JSON array, JSON Lines, or a single object. It holds the messages of one conversation,
or records with a conversation each: requests (`messages`, or `input`), responses (`choices`, or
`output`), logs of both, lines of a batch or of its results, and lines for fine-tuning.
`api_marks` says how they are told apart from messages of the Anthropic API.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from message_service import errors
from message_service.interchange.formats import api_marks
from message_service.interchange.formats.api_files import Api, add_list, conversations
from message_service.interchange.formats.chat_messages import add_chat_message, add_item
from message_service.interchange.reading import moments, sources
from message_service.interchange.reading.assembly import Assembly
from message_service.interchange.reading.drafts import as_json
from message_service.interchange.reading.format import Format
from message_service.interchange.reading.glimpse import Glimpse
from message_service.interchange.reading.json_reading import as_list, as_object, as_text
from message_service.interchange.reading.records import ImportedConversation, present

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
        "does not hold messages of the OpenAI API: neither 'role' with 'content', nor 'messages', "
        "'choices', 'input' or 'output' are in its first records",
        "Name the file's own format",
    )


def _is_record(record: dict[str, Any]) -> bool:
    request, response = api_marks.request_of(record), api_marks.response_of(record)
    if not api_marks.may_be_api(record):
        return False
    if api_marks.has_messages(record):
        return True
    if any("message" in (as_object(one) or {}) for one in as_list(response.get("choices"))):
        return True
    if "custom_id" in record and "response" in record:
        return True
    items = as_list(request.get("input")) + as_list(response.get("output"))
    preference = as_object(request.get("input")) or {}
    return any(map(api_marks.is_message, [*items, *as_list(preference.get("messages"))])) or (
        as_text(request.get("input")) is not None
        and as_text(request.get("model")) is not None
        and "instruction" not in request
    )


def _fill(assembly: Assembly, record: dict[str, Any]) -> None:
    request, response = api_marks.request_of(record), api_marks.response_of(record)
    done = assembly.conversation
    model = as_text(response.get("model")) or as_text(request.get("model"))
    made = moments.from_unix(response.get("created", response.get("created_at")))
    done.title = as_text(record.get("title"))
    done.created_at = made
    done.custom = present({"model": model, "tools": as_json(request.get("tools"))})

    def add(to: Assembly, message: dict[str, Any], position: str) -> None:
        _add(to, message, position, model)

    for name in ("instructions", "system"):  # `system` in files that mix both APIs
        if request.get(name):
            _add(assembly, {"role": "system", "content": request[name]}, name)
    given = request.get("input")
    preference = as_object(given)
    if preference is not None:
        add_list(add, assembly, preference.get("messages"))
    elif isinstance(given, str):
        _add(assembly, {"role": "user", "content": given}, "1")
    else:
        add_list(add, assembly, given)
    add_list(add, assembly, request.get("messages"))
    add_list(add, assembly, response.get("output"), "output-")
    # Logs that programs write themselves hold the answer as text.
    answer = as_text(record.get("response")) or as_text(response.get("output"))
    if answer is not None:
        _add(assembly, {"role": "assistant", "content": answer}, "response", model)
    elif "output" not in response and "choices" not in response and "response" in record:
        assembly.skip(assembly.own_id(None, "response"), "request without an answer")
    _add_choices(assembly, response, model)
    _add_preferences(assembly, request)


def _add_choices(assembly: Assembly, response: dict[str, Any], model: str | None) -> None:
    """Add the answers to choose from: the first on `main`, each other one on its own branch."""
    made = moments.from_unix(response.get("created"))
    before = assembly.tip
    for number, item in enumerate(as_list(response.get("choices"))):
        message = as_object((as_object(item) or {}).get("message"))
        own = assembly.own_id(None, f"{as_text(response.get('id')) or 'choice'}:{number}")
        if number:
            assembly.fork(before, f"choice-{number + 1}")
        if message is None:
            assembly.skip(own, "not a message")
        else:
            message = {"role": "assistant", **message}
            add_chat_message(assembly, message, own, model=model, created_at=made)


def _add_preferences(assembly: Assembly, request: dict[str, Any]) -> None:
    """Add the two answers of a line for preference tuning; the one not preferred is a branch."""
    before = assembly.tip
    for name in ("preferred_output", "non_preferred_output"):
        if name == "non_preferred_output" and as_list(request.get(name)):
            assembly.fork(before, "non-preferred")
        add_list(_add, assembly, request.get(name), f"{name}-")


def _add(
    assembly: Assembly, message: dict[str, Any], position: str, model: str | None = None
) -> None:
    own = assembly.own_id(message.get("id"), position)
    if as_text(message.get("role")) is not None:
        add_chat_message(assembly, message, own, model=model)
    else:
        add_item(assembly, message, own, model=model)


def _sign(seen: Glimpse) -> bool:
    holds_messages = api_marks.starts_with_messages(seen, _is_record)
    return holds_messages and not api_marks.starts_as_anthropic(seen)


_API = Api(
    refusal=_refusal,
    is_record=_is_record,
    fill=_fill,
    add=_add,
    has_own_marks=api_marks.has_openai_marks,
    has_others_marks=api_marks.has_anthropic_marks,
)

OPENAI = Format(
    name="openai",
    title="OpenAI API messages",
    reader=read,
    sign=_sign,
    files=_FILES,
)
