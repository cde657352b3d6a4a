"""Messages that were too long for one: several stored messages that read back as one.

An import stores a longer text as a message and its continuations. A continuation names the message
before it in `relationships.continues_message_id`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from message_service.documents.parts import SPEAKING
from message_service.documents.row import Row
from message_service.messages.parts import assemble, check_parts
from message_service.messages.rows import StoredMessage


def goes_on(part: Mapping[str, Any], following: Mapping[str, Any]) -> bool:
    """Whether the first part of a continuation goes on with the last part of the message before."""
    if part["type"] not in SPEAKING or part["type"] != following["type"]:
        return False
    return part.get("call_id") == following.get("call_id")


def joined(messages: Iterable[StoredMessage]) -> list[StoredMessage]:
    """Return messages with their continuations joined to them.

    A joined message is the first of its messages with the texts and parts of all of them. A
    continuation whose beginning is not among the messages stays as it is.

    Args:
        messages: Messages in order, for example the items of a page.
    """
    found: list[list[StoredMessage]] = []
    place_of: dict[str, int] = {}
    for message in messages:
        place = place_of.get(message.continues_message_id or "")
        if place is None:
            place = len(found)
            found.append([])
        found[place].append(message)
        place_of[message.message_id] = place
    return [several[0] if len(several) == 1 else _as_one(several) for several in found]


def _as_one(messages: Sequence[StoredMessage]) -> StoredMessage:
    parts: list[Row] = []
    for message in messages:
        own = [part.model_dump() for part in message.parts]
        if parts and own and goes_on(parts[-1], own[0]):
            parts[-1]["text"] += own.pop(0)["text"]
        parts += own
    text, stored = assemble("", check_parts("parts", parts))
    first = messages[0].raw
    content: Row = {name: value for name, value in first["content"].items() if name != "parts"} | {
        "text": text
    }
    if stored is not None:
        content["parts"] = stored
    return StoredMessage({**first, "content": content})
