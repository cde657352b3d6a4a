"""The primary is killed with SIGKILL while transactions are under way."""

import asyncio

import pytest

from message_service import MessageService, errors
from message_service.database.transaction import Transaction
from support.replica_sets import ReplicaSet
from support.waiting import until

pytestmark = pytest.mark.faults

USER = "user_000000000001"
WRITERS = 4
COUNT = 60


async def test_transactions_are_whole_across_a_failover(three: ReplicaSet) -> None:
    async with await MessageService.connect(
        three.uri, min_pool_size=0, server_selection_timeout=30, write_deadline=60
    ) as service:
        left, right = [(await service.conversations.create(USER)).conversation_id for _ in range(2)]
        acknowledged: list[str] = []
        unknown: list[str] = []

        async def write(name: str) -> None:
            async def work(tx: Transaction) -> None:
                for conversation in (left, right):
                    await service.messages.append(conversation, "user", name, within=tx)

            try:
                await service.transaction(work)
            except errors.OutcomeUnknown:
                unknown.append(name)
            else:
                acknowledged.append(name)

        async def writer(number: int) -> None:
            for turn in range(COUNT):
                await write(f"{number}.{turn}")

        async def under_way() -> bool:
            return len(acknowledged) > COUNT

        writers = asyncio.gather(*(writer(number) for number in range(WRITERS)))
        await until("transactions to be under way", under_way)
        victim = await three.primary()
        await three.kill(victim)
        await writers
        assert await three.primary() != victim

        found = [await _texts(service, each) for each in (left, right)]
        assert found[0] == found[1]
        assert len(set(found[0])) == len(found[0])
        assert set(acknowledged) <= set(found[0]) <= {*acknowledged, *unknown}
        assert len(acknowledged) + len(unknown) == WRITERS * COUNT
        for conversation in (left, right):
            assert (await service.messages.check(conversation)).complete


async def _texts(service: MessageService, conversation_id: str) -> list[str]:
    texts: list[str] = []
    cursor: str | None = None
    while True:
        page = await service.messages.history(conversation_id, limit=200, cursor=cursor)
        texts.extend(message.text for message in page)
        cursor = page.next
        if cursor is None:
            return texts
