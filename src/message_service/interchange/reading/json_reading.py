"""Reads JSON of any size, one record at a time, exactly as written.

The standard library's parser runs over a window of the text that slides from record to record.
Unlike fast streaming parsers (yajl, which ijson uses), it keeps lone surrogates; those parsers
silently replace a lone surrogate with `?`, or lose the character after it.
"""

from __future__ import annotations

import codecs
import hashlib
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from message_service import errors
from message_service.interchange.reading import sources

_WHITESPACE = " \t\n\r"
_LONGEST_TOKEN = 16
"""Longer than any literal or escape: an error this near the window's end may be a cut token."""

_CUT_NUMBER = 2
"""Longest text between a cut number and the window's end: `.`, `e` or `e+`."""

_SHAPES = {"[": "a list", "{": "an object"}

_MAX_ID = 256
_LOOKED_AT = 1_000
"""Number of items to read before a value is accepted as JSON."""

_DECODER = json.JSONDecoder()
_AGAIN = "Export or fetch it again"
_ONE_A_LINE = "Give a file with one JSON object a line, or name the format the file really has"


def array_items(path: Path) -> Iterator[Any]:
    """Yield the items of a file that contains one JSON array.

    Memory holds one item, and a window of the text that is at most twice as long.

    Raises:
        InvalidImport: The file is not a JSON array, or is truncated; the items before the error
            were yielded.
    """
    text = _Window(path)
    text.expect("[")
    if text.peek() == "]":
        text.skip()
    else:
        while True:
            yield text.value()
            if text.separator("]"):
                break
    text.end()


