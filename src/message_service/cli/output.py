"""Handles output that cannot be written, in the same way for every command.

A command does its work even if its output cannot be written: the remaining output is discarded. A
command that runs only to produce output checks `lost` and stops early. A reader that left (a closed
pipe) is not a failure; any other failure, such as a full disk, is reported at the end with one line
on stderr and exit code 1, unless the command has a worse exit code.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from message_service import errors

_STANDARD_INPUT, _STANDARD_OUTPUT, _STANDARD_ERROR = 0, 1, 2


class OutputFailed(Exception):
    """Output could not be written, for another reason than a closed pipe.

    Attributes:
        message: One line that says so.
        exit_code: That of an error without a code of its own.
    """

    exit_code = errors.MessageServiceError.exit_code

    def __init__(self, what: str, error: OSError) -> None:
        self.message = f"cannot write {what}: {error.strerror or error}"
        super().__init__(self.message)


class _Sink(io.FileIO):
    """A file descriptor that stores its first failure and discards all writes after it."""

    failure: OSError | None = None

    def write(self, b: Any, /) -> int:
        if self.failure is None:
            try:
                return super().write(b)
            except OSError as error:
                self.failure = error
        return memoryview(b).nbytes


class Output:
    """Output to a file descriptor; writing never raises, `check` reports failures.

    Args:
        descriptor: An open file descriptor.
        what: Its name in errors.
        encoding: The encoding; characters it cannot express are escaped.
        line_buffering: Whether each line is written at once.
        owned: Whether `close` closes the descriptor too.
    """

    def __init__(
        self,
        descriptor: int,
        what: str,
        *,
        encoding: str = "utf-8",
        line_buffering: bool = False,
        owned: bool = False,
    ) -> None:
        self._what = what
        self._sink = _Sink(descriptor, "wb", closefd=owned)
        self.text: TextIO = io.TextIOWrapper(
            io.BufferedWriter(self._sink),
            encoding=encoding,
            errors="backslashreplace",
            newline="\n",
            line_buffering=line_buffering,
        )

    @property
    def lost(self) -> bool:
        """Whether writes are discarded."""
        return self._sink.failure is not None

    def write(self, text: str | bytes) -> None:
        """Write text or bytes, or discard them."""
        if isinstance(text, bytes):
            self.text.flush()
            self.text.buffer.write(text)
        else:
            self.text.write(text)

    def sync(self) -> None:
        """Flush written text to the disk."""
        self.text.flush()
        if self._sink.failure is None:
            try:
                os.fsync(self._sink.fileno())
            except OSError as error:
                self._sink.failure = error

    def close(self) -> None:
        """Write the buffered text, and close."""
        self.text.close()

    def check(self) -> None:
        """Write the buffered text, unless closed, and report a failure.

        Raises:
            OutputFailed: Text could not be written, for another reason than a closed pipe.
        """
        if not self.text.closed:
            self.text.flush()
        failure = self._sink.failure
        if failure is not None and failure.errno != errno.EPIPE:
            raise OutputFailed(self._what, failure)


_standard: Output | None = None


def take_over() -> Output:
    """Replace standard output and error by outputs of this module; return standard output."""
    global _standard
    for descriptor in (_STANDARD_INPUT, _STANDARD_OUTPUT, _STANDARD_ERROR):
        try:
            os.fstat(descriptor)
        except OSError:
            # Closed by the parent process: a socket or file of ours must not get its number.
            os.open(os.devnull, os.O_RDWR)
    if sys.stdin is None:  # pyright: ignore[reportUnnecessaryComparison]
        sys.stdin = open(_STANDARD_INPUT, encoding="utf-8", closefd=False)  # noqa: SIM115
    terminal = os.isatty(_STANDARD_OUTPUT)
    _standard = Output(
        _STANDARD_OUTPUT, "the output", encoding=_encoding(sys.stdout), line_buffering=terminal
    )
    sys.stdout = _standard.text
    sys.stderr = Output(
        _STANDARD_ERROR, "errors", encoding=_encoding(sys.stderr), line_buffering=True
    ).text
    return _standard


def _encoding(stream: TextIO | None) -> str:
    return "utf-8" if stream is None else stream.encoding


def lost() -> bool:
    """Whether standard output is discarded, so that producing more is useless."""
    return _standard is not None and _standard.lost


@contextmanager
def report_to(path: Path | None, option: str) -> Generator[Output | None]:
    """Open a file for report lines; the work goes on when they cannot be written.

    Args:
        path: The file; None for none.
        option: The option that named it.

    Raises:
        InvalidInput: The file cannot be opened.
        OutputFailed: The work is done, but not all lines could be written.
    """
    if path is None:
        yield None
        return
    output = Output(open_refusing(path, option, os.O_CREAT | os.O_TRUNC), f"{path}", owned=True)
    try:
        yield output
    finally:
        output.close()
    output.check()


def open_refusing(path: Path, field: str, flags: int) -> int:
    """Open a file to write.

    Raises:
        InvalidInput: The file cannot be opened; the error names `field`.
    """
    try:
        return os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY | flags, 0o666)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise refused(field, error) from None


def refused(field: str, error: OSError | ValueError) -> errors.InvalidInput:
    """Return the error of a file that cannot be written to at all."""
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return errors.InvalidInput(field, f"cannot be written ({reason})", "Choose another file")
