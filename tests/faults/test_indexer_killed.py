"""Indexers are killed and frozen, and mongod is killed, while messages are written and changed."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from message_service import MessageService, errors
from message_service.database.local_server import LocalServerManager
from support.fleet import Writer

pytestmark = pytest.mark.faults

USER = "user_000000000001"
WRITERS = 3
COUNT = 600
COMMAND = str(Path(sys.executable).parent / "message-service")


async def indexer(uri: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        COMMAND, "--uri", uri, "search", "index", stderr=asyncio.subprocess.DEVNULL
    )


async def has_indexed(service: MessageService, more_than: int) -> int:
    """Wait until the index holds more entries than that."""
    async with asyncio.timeout(120):
        while True:
            try:
                held = (await service.search_index.status()).entries
            except errors.Unavailable:
                held = 0
            if held > more_than:
                return held
            await asyncio.sleep(0.05)


async def held_by_another(service: MessageService, than: str | None) -> str:
    """Wait until an indexer other than this one holds the lease; return which."""
    async with asyncio.timeout(60):
        while True:
            holder = (await service.search_index.status()).indexer
            if holder is not None and holder != than:
                return holder
            await asyncio.sleep(0.05)


async def test_nothing_is_missed_and_nothing_deleted_comes_back(tmp_path: Path) -> None:
    manager = LocalServerManager(tmp_path / "s", None)
    server = await manager.start()
    indexers: list[asyncio.subprocess.Process] = []
    try:
        async with await MessageService.connect(server.uri, min_pool_size=0) as service:
            ids = [(await service.conversations.create(USER)).conversation_id for _ in range(3)]
            writers = [
                await Writer.start(server.uri, "message_service", COUNT, ids)
                for _ in range(WRITERS)
            ]
            indexers = [await indexer(server.uri) for _ in range(2)]
            held = await has_indexed(service, 0)
            async with asyncio.timeout(60):
                await asyncio.gather(*(writer.reaches(100) for writer in writers))
            os.kill(server.pid, signal.SIGKILL)
            server = await manager.start()
            held = await has_indexed(service, held)
            # The one at work is killed, the other takes over; then that one is frozen.
            frozen: asyncio.subprocess.Process | None = None
            holder: str | None = None
            for number in range(2):
                holder = await held_by_another(service, holder)
                [working] = [p for p in indexers if f":{p.pid}:" in holder]
                if number == 0:
                    working.kill()
                    await working.wait()
                    indexers.remove(working)
                else:
                    working.send_signal(signal.SIGSTOP)
                    frozen = working
                indexers.append(await indexer(server.uri))
            await held_by_another(service, holder)
            async with asyncio.timeout(150):
                assert [await writer.end() for writer in writers] == [0] * WRITERS
            deleted: list[tuple[str, str]] = []
            for conversation in ids:
                page = await service.messages.history(conversation, limit=200)
                for message in page.items[::5]:
                    await service.messages.delete(conversation, message.message_id)
                    deleted.append((conversation, message.message_id))
                for message in page.items[1::5]:
                    await service.messages.edit(conversation, message.message_id, "edited words")
            # The frozen one goes on with what it had read long ago.
            assert frozen is not None
            frozen.send_signal(signal.SIGCONT)
            async with asyncio.timeout(120):
                while True:
                    if (await service.search.freshness()).complete:
                        break
                    await asyncio.sleep(0.05)
            for process in indexers:
                process.terminate()
            for process in indexers:
                await process.wait()
            await service.search_index.drain()
            found = await service.search_index.check()
            assert found.clean, found
            assert found.messages == WRITERS * COUNT
            assert found.entries == WRITERS * COUNT - len(deleted)
            for conversation in ids:
                page = await service.search.find("edited", conversation_id=conversation, limit=100)
                assert len(page) == 40
                fresh = await service.search.freshness(conversation)
                assert fresh.complete_to == COUNT * WRITERS // 3
    finally:
        for process in indexers:
            if process.returncode is None:
                process.kill()
                await process.wait()
        await manager.stop()
