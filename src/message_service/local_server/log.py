"""The log of mongod: keep it small, and read from it why the server failed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

_LARGEST_LOG = 16 * 1024 * 1024
_TAIL = 64 * 1024
_LONGEST_QUOTE = 300


def rotate(log: Path) -> bool:
    """Rename a large log to `mongod.log.1`; a running server must then be told to reopen the log.

    Returns:
        Whether the log was renamed.
    """
    if length(log) < _LARGEST_LOG:
        return False
    log.replace(log.with_name(f"{log.name}.1"))
    return True


def length(log: Path) -> int:
    """Return the log's length in bytes, 0 when there is none."""
    try:
        return log.stat().st_size
    except FileNotFoundError:
        return 0


def failure(log: Path, since: int) -> str | None:
    """Return the reason that mongod logged for its failure.

    The first error with a reason is the cause; later errors are consequences.

    Args:
        log: The log.
        since: The length of the log before mongod was launched.
    """
    spoken: str | None = None
    for entry in _entries(log, since):
        if entry.get("s") not in ("E", "F"):
            continue
        reason = _reason(entry)
        if reason is not None:
            return reason
        spoken = spoken or _one_line(entry.get("msg"))
    return spoken


def last_words(log: Path) -> str | None:
    """Return the message of the log's last line."""
    said: str | None = None
    for entry in _entries(log, max(0, length(log) - _TAIL)):
        said = _one_line(entry.get("msg")) or said
    return said


def _entries(log: Path, since: int) -> Iterator[dict[str, Any]]:
    try:
        with log.open("rb") as stream:
            stream.seek(since)
            lines = stream.read().splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        try:
            entry: object = json.loads(line)
        except ValueError:
            continue  # an incomplete line, or output of a library
        if isinstance(entry, dict):
            yield cast("dict[str, Any]", entry)


def _reason(entry: dict[str, Any]) -> str | None:
    attributes: dict[str, Any] = entry.get("attr") or {}
    error: object = attributes.get("error")
    if isinstance(error, dict):
        return _one_line(cast("dict[str, Any]", error).get("errmsg"))
    message: object = attributes.get("message")
    if isinstance(message, dict):
        engine = cast("dict[str, Any]", message)
        said = [engine.get("error_str"), engine.get("msg")]
        return _one_line(": ".join(part for part in said if isinstance(part, str)))
    return _one_line(error)


def _one_line(text: object) -> str | None:
    if not isinstance(text, str):
        return None
    return " ".join(text.split())[:_LONGEST_QUOTE] or None
