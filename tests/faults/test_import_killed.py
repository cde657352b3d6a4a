"""An import killed with SIGKILL in the middle is started again and ends complete."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from message_service import MessageService
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
