"""Sixteen processes write one conversation and many, and some are killed with SIGKILL."""

import asyncio
import random

import pytest

from message_service import MessageService
from support.fleet import Writer, check_everything

pytestmark = pytest.mark.faults

USER = "user_000000000001"
PROCESSES = 16
KILLED = 6


@pytest.mark.parametrize(("conversations", "count"), [(1, 30), (12, 60)], ids=["one", "many"])
async def test_killed_writers_leave_nothing_broken(
    service: MessageService, mongo_uri: str, conversations: int, count: int
) -> None:
    chance = random.Random(conversations)
    ids = [(await service.conversations.create(USER)).conversation_id for _ in range(conversations)]
    database = service.store.database.name
    writers = await asyncio.gather(
        *(
            Writer.start(mongo_uri, database, count, chance.sample(ids, len(ids)))
            for _ in range(PROCESSES)
        )
    )
    victims = writers[:KILLED]
    survivors = writers[KILLED:]

    async def murder(victim: Writer) -> None:
        await victim.reaches(chance.randrange(1, count - 5))
        await victim.kill()

    await asyncio.gather(*(murder(victim) for victim in victims))
    codes = await asyncio.gather(*(writer.end() for writer in survivors))
    assert codes == [0] * len(survivors)
    assert all(len(victim.acknowledged) < count for victim in victims)
    acknowledged = [record for writer in writers for record in writer.acknowledged]
    assert len(acknowledged) >= len(survivors) * count
    await check_everything(service, ids, acknowledged)
