"""The beginning of a file, from which its format is recognised."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from message_service import errors
from message_service.interchange.reading import sources
from message_service.interchange.reading.json_reading import as_object

_LOOKED_AT = 64 * 1024
_WHITESPACE = " \t\r\n"


@dataclass(slots=True, frozen=True)
class Glimpse:
    """The beginning of a file.

    Attributes:
        path: The file.
        start: Its first 64 KiB, unpacked.
        opening: Its first character that is not white space; empty when it has none.
        first: The first record, if it is a JSON object that ends within `start`: the first item of
            a list, the first line, or the whole file.
        _names: The names that occur in it anywhere as names of JSON values.
    """

    path: Path
    start: bytes
    opening: str = ""
    first: dict[str, Any] | None = None
    _names: frozenset[bytes] = field(default_factory=frozenset[bytes])

    def has(self, *names: str) -> bool:
        """Whether each of these names occurs as the name of a JSON value, at any depth."""
        return all(name.encode() in self._names for name in names)


def glimpse_of(path: Path) -> Glimpse | None:
    """Return the beginning of a file; None when it cannot be read."""
    start = b""
    try:
        for chunk in sources.chunks(path):
            start += chunk
            if len(start) >= _LOOKED_AT:
                break
    except errors.InvalidImport:
        if not start:
            return None
    start = start[:_LOOKED_AT]
    text = start.decode("utf-8", "ignore").lstrip(_WHITESPACE)
    names = frozenset(re.findall(rb'"([^"\\\x00-\x1f]{1,64})"\s*:', start))
    return Glimpse(path, start, text[:1], _first_record(text), names)


def _first_record(text: str) -> dict[str, Any] | None:
    if text[:1] not in ("[", "{"):
        return None
    body = text[1:].lstrip(_WHITESPACE) if text[0] == "[" else text
    try:
        value, _ = json.JSONDecoder().raw_decode(body)
    except (ValueError, RecursionError):
        return None
    return as_object(value)