def object_items(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the names and values of a file that contains one JSON object.

    Memory use is as in `array_items`.

    Raises:
        InvalidImport: The file is not a JSON object, or is truncated; the values before the error
            were yielded.
    """
    text = _Window(path)
    text.expect("{")
    if text.peek() == "}":
        text.skip()
    else:
        while True:
            name = text.value()
            if not isinstance(name, str) or text.peek() != ":":
                raise text.invalid("a name and a colon are missing")
            text.skip()
            yield name, text.value()
            if text.separator("}"):
                break
    text.end()


def json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the objects of a JSON Lines file with their line numbers; blank lines are skipped.

    Raises:
        InvalidImport: A line is not a JSON object (the lines before it were yielded), or all lines
            are blank.
    """
    blank = True
    for number, line in sources.lines(path):
        if not line.strip(_WHITESPACE):
            continue
        first, blank = blank, False
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            if first:
                _refuse_whole_json(path)
            raise sources.broken(
                path, f"is not JSON at line {number}, column {error.colno} ({error.msg})", _AGAIN
            ) from error
        except (ValueError, RecursionError) as error:
            raise _unreadable(path, f"line {number}", error) from error
        record = as_object(value)
        if record is None:
            raise sources.broken(
                path,
                f"holds {_kind(value)} instead of a JSON object in line {number}",
                _ONE_A_LINE,
            )
        yield number, record
    if blank:
        raise sources.broken(path, "holds no record, only blank lines", _AGAIN)


def as_object(value: object) -> dict[str, Any] | None:
    """Return `value` if it is a JSON object."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def as_list(value: object) -> list[Any]:
    """Return `value` if it is a JSON array, otherwise an empty list."""
    return cast("list[Any]", value) if isinstance(value, list) else []


def as_id(value: object) -> str | None:
    """Return a text or whole number as an id of at most 256 characters; None for other values.

    A digest stands for a longer one.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    text = str(value)
    if len(text) <= _MAX_ID:
        return text or None
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def as_text(value: object) -> str | None:
    """Return `value` if it is a non-empty string."""
    return value if isinstance(value, str) and value else None


def as_number(value: object) -> int | float | None:
    """Return `value` if it is a finite number that fits into eight bytes."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if abs(value) < 2**63 else None  # false for NaN too


class _Window:
    """The text of a file; only the part from the current position on is kept in memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._chunks = sources.chunks(path)
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._text = ""
        self._at = 0
        self._before = 0  # characters already released
        self._bytes = 0
        self._ended = False
        self._wanted = ""
        self._bad_byte = 0  # the first byte that is not UTF-8, counted from 1; 0 for none so far

    def peek(self) -> str:
        """Return the next character that is not white space, or "" at the end."""
        while True:
            while self._at < len(self._text):
                character = self._text[self._at]
                if character not in _WHITESPACE:
                    return character
                self._at += 1
            if self._ended:
                return ""
            self._read(1)

    def skip(self) -> None:
        """Skip the character that `peek` returned."""
        self._at += 1

    def expect(self, opening: str) -> None:
        """Skip the bracket with which the file must begin."""
        self._wanted = f"{_SHAPES[opening]} of conversations"
        found = self.peek()
        if found != opening and found not in _SHAPES:
            found = _kind(self.value())  # raises an error when the file is not JSON at all
        if found != opening:
            raise sources.broken(
                self._path,
                f"holds {_SHAPES.get(found, found)} where {self._wanted} is expected",
                "Name the format the file really has",
            )
        self.skip()

    def separator(self, closing: str) -> bool:
        """Skip a comma (returns False) or the closing bracket (returns True)."""
        found = self.peek()
        if found not in (",", closing):
            raise self.invalid(f"',' or {closing!r} is missing")
        self.skip()
        return found == closing

    def end(self) -> None:
        """Check that nothing follows the value."""
        if self.peek():
            raise sources.broken(
                self._path,
                f"has more text after the end of {self._wanted} at {self._place(self._at)}",
                f"Give a file with only {self._wanted}, or name the format the file really has",
            )

    def value(self) -> Any:
        """Return the next value and skip it."""
        self.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if self._ended or not self._maybe_cut(error):
                    raise self.invalid(error.msg, error.pos) from error
            except (ValueError, RecursionError) as error:
                raise _unreadable(self._path, self._place(self._at), error) from error
            else:
                cut = isinstance(value, (int, float)) and len(self._text) - end <= _CUT_NUMBER
                if self._ended or not cut:
                    self._at = end
                    return value
            # Doubling the window keeps the cost low: on average, text is parsed twice.
            self._read(len(self._text) - self._at)

    def invalid(self, problem: str, at: int | None = None) -> errors.InvalidImport:
        """Return the error for a position in the window (default: the current position)."""
        at = self._at if at is None else at
        if self._ended and (at >= len(self._text) or problem.startswith("Unterminated")):
            if self._bad_byte:
                return sources.not_utf8(self._path, f"byte {self._bad_byte:,}")
            size = self._before + len(self._text)
            return sources.broken(
                self._path, f"is truncated: it ends after {size:,} characters", _AGAIN
            )
        return sources.broken(self._path, f"is not JSON at {self._place(at)} ({problem})", _AGAIN)

    def _place(self, at: int) -> str:
        return f"character {self._before + at + 1:,}"

    def _maybe_cut(self, error: json.JSONDecodeError) -> bool:
        near_end = error.pos >= len(self._text) - _LONGEST_TOKEN
        return near_end or error.msg.startswith("Unterminated string")

    def _read(self, wanted: int) -> None:
        """Read at least `wanted` more characters, unless the file ends before."""
        parts = [self._text[self._at :]]
        if len(parts[0]) > sources.MAX_RECORD_BYTES:
            raise sources.too_long(self._path, f"the record at {self._place(self._at)}")
        self._before += self._at
        self._at = 0
        while wanted > 0 and not self._ended:
            chunk = next(self._chunks, b"")
            self._ended = not chunk
            try:
                part = self._decoder.decode(chunk, final=self._ended)
            except UnicodeDecodeError as error:
                # The valid text before the bad byte is still read. `error.object` begins with the
                # bytes of the previous chunk that the decoder still held.
                part = error.object[: error.start].decode("utf-8")
                self._ended = True
                if error.reason != "unexpected end of data":
                    self._bad_byte = self._bytes + len(chunk) - len(error.object) + error.start + 1
            self._bytes += len(chunk)
            wanted -= len(part)
            parts.append(part)
        self._text = "".join(parts)


def _refuse_whole_json(path: Path) -> None:
    """Refuse a file that is one JSON value over several lines, judged by its first items.

    Raises:
        InvalidImport: The file is such a value.
    """
    for shape, items in (("a list", array_items), ("an object", object_items)):
        try:
            for _ in itertools.islice(items(path), _LOOKED_AT):
                pass
        except errors.InvalidImport:
            continue
        problem = f"holds {shape} over several lines where one JSON object a line is expected"
        raise sources.broken(path, problem, _ONE_A_LINE)


def _kind(value: object) -> str:
    match value:
        case dict():
            return "an object"
        case list():
            return "a list"
        case str():
            return "a string"
        case bool() | None:
            return {True: "true", False: "false", None: "null"}[value]
        case _:
            return "a number"


def _unreadable(path: Path, place: str, error: ValueError | RecursionError) -> errors.InvalidImport:
    if isinstance(error, RecursionError):
        return sources.broken(path, f"is nested too deeply at {place}", "Flatten it")
    return sources.broken(path, f"cannot be read at {place} ({error})", _AGAIN)
