"""Import files as bytes and lines: find them, unpack gzip, detect damage, in bounded memory."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from message_service import errors

MAX_RECORD_BYTES = 32 * 1024 * 1024
"""Bound on one record (a line, a conversation), which bounds memory for any file."""

_SHOWN_OF_NAME = 120
_CHUNK_BYTES = 256 * 1024
_GZIP_MAGIC = b"\x1f\x8b"
_ZIP_MAGIC = b"PK\x03\x04"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_DAMAGE = (OSError, EOFError, zlib.error)


def broken(path: Path, problem: str, fix: str) -> errors.InvalidImport:
    """Return the error of a file that cannot be read; only the file's name is shown."""
    name = (path.name or str(path)).encode("utf-8", "backslashreplace").decode("utf-8")
    if len(name) > _SHOWN_OF_NAME:
        name = name[:_SHOWN_OF_NAME] + "..."
    return errors.InvalidImport("path", f"{name} {problem}", fix, path=str(path))


def expand(paths: Sequence[Path], *patterns: str) -> list[Path]:
    """Return the files that `paths` refer to.

    Args:
        paths: Files, and folders to search.
        patterns: The names of files to take from a folder, packed (`.gz`) or not; the first
            pattern that matches any file is used.

    Raises:
        InvalidImport: No path is given, a path does not exist, or a folder has no matching file.
    """
    if not paths:
        raise errors.InvalidImport("path", "no file is given", "Name the file or folder to import")
    files: list[Path] = []
    for path in paths:
        try:
            is_folder, is_there = path.is_dir(), path.exists()
        except OSError as error:  # a name that is too long, a folder that may not be entered
            raise _closed(path, error) from error
        if is_folder:
            found = matching(path, patterns)
            if not found:
                wanted = " or ".join(patterns)
                raise broken(path, f"holds no {wanted}", "Name the file itself")
            files.extend(found)
        elif is_there:
            files.append(path)
        else:
            raise broken(path, "does not exist", "Check the path")
    return files


def matching(folder: Path, patterns: Sequence[str]) -> list[Path]:
    """Return the files of a folder that match the first pattern that matches any.

    Files in the folder itself come first; only when it has none, those of the folders below it
    count.
    """
    for below in ("", "**/"):
        for pattern in patterns:
            plain = _files(folder, below + pattern)
            packed = {
                path
                for path in _files(folder, below + pattern + ".gz")
                if path.with_suffix("") not in plain
            }
            if plain or packed:
                return sorted(plain | packed)
    return []


def all_files(folder: Path, pattern: str) -> set[Path]:
    """Return the files of a folder and the folders below it, packed (`.gz`) or not."""
    return _files(folder, f"**/{pattern}") | _files(folder, f"**/{pattern}.gz")


def _files(folder: Path, pattern: str) -> set[Path]:
    return {
        path
        for path in folder.glob(pattern)
        if not path.name.startswith("._") and "__MACOSX" not in path.parts
    }


def existing(paths: Sequence[Path]) -> list[Path]:
    """Return paths that exist; a folder stays a folder.

    Raises:
        InvalidImport: No path is given, or a path does not exist.
    """
    if not paths:
        raise errors.InvalidImport("path", "no file is given", "Name the file or folder to import")
    for path in paths:
        try:
            is_there = path.exists()
        except OSError as error:
            raise _closed(path, error) from error
        if not is_there:
            raise broken(path, "does not exist", "Check the path")
    return list(paths)


def is_zip(path: Path) -> bool:
    """Whether a file is a ZIP archive; false when it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(len(_ZIP_MAGIC)) == _ZIP_MAGIC
    except (OSError, ValueError):
        return False


def chunks(path: Path) -> Iterator[bytes]:
    """Yield a file's bytes in pieces, unpacked, without a byte order mark.

    Raises:
        InvalidImport: The file is missing, empty, or damaged gzip.
    """
    first = True
    with _opened(path) as stream:
        while True:
            try:
                # `read1`, because on damage `read` would lose the good bytes before the bad ones.
                chunk = stream.read1(_CHUNK_BYTES)
            except _DAMAGE as error:
                raise _damaged(path, error) from error
            if first:
                chunk, first = chunk.removeprefix(_BYTE_ORDER_MARK), False
            if not chunk:
                return
            yield chunk


def contains(path: Path, wanted: bytes) -> bool:
    """Whether a file contains these bytes, read up to the first place; false when it is damaged."""
    before = b""
    try:
        for chunk in chunks(path):
            if wanted in before + chunk:
                return True
            before = chunk[-len(wanted) :]
    except errors.InvalidImport:
        return False
    return False


def lines(path: Path) -> Iterator[tuple[int, str]]:
    r"""Yield a file's lines, numbered from 1, without their ends (`\n` or `\r\n`).

    Control characters within a line do not split it.

    Raises:
        InvalidImport: The file is missing, empty, damaged gzip, or not UTF-8, or a line is over
            `MAX_RECORD_BYTES`.
    """
    with _opened(path) as stream:
        number = 0
        while True:
            number += 1
            try:
                line = stream.readline(MAX_RECORD_BYTES + 1)
            except _DAMAGE as error:
                raise _damaged(path, error) from error
            if not line:
                return
            if number == 1:
                line = line.removeprefix(_BYTE_ORDER_MARK)
            if len(line) > MAX_RECORD_BYTES:
                raise too_long(path, f"line {number}")
            line = line.removesuffix(b"\n").removesuffix(b"\r")
            try:
                yield number, line.decode("utf-8")
            except UnicodeDecodeError as error:
                raise not_utf8(path, f"byte {error.start + 1} of line {number}") from error


def not_utf8(path: Path, place: str) -> errors.InvalidImport:
    """Return the error of a file in another encoding."""
    return broken(path, f"is not UTF-8 at {place}", "Convert it to UTF-8, or fetch it again")


def too_long(path: Path, place: str) -> errors.InvalidImport:
    """Return the error of a record that is too large for memory."""
    limit = f"{MAX_RECORD_BYTES // 1024**2} MiB"
    return broken(path, f"has over {limit} in {place}", "Check that it is of the format you named")


@contextmanager
def _opened(path: Path) -> Generator[BufferedReader | gzip.GzipFile]:
    try:
        raw: BufferedReader = path.open("rb")
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise _closed(path, error) from error
    with raw:
        try:
            start = raw.peek(len(_ZIP_MAGIC))
        except OSError as error:
            raise _damaged(path, error) from error
        if not start:
            raise broken(path, "is empty", "Fetch or export it again")
        if start.startswith(_ZIP_MAGIC):
            raise broken(path, "is a ZIP archive in an archive", "Unpack it and name it itself")
        if start.startswith(_GZIP_MAGIC):
            with gzip.GzipFile(fileobj=raw) as unpacked:
                yield unpacked
        else:
            yield raw


def _closed(path: Path, error: OSError | ValueError) -> errors.InvalidImport:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return broken(path, f"cannot be opened ({reason})", "Check the path and its permissions")


def _damaged(path: Path, error: Exception) -> errors.InvalidImport:
    what = "ends in the middle of its gzip data" if isinstance(error, EOFError) else "is damaged"
    return broken(path, f"{what} ({error})", "Fetch or export it again")
