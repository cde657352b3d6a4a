"""Starts writer processes, kills some, and checks what they left in the database."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from message_service import MessageService
from support.waiting import ended, soon

LONGEST = 120.0
"""Seconds for a writer to get through kills and failovers."""

WRITER = Path(__file__).with_name("writer.py")


class Writer:
    """One writer process and what it has been acknowledged so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.acknowledged: list[dict[str, Any]] = []
        self._progress = asyncio.Condition()
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, uri: str, database: str, count: int, conversations: list[str]) -> Writer:
        return cls(
            await asyncio.create_subprocess_exec(
                sys.executable,
                str(WRITER),
                uri,
                database,
                str(count),
                *conversations,
                stdout=asyncio.subprocess.PIPE,
            )
        )

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            if not line.endswith(b"\n"):
                break  # cut by the kill: not acknowledged to anybody
            self.acknowledged.append(json.loads(line))
            async with self._progress:
                self._progress.notify_all()

    async def reaches(self, count: int) -> None:
        """Wait until so many messages are acknowledged."""
        await soon(f"{count} messages of a writer", self._reaches(count), seconds=LONGEST)

    async def _reaches(self, count: int) -> None:
        async with self._progress:
            await self._progress.wait_for(lambda: len(self.acknowledged) >= count)

    async def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        await self.end()

    async def end(self) -> int:
        """Wait for the process's end and read what it had said."""
        code = await ended(self.process, "a writer", seconds=LONGEST)
        await soon("what a writer said", self._reading)
        return code


async def check_everything(
    service: MessageService, conversations: list[str], acknowledged: list[dict[str, Any]]
) -> None:
    """Every acknowledged message exactly once under its number; numbers without a hole."""
    stored: dict[str, tuple[str, int, str]] = {}
    keys: Counter[str] = Counter()
    for conversation in conversations:
        proof = await service.messages.check(conversation)
        assert proof.complete, proof
        assert proof.count == proof.last
        expected = 1
        cursor: str | None = None
        while True:
            page = await service.messages.history(
                conversation, branch="*", limit=1_000, cursor=cursor, full=True
            )
            for message in page:
                assert message.sequence_number == expected
                expected += 1
                key = message.raw["client_metadata"]["client_msg_id"]
                keys[key] += 1
                stored[key] = (conversation, message.sequence_number, message.message_id)
                assert message.text == f"text of {key}"
            cursor = page.next
            if cursor is None:
                break
        assert expected == proof.last + 1
    assert all(count == 1 for count in keys.values())
    for record in acknowledged:
        assert stored[record["key"]] == (
            record["conversation"],
            record["number"],
            record["message_id"],
        ), record
