"""Indexers are killed and frozen, and mongod is killed, while messages are written and changed."""

import asyncio
import signal
from pathlib import Path

import pytest

from message_service import MessageService, errors
from support.commands import Command
from support.fleet import LONGEST, Writer
from support.servers import OwnServer
from support.waiting import until

pytestmark = pytest.mark.faults

USER = "user_000000000001"
WRITERS = 3
COUNT = 600


class Indexers:
    """Indexer processes, and which of them holds the lease."""

    def __init__(self, own: OwnServer, service: MessageService, directory: Path) -> None:
        self.own = own
        self.service = service
        self.directory = directory
        self.running: list[Command] = []
        self._count = 0

    async def start(self) -> None:
        self._count += 1
        self.running.append(
            await Command.start(
                self.own.uri, self.directory / f"indexer{self._count}", "search", "index"
            )
        )

    async def indexed(self, more_than: int) -> int:
        """Wait until the index holds more entries than that; return how many."""

        async def entries() -> int | None:
            try:
                held = (await self.service.search_index.status()).entries
            except errors.Unavailable:
                return None
            return held if held > more_than else None

        return await until(f"more than {more_than} entries", entries, seconds=LONGEST)

    async def working(self, other_than: Command | None) -> Command:
        """Wait until another indexer than this one holds the lease; return it."""

        async def holder() -> Command | None:
            name = (await self.service.search_index.status()).indexer or ""
            for one in self.running:
                if f":{one.process.pid}:" in name and one is not other_than:
                    return one
            return None

        return await until("another indexer to take over", holder, seconds=LONGEST)

    async def complete(self) -> bool:
        return (await self.service.search.freshness()).complete


async def test_nothing_is_missed_and_nothing_deleted_comes_back(
    own: OwnServer, tmp_path: Path
) -> None:
    async with await MessageService.connect(own.uri, min_pool_size=0) as service:
        ids = [(await service.conversations.create(USER)).conversation_id for _ in range(3)]
        writers = [
            await Writer.start(own.uri, "message_service", COUNT, ids) for _ in range(WRITERS)
        ]
        indexers = Indexers(own, service, tmp_path)
        for _ in range(2):
            await indexers.start()
        held = await indexers.indexed(0)
        await asyncio.gather(*(writer.reaches(100) for writer in writers))
        own.kill()
        await own.start()
        await indexers.indexed(held)
        # The one at work is killed, the other takes over; then that one is frozen.
        killed = await indexers.working(None)
        killed.signal(signal.SIGKILL)
        await killed.ended()
        await indexers.start()
        frozen = await indexers.working(killed)
        frozen.signal(signal.SIGSTOP)
        await indexers.start()
        await indexers.working(frozen)
        assert [await writer.end() for writer in writers] == [0] * WRITERS
        deleted = await change_some(service, ids)
        # The frozen one goes on with what it had read long ago.
        frozen.signal(signal.SIGCONT)
        await until("everything to be indexed", indexers.complete, seconds=LONGEST)
        indexers.running.remove(killed)
        for command in indexers.running:
            command.signal(signal.SIGTERM)
        assert [await command.ended() for command in indexers.running] == [0, 0, 0]
        await service.search_index.drain()
        found = await service.search_index.check()
        assert found.clean, found
        assert found.messages == WRITERS * COUNT
        assert found.entries == WRITERS * COUNT - deleted
        for conversation in ids:
            page = await service.search.find("edited", conversation_id=conversation, limit=100)
            assert len(page) == 40
            fresh = await service.search.freshness(conversation)
            assert fresh.complete_to == COUNT * WRITERS // 3


async def change_some(service: MessageService, ids: list[str]) -> int:
    """Delete every fifth of the first 200 messages of each conversation, and edit its neighbour."""
    deleted = 0
    for conversation in ids:
        page = await service.messages.history(conversation, limit=200)
        for message in page.items[::5]:
            await service.messages.delete(conversation, message.message_id)
            deleted += 1
        for message in page.items[1::5]:
            await service.messages.edit(conversation, message.message_id, "edited words")
    return deleted
