"""A message while a reader collects its parts, and the links between calls and results."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from message_service.documents.parts import MAX_POINTER
from message_service.interchange.reading.data_urls import (
    attachment,
    is_data_url,
    json_text,
    without_bytes,
)
from message_service.interchange.reading.json_reading import as_id
from message_service.interchange.reading.records import present

_TOO_DEEP = "part is nested too deeply"
_SEPARATOR = 1  # stands between two texts in a message's text


class CallLinks:
    """Gives a tool call without an id an id that its result gets too.

    A result without an id answers the oldest open call of the same tool, otherwise the oldest open
    call. The ids depend only on what came before, so they stay when a conversation grows.
    """

    def __init__(self) -> None:
        self._open: dict[str, str] = {}
        self._made = 0

    def called(self, given: object, name: str) -> str:
        """Return the id of a call."""
        own = as_id(given) or self._make()
        self._open[own] = name
        return own

    def answered(self, given: object, name: str | None) -> str:
        """Return the id of the call that a result answers."""
        own = as_id(given)
        if own is None:
            same = (call for call, called in self._open.items() if called == name)
            own = next(same, None) or next(iter(self._open), None) or self._make()
        self._open.pop(own, None)
        return own

    def _make(self) -> str:
        self._made += 1
        return f"call#{self._made}"


@dataclass(slots=True)
class Draft:
    """The parts of one message, in order.

    Attributes:
        links: The calls of the conversation.
        parts: The parts so far.
        lost: The reasons why parts are missing.
    """

    links: CallLinks
    parts: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    lost: list[str] = field(default_factory=list[str])
    _length: int = 0

    def say(self, text: object) -> int:
        """Add a text, unless it is empty; return where it begins in the message's text."""
        return self._speak("text", text)

    def refuse(self, text: object) -> None:
        """Add a refusal, unless its text is empty."""
        self._speak("refusal", text)

    def reason(self, text: object, *, signature: object = None, encrypted: object = None) -> None:
        """Add reasoning, unless it is empty."""
        given = {"text": text, "signature": signature, "encrypted": encrypted}
        facts = {name: value for name, value in given.items() if isinstance(value, str) and value}
        if facts:
            self.parts.append({"type": "reasoning", **facts})
        elif any(given.values()):
            self.other("reasoning", {name: value for name, value in given.items() if value})

    def call(self, given: object, name: object, arguments: object) -> None:
        """Add a tool call; its arguments are a text, which is kept as it is, or any JSON value."""
        tool = as_id(name) or "unnamed"
        own = self.links.called(given, tool)
        part = {"type": "tool_call", "id": own, "name": tool, "arguments": ""}
        self.parts.append(part)
        if isinstance(arguments, str):
            part["arguments"] = arguments
        elif arguments is not None:
            part["arguments"] = self._json(arguments)

    def answer(
        self, given: object, text: str, *, name: object = None, failed: bool = False
    ) -> None:
        """Add the result of a tool call."""
        tool = as_id(name)
        own = self.links.answered(given, tool)
        status = "error" if failed else "ok"
        facts = {"type": "tool_result", "call_id": own, "status": status, "name": tool}
        self.parts.append({**present(facts), "text": text})
        self._length += len(text) + _SEPARATOR

    def attach(
        self,
        kind: str,
        *,
        name: str | None = None,
        mime_type: str | None = None,
        pointer: str | None = None,
        data: str | None = None,
    ) -> None:
        """Add an attachment; see `data_urls.attachment`."""
        if pointer and len(pointer) > MAX_POINTER and not is_data_url(pointer):
            facts = {"kind": kind, "name": name, "mime_type": mime_type, "pointer": pointer}
            self.other("attachment", facts)
            return
        self.parts.append(
            attachment(kind, name=name, mime_type=mime_type, pointer=pointer, data=data)
        )

    def cite(
        self, *, title: object, url: object, quote: object, start: object, end: object
    ) -> None:
        """Add a citation; `start` and `end` are places in the message's text."""
        facts = {"title": title, "url": url, "quote": quote}
        part: dict[str, Any] = {"type": "citation"}
        part |= {name: value for name, value in facts.items() if isinstance(value, str) and value}
        places = {"start": start, "end": end}
        part |= {name: place for name, place in places.items() if _is_place(place)}
        self.parts.append(part)

    def other(self, name: object, data: object) -> None:
        """Add a part that has no kind here; the files inside it become attachments."""
        kept, files = without_bytes(data)
        self.parts.append(
            {"type": "other", "name": as_id(name) or "unnamed", "data": self._json(kept)}
        )
        self.parts.extend(files)

    def content(self) -> tuple[str, list[dict[str, Any]]]:
        """Return the text and the parts of the message: a single text has no parts."""
        if len(self.parts) == 1 and self.parts[0]["type"] == "text":
            return self.parts[0]["text"], []
        return "", self.parts

    def _speak(self, kind: str, text: object) -> int:
        start = self._length
        if isinstance(text, str):
            if text:
                self.parts.append({"type": kind, "text": text})
                self._length += len(text) + _SEPARATOR
        elif text is not None:
            self.other(kind, text)
        return start

    def _json(self, value: object) -> str:
        try:
            return json_text(value)
        except RecursionError:
            self.lost.append(_TOO_DEEP)
            return ""


def as_json(value: object) -> str | None:
    """Return a value as JSON text without the files inside it; None when that is impossible."""
    if value is None:
        return None
    try:
        return json_text(without_bytes(value)[0])
    except RecursionError:
        return None


def _is_place(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63
