"""ZIP archives as services deliver them: unpacked into a temporary folder while they are read.

Only members that a reader may want are unpacked, never the images and recordings of an export.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Generator, Iterable, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath

from message_service import errors
from message_service.interchange.reading import sources

MAX_MEMBERS = 200_000
"""Most members of an archive."""

MAX_UNPACKED_BYTES = 32 * 1024**3
"""Most bytes that are unpacked from one archive."""

MAX_RATIO = 200
"""How many times larger than packed a large member may be; JSON packs to a tenth to a fiftieth."""

_LARGE = 256 * 1024**2
_CHUNK = 1024**2
_ENCRYPTED = 0x1
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError)
"""Errors of damaged archives; an unknown way of packing is a kind of `RuntimeError`."""
_READABLE = frozenset({".json", ".jsonl", ".ndjson", ".txt", ".gz"})
_CARDS = frozenset({".png", ".charx"})


@contextmanager
def unpacked(paths: Sequence[Path], patterns: Sequence[str]) -> Generator[list[Path]]:
    """Yield the paths with a folder in the place of every ZIP archive.

    A folder that has no file of these patterns but archives stands for its archives.

    Args:
        paths: Files, folders and archives.
        patterns: The names of the files that are wanted. Pictures are unpacked only when they are
            named first, or when the archive holds nothing else.

    Raises:
        InvalidImport: An archive is damaged, encrypted, too large, or has a member that would be
            unpacked outside of its folder. Nothing is left behind.
    """
    named = any(pattern.endswith(tuple(_CARDS)) for pattern in patterns[:1])
    wanted = (_READABLE | _CARDS,) if named else (_READABLE, _CARDS)
    with ExitStack() as stack:
        found: list[Path] = []
        for path in _with_archives(paths, patterns):
            if not sources.is_zip(path):
                found.append(path)
                continue
            outer = stack.enter_context(tempfile.TemporaryDirectory(prefix="import-"))
            folder = Path(outer) / path.name  # errors show the name of the archive
            folder.mkdir()
            _unpack(path, folder, wanted)
            found.append(folder)
        yield found


def _with_archives(paths: Sequence[Path], patterns: Sequence[str]) -> Iterable[Path]:
    for path in paths:
        try:
            archives = sorted(path.glob("*.zip")) if path.is_dir() else []
        except (OSError, ValueError):  # a name that no file can have; the reader says so
            archives = []
        if archives and not sources.matching(path, patterns):
            yield from archives
        else:
            yield path


def _unpack(path: Path, folder: Path, wanted: Sequence[frozenset[str]]) -> None:
    """Unpack the members with the first of these sets of suffixes that any member has."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) > MAX_MEMBERS:
                raise sources.broken(
                    path, f"has {len(members):,} members", f"Use at most {MAX_MEMBERS:,}"
                )
            room = MAX_UNPACKED_BYTES
            for member in members:
                _check_name(path, member.filename)
            chosen = (
                [member for member in members if _is_wanted(member, suffixes)]
                for suffixes in wanted
            )
            for member in next(filter(None, chosen), ()):
                room = _extract(path, archive, member, folder, room)
    except _DAMAGE as error:
        raise sources.broken(
            path, f"is a damaged ZIP archive ({error})", "Fetch it again"
        ) from error


def _check_name(path: Path, name: str) -> None:
    inner = PurePosixPath(name.replace("\\", "/"))
    if inner.is_absolute() or ".." in inner.parts or (inner.parts and ":" in inner.parts[0]):
        raise sources.broken(
            path,
            f"has a member that leaves the archive: {name[:80]!r}",
            "Do not trust this archive; export it again",
        )


def _is_wanted(member: zipfile.ZipInfo, wanted: frozenset[str]) -> bool:
    inner = PurePosixPath(member.filename)
    return (
        not member.is_dir()
        and inner.suffix.lower() in wanted
        and "__MACOSX" not in inner.parts
        and not inner.name.startswith("._")
    )


def _extract(
    path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path, room: int
) -> int:
    """Unpack a member; return how many more bytes may be unpacked."""
    name = member.filename[:80]
    if member.flag_bits & _ENCRYPTED:
        raise sources.broken(path, f"is encrypted ({name!r})", "Unpack it with its password")
    target = folder.joinpath(*PurePosixPath(member.filename.replace("\\", "/")).parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    most = max(_LARGE, member.compress_size * MAX_RATIO)
    written = 0
    with archive.open(member) as packed, target.open("wb") as plain:
        # The sizes in the archive are not trusted: what is unpacked is counted.
        while chunk := packed.read(_CHUNK):
            written += len(chunk)
            if written > room or written > most:
                raise sources.broken(
                    path,
                    f"unpacks to far more than its size ({name!r} has over {written:,} bytes)",
                    "Do not trust this archive, or unpack it and name the files in it",
                )
            if shutil.disk_usage(folder).free < 2 * _CHUNK:
                raise errors.InvalidImport(
                    "path", f"{path.name} does not fit on the disk", "Free space, or set TMPDIR"
                )
            plain.write(chunk)
    return room - written
