"""Whatever runs ends when it is told to, with the server there, away, frozen and coming back."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from message_service import MessageService, errors
from message_service.search.index import SearchIndex
from message_service.stopping import STOP_GRACE, StopSignal
from support.servers import OwnServer
from support.waiting import soon

pytestmark = pytest.mark.faults

USER = "user_000000000001"
AT_ONCE = 5
ROUNDS = 3
CANCELLATIONS = 200

LONGEST = STOP_GRACE + 15
"""Grace, and what cutting a round short may take on a slow machine; today's fault is for ever."""


class Written:
    """Writes to one database without pause, through whatever befalls the server."""

    def __init__(self, service: MessageService, conversation: str) -> None:
        self.service = service
        self.conversation = conversation
        self.count = 0
        self._stop = StopSignal()
        self._task = asyncio.create_task(self._write())

    @classmethod
    async def start(cls, uri: str, database: str, stack: AsyncExitStack) -> Written:
        service = await stack.enter_async_context(
            await MessageService.connect(
                uri,
                database=database,
                min_pool_size=0,
                server_selection_timeout=1,
                write_deadline=2,
                index_poll=0.1,
            )
        )
        made = await service.conversations.create(USER)
        return cls(service, made.conversation_id)

    async def _write(self) -> None:
        while not self._stop.requested:
            while not await self._append():
                pass  # it may be stored, so it is repeated until it is acknowledged
            self.count += 1
            await self._stop.pause(random.random() * 0.02)

    async def _append(self) -> bool:
        try:
            await self.service.messages.append(
                self.conversation,
                "user",
                f"hello again, world {self.count}",
                client_msg_id=str(self.count),
            )
        except errors.Unavailable:
            return False
        return True

    async def end(self) -> None:
        self._stop.request()
        await soon("the writer to end", self._task)


@pytest.mark.parametrize("state", ["there", "away", "frozen", "coming back"])
async def test_an_indexer_told_to_stop_ends(own: OwnServer, state: str) -> None:
    """15 indexers for each state, each at work on a database of its own."""
    chance = random.Random(state)
    async with AsyncExitStack() as stack:
        written = [
            await Written.start(own.uri, f"stop_{number}", stack) for number in range(AT_ONCE)
        ]
        for _ in range(ROUNDS):
            # A new one each time: an indexer is stopped once.
            stops = [StopSignal() for _ in written]
            indexers = [
                asyncio.create_task(index_of(one.service).run(stop))
                for one, stop in zip(written, stops, strict=True)
            ]
            await asyncio.sleep(0.1 + chance.random() * 0.4)
            coming: asyncio.Task[None] | None = None
            if state == "frozen":
                await own.freeze()
            elif state != "there":
                own.kill()
                await asyncio.sleep(chance.random() * 0.5)
            if state == "coming back":
                coming = asyncio.create_task(own.start())
            for stop in chance.sample(stops, len(stops)):
                await asyncio.sleep(chance.random() * 0.2)
                stop.request()
            for number, indexer in enumerate(indexers):
                await soon(f"indexer {number} to stop", indexer, seconds=LONGEST)
            if state == "frozen":
                own.thaw()
            elif state != "there":
                await soon("the server to come back", coming or own.start())
        for one in written:
            await one.end()
            await one.service.search_index.drain()
            found = await one.service.search_index.check()
            assert found.clean, found
            assert found.messages == found.entries == one.count


def index_of(service: MessageService) -> SearchIndex:
    settings = service.settings.model_copy(update={"index_poll": 0.1})
    return SearchIndex(replace(service.runtime, settings=settings), f"stopped-{random.random()}")


async def test_an_indexer_cancelled_once_ends(own: OwnServer) -> None:
    chance = random.Random(1)
    async with AsyncExitStack() as stack:
        one = await Written.start(own.uri, "cancelled", stack)
        for turn in range(CANCELLATIONS):
            indexer = asyncio.create_task(one.service.search_index.run())
            await asyncio.sleep(0.02 + chance.random() * 0.1)
            indexer.cancel()
            with pytest.raises(asyncio.CancelledError):
                await soon(f"indexer {turn} to end", indexer, seconds=LONGEST)
        await one.end()
        await one.service.search_index.drain()
        assert (await one.service.search_index.check()).clean


