"""LangChain's histories are read straight from their collection, which stays as it is."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from bson import ObjectId
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection

from message_service import ImportReport, MessageService, ToolCall, ToolResult, errors
from message_service.documents.row import Row
from message_service.ids import IdKind, derived_id


def document(session: str, kind: str, content: str, **data: Any) -> Row:
    history = json.dumps({"type": kind, "data": {"content": content, **data}})
    return {"_id": ObjectId(), "SessionId": session, "History": history}


@pytest.fixture
async def histories(
    client: AsyncMongoClient[Row], service: MessageService
) -> AsyncIterator[AsyncCollection[Row]]:
    name = f"foreign_{service.store.database.name}"
    yield client[name]["message_store"]
    await client.drop_database(name)


async def bring(
    service: MessageService, uri: str, histories: AsyncCollection[Row], **more: Any
) -> ImportReport:
    report = ImportReport()
    tenant = service.tenant("t")
    async for _ in tenant.transfer.import_langchain(uri, histories.full_name, report, **more):
        pass
    return report


async def test_sessions_that_grow(
    service: MessageService, mongo_uri: str, histories: AsyncCollection[Row]
) -> None:
    call = {"name": "weather", "args": {"city": "Lima"}, "id": "c1", "type": "tool_call"}
    await histories.insert_many(
        [
            document("one", "human", "the weather?"),
            document("two", "human", "hello"),
            document("one", "ai", "", tool_calls=[call]),
            document("one", "tool", "sunny", tool_call_id="c1"),
            document("two", "ai", "hi"),
        ]
    )
    before = [row async for row in histories.find()]
    report = await bring(service, mongo_uri, histories, dry_run=True)
    assert (report.complete, report.stored, report.records) == (True, 5, 5)
    assert not (await service.tenant("t").conversations.list()).items
    report = await bring(service, mongo_uri, histories)
    assert (report.complete, report.new, report.stored) == (True, 2, 5)
    chat = derived_id(IdKind.CONVERSATION, "langchain", "one")
    asked, called, answered = await service.tenant("t").messages.history(chat)
    assert asked.text == "the weather?"
    assert called.parts == [ToolCall(id="c1", name="weather", arguments='{"city":"Lima"}')]
    assert answered.parts == [ToolResult(call_id="c1", text="sunny")]
    assert abs((asked.created_at - before[0]["_id"].generation_time).total_seconds()) < 1
    await histories.insert_one(document("one", "ai", "It is sunny."))
    report = await bring(service, mongo_uri, histories)
    assert (report.stored, report.unchanged) == (1, 5)
    assert [row async for row in histories.find()][:5] == before


async def test_other_names_of_fields(
    service: MessageService, mongo_uri: str, histories: AsyncCollection[Row]
) -> None:
    row = document("one", "human", "hello")
    await histories.insert_one({"chat": row["SessionId"], "said": row["History"]})
    report = await bring(service, mongo_uri, histories)
    assert report.error is not None
    assert "neither 'SessionId' and 'History'" in report.error
    report = await bring(service, mongo_uri, histories, session_key="chat", history_key="said")
    assert (report.complete, report.stored) == (True, 1)


async def test_wrong_arguments(
    service: MessageService, mongo_uri: str, histories: AsyncCollection[Row]
) -> None:
    tenant = service.tenant("t")
    for uri, collection in (("nowhere", "a.b"), (mongo_uri, "nodot"), (mongo_uri, "a.$b")):
        with pytest.raises(errors.InvalidInput):
            async for _ in tenant.transfer.import_langchain(uri, collection, ImportReport()):
                pass
    report = await bring(service, mongo_uri, histories)
    assert report.error is not None
    assert "is empty" in report.error
