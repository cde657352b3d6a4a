"""The command line as a process of its own, to be signalled and killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from support.waiting import WAIT, ended, until

COMMAND = str(Path(sys.executable).parent / "message-service")


class Command:
    """A running `message-service` command; what it writes goes to files."""

    def __init__(self, process: asyncio.subprocess.Process, words: str, directory: Path) -> None:
        self.process = process
        self.words = words
        self._directory = directory

    @classmethod
    async def start(cls, uri: str, directory: Path, *words: object) -> Command:
        directory.mkdir()
        with (directory / "out").open("wb") as out, (directory / "err").open("wb") as err:
            process = await asyncio.create_subprocess_exec(
                *(COMMAND, "--uri", uri, *map(str, words)),
                env={**os.environ, "MESSAGE_SERVICE_SERVER_SELECTION_TIMEOUT": "2"},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )
        return cls(process, " ".join(map(str, words)), directory)

    @property
    def out(self) -> str:
        return (self._directory / "out").read_text()

    @property
    def err(self) -> str:
        return (self._directory / "err").read_text()

    def signal(self, number: signal.Signals) -> None:
        assert self.process.returncode is None, f"{self.words} ended by itself: {self.err}"
        self.process.send_signal(number)

    async def idle(self) -> None:
        """Wait until it does nothing but wait: for a frozen server, say."""
        await until(f"{self.words} to be idle", self._is_idle)

    async def _is_idle(self) -> bool:
        before = self._ticks()
        await asyncio.sleep(0.3)
        return self._ticks() == before

    def _ticks(self) -> str:
        # utime and stime, the 14th and 15th field; the second, the name, may hold spaces.
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return " ".join(fields[11:13])

    async def ended(self, *, seconds: float = WAIT) -> int:
        try:
            return await ended(self.process, self.words, seconds=seconds)
        except BaseException:
            self.process.kill()
            await self.process.wait()
            raise
