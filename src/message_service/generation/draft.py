"""A reply while it is said: gathers the events of one try, and says what has become of them."""

from __future__ import annotations

import json
from typing import Any

from message_service.documents.fields import MAX_NAME, MAX_TEXT_CODE_POINTS
from message_service.generation.failures import FailureKind
from message_service.generation.provider import (
    Answering,
    CallDelta,
    Event,
    Finished,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    Used,
)

MOST_REASONING = 500_000
"""Most characters of reasoning that are kept."""


class Draft:
    """The answer of one try.

    Attributes:
        provider: The provider asked.
        model: The model asked for; the provider's own name of it, once it is known.
        attempt: The number of the try, from 1.
        request_id: The provider's name of the request.
        text: The text so far.
        refusal: The refusal so far.
        reasoning: The reasoning so far.
        signature: What proves the reasoning.
        encrypted: Reasoning that the provider does not show.
        calls: The tool calls so far, as `[id, name, arguments]` by their place.
        usage: The usage block, if one came.
        finish_reason: Why the answer ended; None while it has not.
        first_token_seconds: Seconds from the request to the first piece of the answer.
        seconds: Seconds the try has taken so far.
    """

    def __init__(self, provider: str, model: str, attempt: int) -> None:
        self.provider = provider
        self.model = model
        self.attempt = attempt
        self.request_id: str | None = None
        self.text = ""
        self.refusal = ""
        self.reasoning = ""
        self.signature: str | None = None
        self.encrypted: str | None = None
        self.calls: dict[int, list[str]] = {}
        self.usage: dict[str, Any] | None = None
        self.finish_reason: str | None = None
        self._halves: dict[str, str] = {}
        self.first_token_seconds: float | None = None
        self.seconds = 0.0

    @property
    def says_something(self) -> bool:
        """Whether there is something that a message can be made of."""
        return bool(self.text.strip() or self.refusal.strip() or self.calls)

    @property
    def begun(self) -> bool:
        """Whether any piece of the answer has come."""
        return bool(self.text or self.refusal or self.reasoning or self.encrypted or self.calls)

    @property
    def full(self) -> bool:
        """Whether the answer is as long as a message may be; what follows is not wanted."""
        return self._room <= 0

    @property
    def _room(self) -> int:
        """How many characters may still be said; one stands between text and refusal."""
        return MAX_TEXT_CODE_POINTS - 1 - len(self.text) - len(self.refusal)

    def take(self, event: Event) -> None:
        """Add a piece."""
        match event:
            case TextDelta(text):
                self.text += self._whole("text", text)[: self._room]
            case RefusalDelta(text):
                self.refusal += self._whole("refusal", text)[: self._room]
            case ReasoningDelta(text, signature, encrypted):
                whole = self._whole("reasoning", text)
                self.reasoning += whole[: MOST_REASONING - len(self.reasoning)]
                self.signature = signature or self.signature
                self.encrypted = encrypted or self.encrypted
            case CallDelta(place, call_id, name, arguments):
                call = self.calls.setdefault(place, ["", "", ""])
                call[0] = call_id or call[0]
                call[1] = name or call[1]
                call[2] += self._whole(f"call {place}", arguments)
            case Answering(model, request_id):
                self.model = (model or self.model)[:MAX_NAME]
                self.request_id = (request_id or self.request_id or "")[:MAX_NAME] or None
            case Used(block):
                self.usage = {**(self.usage or {}), **block}
            case Finished(reason):
                self.finish_reason = reason[:MAX_NAME]

    def _whole(self, kind: str, piece: str) -> str:
        """Return a piece without halves of characters.

        Providers that escape JSON may cut a character (a surrogate pair) in two pieces: its first
        half waits for the second. A half that has no other cannot be stored.
        """
        text = self._halves.pop(kind, "") + piece
        if "\ud800" <= text[-1:] <= "\udbff":
            self._halves[kind] = text[-1]
            text = text[:-1]
        if text.isascii():
            return text
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def problem(self) -> FailureKind | None:
        """Return why the ended answer cannot be used, if it cannot."""
        if self.finish_reason is None:
            return FailureKind.CUT_OFF
        if not all(_is_object(arguments) and name for _, name, arguments in self.calls.values()):
            return FailureKind.INVALID_TOOL_CALL
        if not self.says_something:
            filtered = self.finish_reason == "content_filter"
            return FailureKind.FILTERED if filtered else FailureKind.EMPTY
        return None

    def parts(self) -> list[dict[str, Any]] | None:
        """Return the parts of the message; None when it is plain text."""
        if not (self.refusal or self.reasoning or self.encrypted or self.calls):
            return None
        parts: list[dict[str, Any]] = []
        if self.reasoning or self.encrypted:
            kept = {
                "text": self.reasoning or None,
                "signature": self.signature,
                "encrypted": self.encrypted,
            }
            parts.append({"type": "reasoning", **{k: v for k, v in kept.items() if v is not None}})
        if self.text:
            parts.append({"type": "text", "text": self.text})
        if self.refusal:
            parts.append({"type": "refusal", "text": self.refusal})
        parts += (
            {
                "type": "tool_call",
                "id": call[0] or f"call_{place}",
                "name": call[1],
                "arguments": call[2] or "{}",
            }
            for place, call in sorted(self.calls.items())
        )
        return parts


def _is_object(arguments: str) -> bool:
    if not arguments.strip():
        return True  # providers leave them out for a tool without parameters
    try:
        return isinstance(json.loads(arguments), dict)
    except (ValueError, RecursionError):
        return False
