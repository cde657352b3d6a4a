"""Files that users hand in: read as a whole, within bounds."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from message_service import errors


def path_of(field: str, file: Path | str) -> Path:
    """Return a file's path.

    Raises:
        InvalidInput: It is none.
    """
    if not isinstance(file, (str, Path)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise errors.InvalidInput(field, "is not a path", "Give a str or Path")
    return Path(file)


def text_of(path: Path, most_bytes: int) -> str:
    """Return the text of a file.

    Raises:
        InvalidInput: It cannot be read, is too large, or is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            read = file.read(most_bytes + 1)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise errors.InvalidInput("file", f"cannot be read ({reason})", "Name a file") from None
    if len(read) > most_bytes:
        raise errors.InvalidInput("file", "is too large", f"Use at most {most_bytes:,} bytes")
    try:
        return read.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise errors.InvalidInput("file", "is not UTF-8", "Save it as UTF-8") from None


def csv_lines(text: str) -> list[tuple[str, Mapping[str, str]]]:
    """Return the lines of a file with names in its first line, each with its place for errors.

    Commas or tabs separate the values; empty ones are left out.

    Raises:
        InvalidInput: It is no such file.
    """
    delimiter = "\t" if "\t" in text.partition("\n")[0] else ","
    reader = csv.DictReader(
        io.StringIO(text, newline=""), restkey="more values than names", delimiter=delimiter
    )
    try:
        return [
            (
                f"line {reader.line_num}",
                {
                    (name or "").strip(): value
                    for name, value in values.items()
                    if value is not None and value != ""
                },
            )
            for values in reader
        ]
    except csv.Error as error:
        raise errors.InvalidInput("file", f"is not CSV ({error})", "Correct it") from None
