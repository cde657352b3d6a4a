"""Where backups lie: a directory, or anything else that fsspec can reach. Calls block."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from message_service import errors
from message_service.filesystems import open_filesystem

FIELD = "backup_target"
"""The setting that says where; errors name it."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_UNUSABLE = {errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP}
_PARTIAL = ".partial"


class Storage(Protocol):
    """Files by name; `/` separates folders in names. A file is there whole, or not at all."""

    def put(self, name: str, data: bytes) -> None:
        """Store a file, replacing one of this name.

        Raises:
            StorageFull: There is no room.
            InvalidInput: The place cannot be written to.
            Unavailable: It does not answer.
        """
        ...

    def get(self, name: str) -> bytes | None:
        """Return a file's bytes; None when there is none."""
        ...

    def names(self, folder: str) -> list[str]:
        """Return the names of the files and folders in a folder; empty when there is none."""
        ...

    def size(self, name: str) -> int | None:
        """Return a file's size in bytes; None when there is none."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file or a folder with all that is in it, if it is there."""
        ...

    def room(self) -> int | None:
        """Return how many bytes can be written at least; None when nobody knows."""
        ...


def open_storage(target: str) -> Storage:
    """Return the storage of a directory's path or an fsspec URL.

    Raises:
        InvalidInput: It is neither.
    """
    scheme, separator, rest = target.partition("://")
    if not target or not _is_path(target):
        problem = "names no file" if target else "is empty"
        raise errors.InvalidInput(FIELD, problem, "Give a directory or a URL such as s3://...")
    if not separator:
        return Directory(Path(target))
    if scheme == "file":
        return Directory(Path(rest))
    return RemoteStorage(target)


def _is_path(text: str) -> bool:
    try:
        return b"\x00" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


class Directory:
    """A directory of this machine. A file is on the disk when `put` returns."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, name: str, data: bytes) -> None:
        """Store a file."""
        path = self._root / name
        partial = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}{_PARTIAL}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with partial.open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                partial.replace(path)
            except BaseException:
                with suppress(OSError):
                    partial.unlink()
                raise
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise _refusal(error) from error

    def get(self, name: str) -> bytes | None:
        """Return a file's bytes."""
        try:
            return (self._root / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _refusal(error) from error

    def names(self, folder: str) -> list[str]:
        """Return what is in a folder; what was written half is left out."""
        try:
            found = sorted(each.name for each in (self._root / folder).iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _refusal(error) from error
        return [name for name in found if not name.endswith(_PARTIAL)]

    def size(self, name: str) -> int | None:
        """Return a file's size."""
        try:
            return (self._root / name).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _refusal(error) from error

    def remove(self, name: str) -> None:
        """Remove a file or folder."""
        path = self._root / name
        try:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise _refusal(error) from error

    def room(self) -> int | None:
        """Return the free space of the disk."""
        place = self._root.absolute()
        while not place.exists() and place != place.parent:
            place = place.parent
        try:
            return shutil.disk_usage(place).free
        except OSError:
            return None


class RemoteStorage:
    """A place that fsspec reaches.

    Args:
        url: For example `s3://bucket/folder`.
    """

    def __init__(self, url: str) -> None:
        self._system, root = open_filesystem(url, FIELD, "backup")
        self._root = root.rstrip("/")

    def put(self, name: str, data: bytes) -> None:
        """Store a file; object stores show it when it is complete."""
        path = self._path(name)
        self._run(self._system.makedirs, path.rpartition("/")[0], exist_ok=True)
        self._run(self._system.pipe_file, path, data)

    def get(self, name: str) -> bytes | None:
        """Return a file's bytes."""
        try:
            return self._run(self._system.cat_file, self._path(name))
        except FileNotFoundError:
            return None

    def names(self, folder: str) -> list[str]:
        """Return what is in a folder."""
        self._system.invalidate_cache()  # fsspec keeps listings, and others write too
        try:
            found: list[str] = self._run(self._system.ls, self._path(folder), detail=False)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(path.rstrip("/").rpartition("/")[2] for path in found)

    def size(self, name: str) -> int | None:
        """Return a file's size."""
        self._system.invalidate_cache()
        try:
            return self._run(self._system.size, self._path(name))
        except FileNotFoundError:
            return None

    def remove(self, name: str) -> None:
        """Remove a file or folder."""
        with suppress(FileNotFoundError):
            self._run(self._system.rm, self._path(name), recursive=True)

    def room(self) -> int | None:
        """Return None: such a place does not say."""
        return None

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}".rstrip("/")

    def _run(self, call: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return call(*arguments, **options)
        except (FileNotFoundError, NotADirectoryError):
            raise
        except OSError as error:
            raise _refusal(error) from error


def _refusal(error: OSError) -> errors.MessageServiceError:
    if error.errno in _FULL:
        return errors.StorageFull("the place of the backups has no room left")
    if isinstance(error, PermissionError) or error.errno in _UNUSABLE:
        return errors.InvalidInput(
            FIELD,
            f"cannot be used ({error.strerror or type(error).__name__})",
            "Give a place this user may read and write",
        )
    return errors.Unavailable(
        f"the place of the backups does not answer ({error.strerror or type(error).__name__})"
    )
