"""The local server's directory: its files, the state of the last start, and the lock."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from message_service import errors

_LITTLE_SPACE = 512 * 1024 * 1024
_POLL = 0.05


@dataclass(frozen=True, slots=True)
class Layout:
    """The files in the local server's directory."""

    directory: Path

    @property
    def data(self) -> Path:
        """The database files."""
        return self.directory / "data"

    @property
    def log(self) -> Path:
        """The server's log; the previous log is `mongod.log.1`."""
        return self.directory / "mongod.log"

    @property
    def state(self) -> Path:
        """The facts of the last start (JSON), for people to read and to reuse the port."""
        return self.directory / "server.json"

    @property
    def lock(self) -> Path:
        """The lock file, locked while a command starts or stops the server."""
        return self.directory / "lock"

    def create(self) -> None:
        """Create the directories; only the user may enter the data directory."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.data.mkdir(mode=0o700, exist_ok=True)
        self.data.chmod(0o700)

    def remember(self, facts: dict[str, Any]) -> None:
        """Write the state file atomically. `facts` must contain the port."""
        new = self.state.with_suffix(".new")
        new.write_text(json.dumps(facts, indent=2) + "\n")
        new.replace(self.state)

    def last_port(self) -> int | None:
        """Return the port in the state file; None when that file is missing or damaged."""
        try:
            port: object = json.loads(self.state.read_bytes())["port"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return port if isinstance(port, int) and 0 < port < 65536 else None

    def space_note(self) -> str:
        """Return a remark for an error message when the disk is nearly full, otherwise ""."""
        free = shutil.disk_usage(self.directory).free
        return f" (only {free // 1024**2} MB are free there)" if free < _LITTLE_SPACE else ""

    @asynccontextmanager
    async def alone(self, deadline: float) -> AsyncGenerator[None]:
        """Hold the directory's lock; the kernel releases it when the holding process dies.

        Args:
            deadline: Until when to wait for the lock, on the monotonic clock.

        Raises:
            LocalServerError: Another command held the lock until the deadline.
            OSError: The lock file cannot be written.
        """
        import fcntl  # here, because Windows lacks it and must still be able to import this module

        descriptor = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise errors.LocalServerError(
                            "another command is still starting or stopping the local server in "
                            f"{self.directory}"
                        ) from None
                await asyncio.sleep(_POLL)
            yield
        finally:
            os.close(descriptor)
