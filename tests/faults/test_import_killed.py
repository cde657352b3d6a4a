"""An import killed with SIGKILL in the middle is started again and ends complete."""

import json
import random
import signal
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from message_service import MessageService, Tenant
from message_service.ids import IdKind, derived_id
from support.chat_exports import Chat, write
from support.commands import Command
from support.datasets import chitchat
from support.waiting import until

pytestmark = pytest.mark.faults


async def test_a_killed_import_goes_on(
    service: MessageService,
    database: AsyncDatabase[dict[str, Any]],
    mongo_uri: str,
    tmp_path: Path,
) -> None:
    path = tmp_path / "dataset.json"
    total = chitchat(path)
    words = ("--database", database.name, "import", "chitchat", path, "--json")

    async def has_stored(count: float) -> bool:
        return await database.messages.estimated_document_count() >= count

    for share in (0.2, 0.6):
        killed = await Command.start(mongo_uri, tmp_path / str(share), *words)
        await until(f"{share} of the messages", lambda s=share: has_stored(total * s), every=0)
        killed.signal(signal.SIGKILL)
        await killed.ended()
    stored = await database.messages.estimated_document_count()
    assert stored < total
    last = await Command.start(mongo_uri, tmp_path / "last", *words)
    assert await last.ended() == 0
    report = json.loads(last.out)
    assert report["complete"]
    assert report["conversations"] == 300
    assert report["stored"] + report["unchanged"] == total
    assert await database.messages.count_documents({}) == total
    page = await service.conversations.list(limit=1_000)
    assert len(page.items) == 300
    for conversation in page.items:
        proof = await service.messages.check(conversation.conversation_id)
        assert (proof.count, proof.complete) == (40, True)
        assert conversation.import_source is not None
        assert conversation.import_source.completed
        assert conversation.last_sequence_number == 40


async def test_growing_chats_in_any_order_with_kills(
    service: MessageService,
    database: AsyncDatabase[dict[str, Any]],
    mongo_uri: str,
    tmp_path: Path,
) -> None:
    """Exports of chats that grow, imported old and new, each import killed somewhere."""
    chance = random.Random(20261126)
    chats = [Chat(identifier=f"c-{number}") for number in range(60)]
    exports: list[Path] = []
    for moment in range(4):
        for chat in chats:
            for _ in range(chance.randint(1, 6)):
                name = chance.choice(list(chat.nodes)[-4:])
                chat.say(name, f"said at {moment} under {name}")
            chat.title = f"title {moment}"
        exports.append(write(tmp_path / f"{moment}.json", *(chat.snapshot() for chat in chats)))
    words = ("--database", database.name, "import", "chatgpt")

    async def has_stored(count: int) -> bool:
        return await database.messages.estimated_document_count() >= count

    for number, (export, more) in enumerate([(1, 40), (0, 20), (3, 120), (2, 30), (3, 40)]):
        stored = await database.messages.estimated_document_count()
        killed = await Command.start(mongo_uri, tmp_path / f"k{number}", *words, exports[export])
        await until(
            f"{more} more messages or the end",
            lambda s=stored + more, k=killed: _either(has_stored(s), k.process.returncode),
            every=0,
        )
        killed.signal(signal.SIGKILL)
        await killed.ended()
    for number, export in enumerate((0, 3)):
        last = await Command.start(mongo_uri, tmp_path / f"l{number}", *words, exports[export])
        assert await last.ended() == 0, last.err
    fresh = await Command.start(
        mongo_uri, tmp_path / "fresh", "--tenant", "fresh", *words, exports[3]
    )
    assert await fresh.ended() == 0, fresh.err
    for chat in chats:
        identifier = derived_id(IdKind.CONVERSATION, "chatgpt", chat.identifier)
        merged = await _read(service.tenant("default"), identifier)
        assert merged == await _read(service.tenant("fresh"), identifier)
        assert merged["shown"] == chat.path(chat.current)
        assert (await service.messages.check(identifier)).consistent


async def _either(one: Awaitable[bool], other: int | None) -> bool:
    return await one or other is not None


async def _read(tenant: Tenant, conversation: str) -> dict[str, Any]:
    found = await tenant.conversations.get(conversation)
    everything = await tenant.messages.history(conversation, branch="*", limit=1_000)
    lines: dict[str, list[str]] = {}
    for message in everything:
        page = await tenant.messages.history(
            conversation, branch=message.branch, before=message.sequence_number + 1, limit=1_000
        )
        lines[message.message_id] = [one.message_id for one in page]
    return {
        "title": found.title,
        "lines": lines,
        "shown": [one.text for one in await tenant.messages.history(conversation, limit=1_000)],
    }
