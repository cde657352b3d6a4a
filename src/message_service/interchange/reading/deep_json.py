"""Parses JSON that is nested too deeply for the standard library's parser, which is recursive.

Exports that nest each reply in the message it answers are as deep as the conversation is long.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from message_service.interchange.reading import sources

_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


def value_in(path: Path) -> Any:
    """Return the value in a file, however deeply it is nested.

    Raises:
        InvalidImport: The file is larger than a record may be, or is not JSON.
    """
    held = bytearray()
    for chunk in sources.chunks(path):
        held += chunk
        if len(held) > sources.MAX_RECORD_BYTES:
            raise sources.too_long(path, "one conversation")
    try:
        return loads(held.decode("utf-8"))
    except ValueError as error:
        raise sources.broken(path, f"is not JSON ({error})", "Export or fetch it again") from error


def loads(text: str) -> Any:
    """Return the value that a text contains.

    Raises:
        ValueError: It is not JSON.
    """
    holders: list[dict[str, Any] | list[Any]] = []
    names: list[str] = []  # of the values that are expected in the open objects
    at = _after_space(text, 0)
    while True:
        value: Any
        opening = text[at : at + 1]
        if opening in ("[", "{"):
            value = [] if opening == "[" else {}
            at = _after_space(text, at + 1)
            if text[at : at + 1] != _closing(value):
                holders.append(value)
                at = _name(text, at, value, names)
                continue
            at += 1
        else:
            value, at = _DECODER.raw_decode(text, at)
        at = _after_space(text, at)
        while holders:
            holder = holders[-1]
            if isinstance(holder, list):
                holder.append(value)
            else:
                holder[names.pop()] = value
            found = text[at : at + 1]
            if found == ",":
                at = _name(text, _after_space(text, at + 1), holder, names)
                break
            if found != _closing(holder):
                raise json.JSONDecodeError("',' or a closing bracket is missing", text, at)
            value = holders.pop()
            at = _after_space(text, at + 1)
        else:
            if at != len(text):
                raise json.JSONDecodeError("Extra data", text, at)
            return value


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found is not None else at


def _closing(holder: dict[str, Any] | list[Any]) -> str:
    return "]" if isinstance(holder, list) else "}"


def _name(text: str, at: int, holder: dict[str, Any] | list[Any], names: list[str]) -> int:
    """Read the name of an object's next value; return where the value begins."""
    if isinstance(holder, list):
        return at
    if text[at : at + 1] != '"':
        raise json.JSONDecodeError("a name is missing", text, at)
    name, at = _DECODER.raw_decode(text, at)
    names.append(name)
    at = _after_space(text, at)
    if text[at : at + 1] != ":":
        raise json.JSONDecodeError("a colon is missing", text, at)
    return _after_space(text, at + 1)
