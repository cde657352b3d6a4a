"""Recognises the formats of files, archives and folders, and says what it sees when it refuses."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from message_service import errors
from message_service.interchange import jsonl
from message_service.interchange.known_formats import FORMATS, format_of
from message_service.interchange.reading import sources
from message_service.interchange.reading.archives import unpacked
from message_service.interchange.reading.glimpse import Glimpse, glimpse_of

_TEXTS = ("*.json", "*.jsonl", "*.ndjson", "*.txt")
_PICTURES = ("*.png",)
"""Looked at only where there are no texts that are known: exports hold thousands of pictures."""

_NAMES_SHOWN = 6


@dataclass(frozen=True, slots=True)
class Recognised:
    """Files of one format.

    Attributes:
        name: The format's name.
        title: The format's name for people.
        paths: The files, or the folder that holds them.
        others: Names of other files in the folder, which are not read.
    """

    name: str
    title: str
    paths: list[Path]
    others: Sequence[str] = ()

    def __str__(self) -> str:
        """Return what the files were taken for, and what was left out."""
        if not self.others:
            return f"{self.name}: {self.title}"
        shown = ", ".join(self.others[:_NAMES_SHOWN])
        more = ", ..." if len(self.others) > _NAMES_SHOWN else ""
        return f"{self.name}: {self.title} (other files, not read: {shown}{more})"


@contextmanager
def recognised_files(paths: Sequence[Path]) -> Generator[list[Recognised]]:
    """Yield what the paths are, archives unpacked.

    Raises:
        InvalidImport: A path has no format that is known, or a folder has files of several formats;
            the error says what is there.
    """
    with unpacked(paths, _TEXTS) as files:
        yield [_recognised(path) for path in sources.existing(files)]


def _recognised(path: Path) -> Recognised:
    if not path.is_dir():
        known = _format(path)
        if known is None:
            raise _unknown(path, _described(glimpse_of(path)))
        return Recognised(*known, [path])
    found = _formats(_files(path, _TEXTS)) or _formats(_files(path, _PICTURES))
    if not found:
        files = _files(path, (*_TEXTS, *_PICTURES))
        names = ", ".join(file.name for file in files[:_NAMES_SHOWN]) or "no such file"
        raise _unknown(path, f"a folder with {names}")
    if len(found) > 1:
        said = " and ".join(f"{title} ({files[0].name})" for (_, title), files in found.items())
        raise sources.broken(
            path, f"holds files of several formats: {said}", "Import each by its name"
        )
    [((name, title), files)] = found.items()
    patterns = next((known.files for known in FORMATS if known.name == name), ())
    own = [pattern for pattern in patterns if not pattern.startswith("*.")]
    ours = sources.matching(path, own)
    read = {file.name for file in (*files, *ours)}
    others = sorted({file.name for file in _files(path, _TEXTS)} - read)
    # A file with the name of the format is read even when it is damaged beyond recognition.
    return Recognised(name, title, [path] if ours else files, others)


def _format(path: Path) -> tuple[str, str] | None:
    """Return name and title of a file's format."""
    seen = glimpse_of(path)
    if seen is None:
        return None
    if jsonl.SIGN.search(seen.start[:200]):
        return jsonl.NAME, jsonl.TITLE
    known = format_of(seen)
    return None if known is None else (known.name, known.title)


def _formats(files: Sequence[Path]) -> dict[tuple[str, str], list[Path]]:
    """Return the files whose format is known, by name and title of the format."""
    found: dict[tuple[str, str], list[Path]] = {}
    for file in files:
        known = _format(file)
        if known is not None:
            found.setdefault(known, []).append(file)
    return found


def _files(folder: Path, patterns: Sequence[str]) -> list[Path]:
    return sorted({file for pattern in patterns for file in sources.all_files(folder, pattern)})


def _unknown(path: Path, what: str) -> errors.InvalidImport:
    names = ", ".join([jsonl.NAME, *(known.name for known in FORMATS)])
    problem = f"has no format that is known: it is {what}"
    return sources.broken(path, problem, f"Name its format, one of: {names}")


def _described(seen: Glimpse | None) -> str:
    if seen is None:
        return "empty or cannot be read"
    shape = {"[": "a JSON list", "{": "JSON objects"}.get(seen.opening)
    if shape is None:
        return "text that is not JSON" if b"\0" not in seen.start else "binary data"
    if seen.first is None:
        return shape
    names = ", ".join(repr(name[:40]) for name in list(seen.first)[:_NAMES_SHOWN])
    return f"{shape}, the first with the names {names}" if names else f"{shape}, the first empty"
