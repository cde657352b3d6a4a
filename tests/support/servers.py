"""A MongoDB of a test's own, to be killed, frozen and brought back."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from message_service.local_server.binary import find_mongod
from message_service.local_server.manager import LocalServer, LocalServerManager
from support.waiting import until


async def mongod_that_fails_to_order(directory: Path) -> Path:
    """Return a mongod that knows the `failCommand` fail point."""
    found = await find_mongod(None)
    script = directory / "mongod"
    script.write_text(f'#!/bin/sh\nexec "{found.path}" --setParameter enableTestCommands=1 "$@"\n')
    script.chmod(0o755)
    return script


class OwnServer:
    """A local server in a directory of its own, and what can befall it."""

    def __init__(self, directory: Path, mongod: Path | None = None) -> None:
        self.manager = LocalServerManager(directory, mongod)
        self.server: LocalServer | None = None

    @property
    def uri(self) -> str:
        assert self.server is not None
        return self.server.uri

    async def start(self) -> None:
        self.server = await self.manager.start()

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    async def fail_over(self) -> None:
        """Kill it, and bring it back at its address."""
        before = self.uri
        self.kill()
        await self.start()
        assert self.uri == before

    async def freeze(self) -> None:
        """It keeps its connections and answers nothing from here on.

        On a busy machine its threads go on for some 40 ms after the signal, and write.
        """
        self._signal(signal.SIGSTOP)
        await until("mongod to be frozen", self._is_frozen, every=0.001)

    def _is_frozen(self) -> bool:
        assert self.server is not None
        return all(
            # The second field, the name, may hold spaces.
            path.read_text().rpartition(")")[2].split()[0] == "T"
            for path in Path(f"/proc/{self.server.pid}/task").glob("*/stat")
        )

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self.server is not None
        os.kill(self.server.pid, number)

    async def stop(self) -> None:
        """End it, whatever state it is in; nobody needs the data."""
        if self.server is not None:
            for number in (signal.SIGCONT, signal.SIGKILL):
                try:
                    self._signal(number)
                except ProcessLookupError:
                    return