async def test_a_service_closes_with_anything_under_way(own: OwnServer) -> None:
    """The server is frozen: no answer comes for as long as it lasts, and no connection breaks."""
    service = await MessageService.connect(
        own.uri, min_pool_size=0, index_in_background=True, close_timeout=1
    )
    ids = [(await service.conversations.create(USER)).conversation_id for _ in range(6)]
    for conversation in ids:
        await service.messages.append(conversation, "user", "before", client_msg_id="0")
    async with await MessageService.connect(own.uri, min_pool_size=0) as other:
        unknown = (await other.conversations.create(USER)).conversation_id
    await own.freeze()
    # Its state must be read first.
    first = asyncio.create_task(service.messages.append(unknown, "user", "first"))
    appends = [
        asyncio.create_task(
            service.messages.append(conversation, "user", "during", client_msg_id="1")
        )
        for conversation in ids
    ]
    reads = [asyncio.create_task(service.messages.history(conversation)) for conversation in ids]
    await asyncio.sleep(0.2)
    with pytest.raises(errors.Unavailable, match="given up"):
        await soon("the service to close", service.close(), seconds=LONGEST)
    for append in appends:
        with pytest.raises(errors.OutcomeUnknown, match="closed"):
            await soon("an append", append)
    with pytest.raises(errors.Unavailable, match="closed"):
        await soon("the first append to a conversation", first)
    # A read ends with its connection, or when its caller gives up.
    for read in reads:
        read.cancel()
    await soon("the reads", asyncio.wait(reads))
    own.thaw()
    async with await MessageService.connect(own.uri, min_pool_size=0) as again:
        for conversation in ids:
            await again.messages.append(conversation, "user", "during", client_msg_id="1")
            page = await again.messages.history(conversation)
            assert [message.text for message in page] == ["before", "during"]


async def test_a_write_deadline_holds_when_the_server_is_silent(own: OwnServer) -> None:
    async with await MessageService.connect(
        own.uri, min_pool_size=0, write_deadline=0.5, close_timeout=5
    ) as service:
        made = await service.conversations.create(USER)
        await service.messages.append(made.conversation_id, "user", "one")
        await own.freeze()
        with pytest.raises(errors.OutcomeUnknown, match="before the deadline"):
            # Far below the socket's timeout of 45 s.
            await soon(
                "the deadline",
                service.messages.append(made.conversation_id, "user", "two", client_msg_id="k"),
                seconds=LONGEST,
            )
        own.thaw()
        await service.drain()
        again = await service.messages.append(
            made.conversation_id, "user", "two", client_msg_id="k"
        )
        assert again.sequence_number == 2
        assert (await service.messages.check(made.conversation_id)).complete


async def test_a_search_that_waits_for_the_index_does_not_wait_for_a_silent_server(
    own: OwnServer,
) -> None:
    async with await MessageService.connect(own.uri, min_pool_size=0) as service:
        made = await service.conversations.create(USER)
        said = await service.messages.append(made.conversation_id, "user", "pizza")
        await service.drain()
        await own.freeze()
        asked = service.search.find(
            "pizza",
            conversation_id=made.conversation_id,
            min_sequence=said.sequence_number,
            wait=0.2,
        )
        with pytest.raises(errors.Unavailable, match="did not answer"):
            await soon("the search", asked, seconds=LONGEST)
        own.thaw()


async def test_closing_twice_and_closing_an_idle_service(own: OwnServer) -> None:
    service = await MessageService.connect(own.uri, min_pool_size=0, index_in_background=True)
    await own.freeze()
    await soon("the service to close", service.close(), seconds=LONGEST)
    await soon("the service to close again", service.close(), seconds=LONGEST)
