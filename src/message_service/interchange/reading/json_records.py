"""Reads the records of a file that is a JSON array, JSON Lines, or a single JSON object."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from message_service.interchange.reading import sources
from message_service.interchange.reading.json_reading import array_items, json_lines, object_items

_WHITESPACE = b" \t\r\n"
_ENDINGS = (".gz", ".jsonl", ".ndjson", ".json")


def records_of(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield the records of a file with their numbers, which count from 1.

    In JSON Lines, the number is that of the line. Memory holds one record.

    Raises:
        InvalidImport: The file is none of these, or is truncated; the records before the error
            were yielded.
    """
    opening = next((rest[:1] for part in sources.chunks(path) if (rest := _left(part))), b"")
    if opening == b"[":
        yield from enumerate(array_items(path), start=1)
    elif opening == b"{" and not _first_line_is_json(path):
        yield 1, dict(object_items(path))
    else:
        yield from json_lines(path)


def stem(path: Path) -> str:
    """Return a file's name without the endings that say how it is written."""
    name = path.name
    for ending in _ENDINGS:
        name = name.removesuffix(ending)
    return name or path.name


def _left(part: bytes) -> bytes:
    return part.lstrip(_WHITESPACE)


def _first_line_is_json(path: Path) -> bool:
    line = next((line for _, line in sources.lines(path) if line.strip()), "")
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True
