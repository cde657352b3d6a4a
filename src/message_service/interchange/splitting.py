"""Splits a message that is too long for one stored message into several that read back as one.

The pieces follow one another on the same branch; `messages.continuations.joined` puts them together
again, without loss.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from message_service.documents.fields import MAX_TEXT_BYTES, MAX_TEXT_CODE_POINTS
from message_service.documents.parts import MAX_PARTS, MAX_PARTS_BYTES, SPEAKING, TEXT_SEPARATOR
from message_service.messages.continuations import goes_on

_NEAR = 2_000
"""How far before the limit a text may be cut, to cut it between two lines or words."""

_CHARACTERS = MAX_TEXT_CODE_POINTS - 1  # room for the character that `_marked` moves
_BYTES = MAX_TEXT_BYTES - 4

_PER_PART = 256
"""Upper bound for the names and fixed values of a part in BSON, beside its strings."""

Part = dict[str, Any]


@dataclass(slots=True)
class Piece:
    """What goes into one stored message.

    Attributes:
        text: The text of a piece without parts.
        parts: The parts; empty for plain text.
    """

    text: str = ""
    parts: list[Part] = field(default_factory=list[Part])


def pieces_of(text: str, parts: Sequence[Part]) -> list[Piece]:
    """Return a message in pieces that can be stored; most messages are one piece.

    Args:
        text: The text of a message without parts.
        parts: The parts of another message, with their texts.
    """
    if not parts:
        if _fits(text):
            return [Piece(text)]
        return [Piece(chunk) for chunk in _chunks(text)]
    if _all_fit(parts):
        return [Piece(parts=list(parts))]
    pieces = [Piece()]
    room = _Room()
    for part in parts:
        rest: Part | None = part
        while rest is not None:
            taken, rest = room.take(rest, alone=not pieces[-1].parts)
            if taken is not None:
                pieces[-1].parts.append(taken)
            if rest is not None:
                begun = [] if taken is not None else _carried_over(pieces[-1].parts, rest)
                pieces.append(Piece(parts=begun))
                room = _Room()
                for carried in begun:
                    room.spend(carried)
    return pieces


def _carried_over(parts: list[Part], following: Part) -> list[Part]:
    """Return the last character of a piece as the first part of the next one, where it is needed.

    A piece that begins with the kind of part the last one ended with goes on with the same part.
    So two parts of one kind are never separated between them.
    """
    last = parts[-1]
    text: str = last.get("text") or ""
    if not text or not goes_on(last, following):
        return []
    parts[-1] = {**last, "text": text[:-1]}
    return [{**last, "text": text[-1]}]


def _fits(text: str) -> bool:
    return len(text) <= MAX_TEXT_CODE_POINTS and (
        len(text) * 4 <= MAX_TEXT_BYTES or len(text.encode("utf-8", "replace")) <= MAX_TEXT_BYTES
    )


def _all_fit(parts: Sequence[Part]) -> bool:
    texts = [part.get("text") or "" for part in parts if part["type"] in SPEAKING]
    size = sum(_size(part) for part in parts)
    return len(parts) <= MAX_PARTS and size <= MAX_PARTS_BYTES and _fits(TEXT_SEPARATOR.join(texts))


def _size(part: Part) -> int:
    """Return an upper bound on the size of a part in BSON."""
    return _PER_PART + len(json.dumps(part, ensure_ascii=True, default=str))


def _chunks(text: str) -> list[str]:
    chunks: list[str] = []
    while text:
        end = _cut(text, MAX_TEXT_CODE_POINTS, MAX_TEXT_BYTES)
        chunks.append(text[:end])
        text = text[end:]
    return chunks


def _cut(text: str, characters: int, size: int) -> int:
    """Return how much of a text fits, ending after a line or a word where one ends near."""
    if characters <= 0 or size <= 0:
        return 0
    end = min(len(text), characters)
    while len(text[:end].encode("utf-8", "replace")) > size:
        over = len(text[:end].encode("utf-8", "replace")) - size
        end -= max(1, over // 4)
    if end == len(text):
        return end
    for mark in ("\n", " "):
        found = text.rfind(mark, max(1, end - _NEAR), end)
        if found > 0:
            return found + 1
    return end


class _Room:
    """What still fits into a piece."""

    def __init__(self) -> None:
        self._parts = MAX_PARTS
        self._size = MAX_PARTS_BYTES
        self._characters = _CHARACTERS
        self._bytes = _BYTES

    def take(self, part: Part, *, alone: bool) -> tuple[Part | None, Part | None]:
        """Return what of a part goes into this piece, and what goes into the next one.

        Args:
            part: The part.
            alone: Whether the piece is still empty; then something is always taken.
        """
        text: str = part.get("text") or ""
        speaks = part["type"] in SPEAKING
        size = _size(part)
        whole = self._parts > 0 and (alone or size <= self._size)
        if speaks:
            whole = whole and self._holds(text)
        if whole:
            self.spend(part)
            return part, None
        if not speaks or not self._parts:
            return None, part
        end = _cut(text, self._characters, min(self._bytes, max(0, self._size - _PER_PART) // 6))
        if end <= 0 or end >= len(text):
            return None, part
        return {**part, "text": text[:end]}, {**part, "text": text[end:]}

    def _holds(self, text: str) -> bool:
        return len(text) <= self._characters and len(text.encode("utf-8", "replace")) <= self._bytes

    def spend(self, part: Part) -> None:
        """Count a part of the piece."""
        self._parts -= 1
        self._size -= _size(part)
        if part["type"] in SPEAKING:
            text: str = part.get("text") or ""
            self._characters -= len(text) + len(TEXT_SEPARATOR)
            self._bytes -= len(text.encode("utf-8", "replace")) + len(TEXT_SEPARATOR)
