"""The import formats, found in the package `formats`, and the recognition of files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from message_service import errors
from message_service.catalogue.discovery import declared_in
from message_service.interchange import formats
from message_service.interchange.reading.archives import unpacked
from message_service.interchange.reading.format import Format
from message_service.interchange.reading.glimpse import Glimpse, glimpse_of
from message_service.interchange.reading.records import ImportedConversation

FORMATS: tuple[Format, ...] = declared_in(formats, Format)
"""Every import format except our own, by name."""


def guess(path: Path) -> Format | None:
    """Return the format that a file seems to have; None when it is unknown or cannot be read."""
    seen = glimpse_of(path)
    return None if seen is None else format_of(seen)


def format_of(seen: Glimpse) -> Format | None:
    """Return the format of a file that begins like this."""
    return next((known for known in FORMATS if known.sign(seen)), None)


def read_as(known: Format, paths: Sequence[Path]) -> Iterator[ImportedConversation]:
    """Yield the conversations of files that are said to have a format.

    Raises:
        InvalidImport: As the reader; when the file has another format, `fix` names that format.
    """
    with unpacked(paths, known.files) as files:
        try:
            yield from known.read(files)
        except errors.InvalidImport as error:
            path: str | None = error.details.get("path")
            other = guess(Path(path)) if path is not None else None
            if other is None or other is known:
                raise
            fix = f"It looks like {other.title}: import it as {other.name!r}"
            raise errors.InvalidImport(error.field, error.problem, fix, path=path) from error
