"""However many workers write the log of a reply, no reader ever holds the text of two of them."""

from __future__ import annotations

import asyncio
import secrets

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from message_service import MessageService, errors
from message_service.catalogue.queries.reply_entries import ENTRIES_AFTER
from message_service.clock import SystemClock
from message_service.database.scope import Scope
from message_service.documents.reply_entry import EntryKind
from message_service.generation.entry_writer import EntryWriter
from message_service.generation.reply_log import ReplyLog, Stopped
from support.waiting import soon

CONVERSATION = "conv_000000000001"
STEP = st.tuples(st.integers(0, 2), st.sampled_from(["take over", "say", "say", "say", "stop"]))

TAKEN_OVER = [(0, "take over"), (0, "say"), (1, "take over")]
"""How each run begins: the first worker has lost the reply, and does not know it."""


class Writers:
    """Some workers, frozen and thawed at will: each goes on from what it knows."""

    def __init__(self, scope: Scope, writer: EntryWriter) -> None:
        self.reply = f"job_{secrets.token_hex(8)}"
        self.logs: dict[int, ReplyLog] = {}
        self.lost: set[int] = set()
        self._scope = scope
        self._writer = writer
        self._claims = 0

    async def take_over(self, number: int) -> None:
        self._claims += 1
        log = ReplyLog(
            self._scope, self._writer, SystemClock(), CONVERSATION, self.reply, f"c{self._claims}"
        )
        await log.read()
        self.logs[number] = log
        self.lost.discard(number)
        await self.write(number, "begin")

    async def write(self, number: int, what: str) -> None:
        log = self.logs.get(number)
        if log is None or number in self.lost or log.stopped:
            return
        try:
            if what == "begin":
                await log.begin("p", "m")
            elif log.begun:
                await log.add(EntryKind.TEXT, f"{log._claim} ")  # pyright: ignore[reportPrivateUsage]
        except (errors.LeaseLost, Stopped):
            self.lost.add(number)

    async def stop(self) -> None:
        log = ReplyLog(self._scope, self._writer, SystemClock(), CONVERSATION, self.reply, "client")
        await log.read()
        if not log.stopped:
            await self._writer.write(log.entry(EntryKind.STOP))


async def test_an_entry_that_cannot_be_stored_harms_no_other(service: MessageService) -> None:
    scope = service.store.scope("default")
    writer = EntryWriter(service.store, 30)
    logs = [
        ReplyLog(scope, writer, SystemClock(), CONVERSATION, f"job_{number:012}", "c")
        for number in range(5)
    ]
    await soon("all to begin", asyncio.gather(*(log.begin("p", "m") for log in logs)))
    texts = ["fine"] * 4 + ["half \ud83d"]
    said = [log.add(EntryKind.TEXT, text) for log, text in zip(logs, texts, strict=True)]
    *fine, bad = await soon("all", asyncio.gather(*said, return_exceptions=True))
    assert fine == [None] * 4
    assert isinstance(bad, errors.MessageServiceError)
    await writer.close()


@pytest.mark.parametrize("at_once", [False, True])
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=st.lists(STEP, min_size=3, max_size=25))
async def test_one_order_one_writer(
    service: MessageService, at_once: bool, steps: list[tuple[int, str]]
) -> None:
    scope = service.store.scope("default")
    writer = EntryWriter(service.store, 30)
    writers = Writers(scope, writer)
    steps = [*TAKEN_OVER, *steps]

    async def act(number: int, what: str) -> None:
        match what:
            case "take over":
                await writers.take_over(number)
            case "stop":
                await writers.stop()
            case _:
                await writers.write(number, what)

    if at_once:  # each worker in its own order, all of them at the same time

        async def one(number: int) -> None:
            for who, what in steps:
                if who == number:
                    await act(number, what)

        await soon("all writers", asyncio.gather(*map(one, range(3))))
    else:
        for number, what in steps:
            await soon(what, act(number, what))
    await writer.close()
    rows = await scope.find(
        ENTRIES_AFTER, conversation_id=CONVERSATION, reply_id=writers.reply, after=-1
    )
    assert [row["number"] for row in rows] == list(range(len(rows)))
    claim, stopped = "", False
    for row in rows:
        assert not stopped, "nothing follows a stop but the end"
        match row["kind"]:
            case "begin":
                claim = row["writer"]
            case "stop":
                stopped = True
            case _:
                assert row["writer"] == claim
                assert row["text"] == f"{claim} "
    for log in writers.logs.values():
        if not log.stopped and log._claim == claim:  # pyright: ignore[reportPrivateUsage]
            said = "".join(row.get("text", "") for row in rows if row["writer"] == claim)
            assert log.said[EntryKind.TEXT] == said  # what is stored is what was shown
