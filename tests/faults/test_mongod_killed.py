"""mongod is killed with SIGKILL under its writers, and started again."""

import asyncio

import pytest

from message_service import MessageService
from support.fleet import Writer, check_everything
from support.servers import OwnServer

pytestmark = pytest.mark.faults

USER = "user_000000000001"
WRITERS = 6
COUNT = 150
KILLS = 2


async def test_nothing_acknowledged_is_lost(own: OwnServer) -> None:
    async with await MessageService.connect(own.uri, min_pool_size=0) as service:
        ids = [(await service.conversations.create(USER)).conversation_id for _ in range(3)]
        writers = [
            await Writer.start(own.uri, "message_service", COUNT, ids) for _ in range(WRITERS)
        ]
        for kill in range(KILLS):
            await asyncio.gather(*(w.reaches((kill + 1) * 30) for w in writers))
            own.kill()
            await own.start()
        codes = await asyncio.gather(*(writer.end() for writer in writers))
        assert codes == [0] * WRITERS
        acknowledged = [record for writer in writers for record in writer.acknowledged]
        assert len(acknowledged) == WRITERS * COUNT
        await check_everything(service, ids, acknowledged)
        counts = [(await service.messages.check(one)).count for one in ids]
        assert sum(counts) == WRITERS * COUNT
