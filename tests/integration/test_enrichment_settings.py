"""What a deployment sets about enrichment, and what a new version does to stored messages."""

from __future__ import annotations

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from message_service import MessageService, Settings
from message_service.clock import SystemClock
from message_service.documents.row import Row
from message_service.errors import InvalidInput
from message_service.search import entries, sweep
from message_service.search.indexer import Indexer

USER = "user_000000000001"
PHONE = "personal_info.phone"


async def test_phone_regions_reach_the_stored_verdict(
    mongo_uri: str, settings: Settings, database: AsyncDatabase[Row]
) -> None:
    text = "we will see you at eight, or else 06 12 34 56 78"
    found: list[bool] = []
    for regions in ((), ("FR",)):
        async with await MessageService.connect(
            mongo_uri, settings=settings, database=database.name, phone_regions=regions
        ) as service:
            made = await service.conversations.create(USER)
            said = await service.messages.append(made.conversation_id, "user", text)
            await service.search_index.drain()
            message = (await service.messages.get(made.conversation_id, said.message_id)).raw
            found.append(PHONE in message["safety_metadata"]["detected_issues"])
    assert found == [False, True]


async def test_a_region_without_a_numbering_plan_is_refused(mongo_uri: str) -> None:
    with pytest.raises(InvalidInput, match="phone_regions"):
        await MessageService.connect(mongo_uri, phone_regions=["UK"])


async def test_a_stored_language_that_is_now_unsure_is_taken_back(
    service: MessageService, database: AsyncDatabase[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await service.conversations.create(USER)
    said = await service.messages.append(made.conversation_id, "user", "mujhe bahut bhook lagi hai")
    await service.search_index.drain()
    stored = {"$set": {"content.detected_language": "id", "enrichment.language_confidence": 0.4}}
    await database.get_collection("messages").update_one({"message_id": said.message_id}, stored)
    # As an upgrade does: another version, and a process that has not looked yet.
    monkeypatch.setattr(sweep, "ENRICHMENT_VERSION", "next")
    monkeypatch.setattr(entries, "ENRICHMENT_VERSION", "next")
    await Indexer(service.store, SystemClock(), poll=0.1).drain()
    message = (await service.messages.get(made.conversation_id, said.message_id)).raw
    assert message["enrichment"]["version"] == "next"
    assert "detected_language" not in message["content"]
    assert "language_confidence" not in message["enrichment"]
