"""A follower of messages is told of every change, and forgets none it did not follow."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from message_service import MessageService, Transaction
from message_service.catalogue import marks
from message_service.catalogue.declared import FOLLOWERS, catalogue
from message_service.catalogue.follower import LIVE, Follower
from message_service.documents.row import Row
from message_service.interchange.report import ImportReport
from message_service.messages.following import MessageFollower
from message_service.schema import targeting
from message_service.schema.apply import apply
from support.catalogues import CLOCK, Database

USER = "user_000000000001"

AUDIT = Follower(name="audit", purpose="messages to be audited", fields={"content.text": 1})


class Audit(MessageFollower):
    """All a follower takes."""

    name = "audit"
    follower = AUDIT

    async def follow(self, messages: Sequence[Row]) -> None:
        self.seen += [(message["message_id"], message["revision"]) for message in messages]

    seen: list[tuple[str, int]]


@pytest.fixture
async def audit(
    service: MessageService, database: Database, monkeypatch: pytest.MonkeyPatch
) -> Audit:
    followed_by = (*FOLLOWERS, AUDIT)
    monkeypatch.setattr(marks, "FOLLOWERS", followed_by)
    declared = {*targeting._SCATTER, AUDIT.work.name}
    monkeypatch.setattr(targeting, "_SCATTER", declared)
    await apply(database, catalogue(followed_by), clock=CLOCK)
    audit = Audit(service.store, poll=0.01)
    audit.seen = []
    return audit


async def _drained(audit: Audit) -> list[tuple[str, int]]:
    audit.seen.clear()
    while await audit.step():
        pass
    return audit.seen


CHANGES: dict[str, Callable[[MessageService, str, str], Awaitable[object]]] = {
    "edit": lambda service, chat, one: service.messages.edit(chat, one, "other words"),
    "delete": lambda service, chat, one: service.messages.delete(chat, one),
    "feedback": lambda service, chat, one: service.messages.feedback(chat, one, "up"),
    "pin": lambda service, chat, one: service.messages.pin(chat, one),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_reaches_a_follower_and_search_alike(
    service: MessageService, audit: Audit, change: str
) -> None:
    made = await service.conversations.create(USER)
    chat = made.conversation_id
    one = (await service.messages.append(chat, "user", "words")).message_id
    await service.messages.append(chat, "user", "more words")
    assert len(await _drained(audit)) == 2
    await service.search_index.drain()
    assert await _drained(audit) == []  # the indexer's own writes are no change
    await CHANGES[change](service, chat, one)
    assert await _drained(audit) == [(one, 2)]
    assert await _drained(audit) == []
    assert (await service.search_index.drain()).done == 3
    assert (await service.search_index.check()).clean


async def test_the_ways_a_message_comes_in_reach_it_too(
    service: MessageService, audit: Audit, tmp_path: Path
) -> None:
    made = await service.conversations.create(USER)
    chat = made.conversation_id

    async def within(tx: Transaction) -> None:
        await service.messages.append(chat, "user", "in a transaction", within=tx)

    await service.transaction(within)
    await service.messages.append_many(chat, [{"role": "user", "text": "later"}] * 3, backlog=True)
    undone = (await service.messages.append(chat, "user", "first")).message_id
    await service.messages.delete(chat, undone)
    await service.messages.undelete(chat, undone)
    seen = await _drained(audit)
    assert len(seen) == 5
    assert (undone, 3) in seen[:2]  # live ones come first
    path = tmp_path / "export.jsonl"
    path.write_text("".join([line async for line in _lines(service)]))
    assert "marks" not in path.read_text()
    other = service.tenant("other")
    report = ImportReport()
    async for _ in other.transfer.import_files("jsonl", [path], report):
        pass
    assert report.complete, report
    assert len(await _drained(audit)) == 5


async def _lines(service: MessageService) -> AsyncIterator[str]:
    async for line in service.tenant("default").transfer.export_lines():
        yield line


async def test_a_change_during_the_work_is_followed_again(
    service: MessageService, audit: Audit
) -> None:
    made = await service.conversations.create(USER)
    chat = made.conversation_id
    one = (await service.messages.append(chat, "user", "words")).message_id
    two = (await service.messages.append(chat, "user", "words")).message_id
    follow = audit.follow

    async def interrupted(messages: Sequence[Row]) -> None:
        audit.follow = follow  # type: ignore[method-assign]
        await follow(messages)
        await service.messages.edit(chat, one, "changed meanwhile")

    audit.follow = interrupted  # type: ignore[method-assign]
    assert await audit.step()
    assert audit.seen == [(one, 1), (two, 1)]
    assert await _drained(audit) == [(one, 2)]


async def test_work_that_was_cut_short_is_done_again(
    service: MessageService, audit: Audit, database: Database
) -> None:
    made = await service.conversations.create(USER)
    one = (await service.messages.append(made.conversation_id, "user", "words")).message_id

    async def dies(_: Sequence[Row]) -> None:
        raise asyncio.CancelledError

    follow, audit.follow = audit.follow, dies  # type: ignore[method-assign]
    with pytest.raises(asyncio.CancelledError):
        await audit.step()
    audit.follow = follow  # type: ignore[method-assign]
    stored = await database["messages"].find_one({"message_id": one})
    assert stored is not None
    assert stored["marks"]["audit"]["pending"] == LIVE
    assert await _drained(audit) == [(one, 1)]
    stored = await database["messages"].find_one({"message_id": one})
    assert stored is not None
    assert "audit" not in stored["marks"]
