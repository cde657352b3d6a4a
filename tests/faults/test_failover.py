"""The primary of a three-node replica set is killed with SIGKILL under its writers."""

import asyncio

import pytest

from message_service import MessageService
from support.fleet import Writer, check_everything
from support.replica_sets import ReplicaSet

pytestmark = pytest.mark.faults

USER = "user_000000000001"
WRITERS = 4
COUNT = 120


async def test_nothing_acknowledged_is_lost_in_a_failover(three: ReplicaSet) -> None:
    async with await MessageService.connect(
        three.uri, min_pool_size=0, server_selection_timeout=30
    ) as service:
        ids = [(await service.conversations.create(USER)).conversation_id for _ in range(2)]
        writers = [
            await Writer.start(three.uri, "message_service", COUNT, ids) for _ in range(WRITERS)
        ]
        await asyncio.gather(*(writer.reaches(COUNT // 3) for writer in writers))
        victim = await three.primary()
        await three.kill(victim)
        codes = await asyncio.gather(*(writer.end() for writer in writers))
        assert await three.primary() != victim
        assert codes == [0] * WRITERS
        acknowledged = [record for writer in writers for record in writer.acknowledged]
        assert len(acknowledged) == WRITERS * COUNT
        await check_everything(service, ids, acknowledged)
