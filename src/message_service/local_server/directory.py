"""The local server's directory: what lies where, what was run last, and whose turn it is."""

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
    """What lies where in the local server's directory."""

    directory: Path

    @property
    def data(self) -> Path:
        """The database files."""
        return self.directory / "data"

    @property
    def log(self) -> Path:
        """The server's log; the one before is `mongod.log.1`."""
        return self.directory / "mongod.log"

    @property
    def state(self) -> Path:
        """What was started last (JSON), for people and to keep the port."""
        return self.directory / "server.json"

    @property
    def lock(self) -> Path:
        """Held while a command starts or stops the server."""
        return self.directory / "lock"

    def create(self) -> None:
        """Make the directories; only the user may enter the data."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.data.mkdir(mode=0o700, exist_ok=True)
        self.data.chmod(0o700)

    def remember(self, facts: dict[str, Any]) -> None:
        """Write the state file, whole or not at all. `facts` holds the port."""
        new = self.state.with_suffix(".new")
        new.write_text(json.dumps(facts, indent=2) + "\n")
        new.replace(self.state)

    def last_port(self) -> int | None:
        """Return the port in the state file; None when there is no such file, or a broken one."""
        try:
            port: object = json.loads(self.state.read_bytes())["port"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return port if isinstance(port, int) and 0 < port < 65536 else None

    def space_note(self) -> str:
        """Return a remark for an error when the disk is nearly full, else nothing."""
        free = shutil.disk_usage(self.directory).free
        return f" (only {free // 1024**2} MB are free there)" if free < _LITTLE_SPACE else ""

    @asynccontextmanager
    async def alone(self, deadline: float) -> AsyncGenerator[None]:
        """Hold the directory's lock; the kernel frees it when its holder dies.

        Args:
            deadline: How long to wait for it, on the monotonic clock.

        Raises:
            LocalServerError: Another command held it all the time.
            OSError: The lock file cannot be written.
        """
        import fcntl  # not on Windows, where this module must still import

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
