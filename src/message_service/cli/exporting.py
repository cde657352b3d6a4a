"""Writes an export: to a file that appears only when it is complete, or directly to a device."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
from collections.abc import AsyncIterator
from pathlib import Path

from message_service import errors
from message_service.cli.output import Output, OutputFailed, open_refusing, refused
from message_service.cli.running import removed_on_leaving
from message_service.stopping import StopSignal

_FIELD = "output"
_READER_POLL = 0.05
_MOST_LINKS = 40
Pieces = AsyncIterator[str] | AsyncIterator[bytes]
_DESCRIPTORS = re.compile(r"/proc/(?:self|[0-9]+)(?:/task/[0-9]+)?/fd")


async def write_lines(lines: Pieces, output: Path, stop: StopSignal) -> int | None:
    """Write the lines of an export, or the bytes of a file.

    A regular file is replaced only by a complete one; for a link, the file it points to is
    replaced. Anything else (a FIFO, a device, /dev/stdout) is written to directly.

    Args:
        lines: The lines, or blocks of bytes.
        output: The path to write to; `-` is standard output.
        stop: Asks to stop.

    Returns:
        How many of them were written, 0 when the reader left; None when stopped before the last.

    Raises:
        InvalidInput: `output` is a directory, or cannot be opened.
        OutputFailed: Not all could be written.
    """
    if str(output) == "-":
        return await _write_through(lines, os.dup(1), "the output", stop)
    found = _look(output)
    own = _own_descriptor(output)
    if found is None or (stat.S_ISREG(found.st_mode) and own is None):
        return await _replace(lines, output, found, stop)
    descriptor = await _open_through(output, own, found, stop)
    if descriptor is None:
        return None
    return await _write_through(lines, descriptor, str(output), stop)


async def _write_through(lines: Pieces, descriptor: int, what: str, stop: StopSignal) -> int | None:
    output = Output(descriptor, what, owned=True)
    try:
        written = await _pass_on(lines, output, stop)
    finally:
        output.close()
    output.check()
    return 0 if output.lost else written


def _look(output: Path) -> os.stat_result | None:
    try:
        found = output.stat()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise refused(_FIELD, error) from None
    if stat.S_ISDIR(found.st_mode):
        raise errors.InvalidInput(_FIELD, f"{str(output)!r} is a directory", "Name a file in it")
    return found


async def _pass_on(lines: Pieces, output: Output, stop: StopSignal) -> int | None:
    count = 0
    async for line in lines:
        if stop.requested:
            return None
        if output.lost:
            break
        output.write(line)
        count += 1
    return count


async def _replace(
    lines: Pieces, output: Path, found: os.stat_result | None, stop: StopSignal
) -> int | None:
    target = _target(output)
    partial = target.with_name(target.name + ".partial")
    descriptor = _open_partial(partial)
    with removed_on_leaving(partial):
        file = Output(descriptor, str(target), owned=True)
        try:
            if found is not None:
                os.fchmod(descriptor, stat.S_IMODE(found.st_mode))
            written = await _pass_on(lines, file, stop)
            file.sync()
            file.check()
            if written is not None:
                partial.replace(target)
        except OSError as error:
            raise OutputFailed(str(target), error) from None
        finally:
            # Before closing: closing ends the lock, and another export may then use the name.
            if _is(partial, descriptor):
                partial.unlink()
            file.close()
    return written


def _target(output: Path) -> Path:
    """Follow links: the file they point to is replaced, whether or not it exists."""
    return Path(os.path.realpath(output))


def _open_partial(partial: Path) -> int:
    """Open the unfinished file, one export at a time; overwrite one left by a killed export."""
    descriptor = open_refusing(partial, _FIELD, os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EEXIST, f"{partial} is in the way")
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _is(partial, descriptor):
            raise BlockingIOError(errno.EAGAIN, "finished just now")
        os.ftruncate(descriptor, 0)
    except BlockingIOError:
        os.close(descriptor)
        raise errors.InvalidInput(
            _FIELD, "is being written by another export", "Wait for that, or choose another file"
        ) from None
    except OSError as error:
        os.close(descriptor)
        raise refused(_FIELD, error) from None
    return descriptor


def _is(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


async def _open_through(
    output: Path, own: int | None, found: os.stat_result, stop: StopSignal
) -> int | None:
    """Open a FIFO (once it has a reader) or a device; None when stopped before that."""
    if own is not None:
        try:
            return os.dup(own)  # opening a file again would truncate it
        except OSError as error:
            raise refused(_FIELD, error) from None
    while not stop.requested:
        try:
            descriptor = os.open(output, os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO or not stat.S_ISFIFO(found.st_mode):
                raise refused(_FIELD, error) from None
            await stop.pause(_READER_POLL)
        else:
            os.set_blocking(descriptor, True)
            return descriptor
    return None


def _own_descriptor(path: Path) -> int | None:
    """Return the descriptor of this process that a path like /dev/stdout names."""
    try:
        for _ in range(_MOST_LINKS):
            parent = path.parent.resolve()
            if _DESCRIPTORS.fullmatch(str(parent)) and path.name.isdecimal():
                return int(path.name) if str(os.getpid()) in parent.parts else None
            if not path.is_symlink():
                return None
            path = parent / path.readlink()
    except (OSError, RuntimeError):
        return None
    return None
