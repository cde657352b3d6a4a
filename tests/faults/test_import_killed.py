"""An import killed with SIGKILL in the middle is started again and ends complete."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from message_service import MessageService
from support.datasets import chitchat

pytestmark = pytest.mark.faults


async def test_a_killed_import_goes_on(
    service: MessageService,
    database: AsyncDatabase[dict[str, Any]],
    mongo_uri: str,
    tmp_path: Path,
) -> None:
    path = tmp_path / "dataset.json"
    total = chitchat(path)
    command = [
        str(Path(sys.executable).parent / "message-service"),
        *("import", "chitchat", str(path), "--json"),
    ]
    environment = {
        **os.environ,
        "MESSAGE_SERVICE_URI": mongo_uri,
        "MESSAGE_SERVICE_DATABASE": database.name,
    }
    async with asyncio.timeout(120):
        for share in (0.2, 0.6):
            process = await asyncio.create_subprocess_exec(
                *command,
                env=environment,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
            while await database.messages.estimated_document_count() < total * share:
                assert process.returncode is None, "ended before it could be killed"
                await asyncio.sleep(0)
            process.send_signal(signal.SIGKILL)
            await process.wait()
        stored = await database.messages.estimated_document_count()
        assert stored < total
        process = await asyncio.create_subprocess_exec(
            *command, env=environment, stdout=asyncio.subprocess.PIPE
        )
        said, _ = await process.communicate()
    assert process.returncode == 0
    report = json.loads(said)
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
