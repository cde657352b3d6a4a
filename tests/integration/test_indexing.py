"""The indexer: it follows every change, says how far it is, and repairs what is broken."""

import asyncio
from datetime import UTC, datetime

import pytest
from bson import ObjectId
from pymongo.asynchronous.database import AsyncDatabase

from message_service import MessageService, errors
from message_service.clock import SystemClock
from message_service.database.lease import Lease
from message_service.documents.row import Row
from message_service.loops.loop import Loop
from message_service.loops.runner import LoopRunner
from message_service.search import entries, indexer, sweep
from message_service.search.indexer import Indexer
from message_service.stopping import end_tasks

USER = "user_000000000001"
CLOCK = SystemClock()

Database = AsyncDatabase[Row]


async def entry_of(database: Database, message_id: str) -> Row | None:
    return await database.get_collection("message_search_index").find_one(
        {"message_id": message_id}
    )


async def test_a_message_is_enriched_and_indexed_in_the_designs_shape(
    service: MessageService, database: Database
) -> None:
    made = await service.conversations.create(USER, character_id="char_000000000001")
    said = await service.messages.append(
        made.conversation_id, "user", "Hello Luna! How are you today?"
    )
    stored = await service.messages.get(made.conversation_id, said.message_id)
    assert stored.raw["content"]["detected_language"] == "en"  # at once, with the append
    assert "version" not in stored.raw["enrichment"]
    await service.search_index.drain()
    message = (await service.messages.get(made.conversation_id, said.message_id)).raw
    assert message["enrichment"]["version"] == entries.ENRICHMENT_VERSION
    assert "pending" not in message["enrichment"]
    assert message["revision"] == 1  # enriching is no change of the caller's
    assert message["custom_metadata"]["intent"] == "greeting"
    assert message["custom_metadata"]["sentiment"] in {"positive", "neutral"}
    assert message["custom_metadata"]["urgency"] == "low"
    assert 0 <= message["custom_metadata"]["complexity_score"] <= 1
    assert message["safety_metadata"]["safety_score"] == 1
    entry = await entry_of(database, said.message_id)
    assert entry is not None
    content = entry["indexed_content"]
    assert content["full_text"] == "Hello Luna! How are you today?"
    assert content["tokens"] == ["hello", "luna", "how", "are", "you", "today"]
    assert content["bigrams"][0] == "hello luna"
    assert content["trigrams"][0] == "hello luna how"
    assert entry["search_metadata"]["language"] == "en"
    assert entry["search_metadata"]["role"] == "user"
    assert entry["created_at"] == message["timestamps"]["created_at"]
    service_message = (await service.messages.get(made.conversation_id, said.message_id)).document()
    assert service_message.enrichment is not None


async def test_what_the_caller_said_is_not_overwritten(service: MessageService) -> None:
    made = await service.conversations.create(USER)
    said = await service.messages.append(
        made.conversation_id,
        "user",
        "Hello! Mail me at luna@example.com",
        detected_language="eo",
        custom_metadata={"intent": "command", "mine": 1},
        safety_metadata={"safety_score": 0.25},
    )
    for _ in range(2):
        await service.search_index.drain()
        message = (await service.messages.get(made.conversation_id, said.message_id)).raw
        assert message["content"]["detected_language"] == "eo"
        assert message["custom_metadata"]["intent"] == "command"
        assert message["custom_metadata"]["mine"] == 1
        assert message["safety_metadata"] == {"safety_score": 0.25}
        assert message["custom_metadata"]["urgency"] == "low"  # what nobody said is found
        await service.messages.pin(made.conversation_id, said.message_id)


async def test_an_edit_is_enriched_anew(service: MessageService) -> None:
    made = await service.conversations.create(USER)
    said = await service.messages.append(made.conversation_id, "user", "Hello there, friend!")
    await service.search_index.drain()
    await service.messages.edit(
        made.conversation_id, said.message_id, "¿Dónde está la biblioteca, por favor?"
    )
    await service.search_index.drain()
    message = (await service.messages.get(made.conversation_id, said.message_id)).raw
    assert message["content"]["detected_language"] == "es"
    assert message["custom_metadata"]["intent"] == "question"


async def test_a_finding_that_is_gone_is_taken_back(service: MessageService) -> None:
    made = await service.conversations.create(USER)
    said = await service.messages.append(
        made.conversation_id, "user", "I play football and my team won the match"
    )
    await service.search_index.drain()
    message = (await service.messages.get(made.conversation_id, said.message_id)).raw
    assert message["custom_metadata"]["topics"]
    await service.messages.edit(made.conversation_id, said.message_id, "xyzzy")
    await service.search_index.drain()
    message = (await service.messages.get(made.conversation_id, said.message_id)).raw
    assert "topics" not in message["custom_metadata"]
    assert "detected_language" not in message["content"]


async def test_freshness_is_exact_in_a_conversation(service: MessageService) -> None:
    made = await service.conversations.create(USER)
    conversation = made.conversation_id
    assert (await service.search.freshness(conversation)).complete_to == 0
    for n in range(3):
        await service.messages.append(conversation, "user", f"pizza {n}")
    fresh = await service.search.freshness(conversation)
    assert (fresh.complete, fresh.complete_to) == (False, 0)
    await service.search_index.drain()
    fresh = await service.search.freshness(conversation)
    assert (fresh.complete, fresh.complete_to) == (True, 3)
    last = await service.messages.append(conversation, "user", "pizza 4")
    fresh = await service.search.freshness(conversation)
    assert (fresh.complete, fresh.complete_to) == (False, 3)
    store = await service.search.freshness()
    assert store.complete_before is not None
    assert store.complete_before <= datetime.now(UTC)
    with pytest.raises(errors.IndexBehind, match="up to message 3, not yet 4") as caught:
        await service.search.find(
            "pizza", conversation_id=conversation, min_sequence=last.sequence_number, wait=0
        )
    assert caught.value.retryable
    await service.search_index.drain()
    page = await service.search.find("pizza", conversation_id=conversation, min_sequence=4, wait=0)
    assert len(page) == 4
    with pytest.raises(errors.InvalidInput, match="min_sequence"):
        await service.search.find("pizza", user_id=USER, min_sequence=1)


async def test_ones_own_write_is_waited_for(service: MessageService) -> None:
    made = await service.conversations.create(USER)
    running = asyncio.create_task(service.search_index.run())
    try:
        for n in range(20):
            said = await service.messages.append(made.conversation_id, "user", f"pizza {n}")
            page = await service.search.find(
                f"pizza {n}",
                conversation_id=made.conversation_id,
                min_sequence=said.sequence_number,
                wait=30,
            )
            assert page.hits[0].message.message_id == said.message_id
    finally:
        await end_tasks([running])
    assert (await service.search_index.status()).indexer is None


async def test_live_messages_come_before_a_backlog(
    service: MessageService, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexer, "_READ", 10)
    made = await service.conversations.create(USER)
    await service.messages.append_many(
        made.conversation_id,
        [{"role": "user", "text": f"old {n}"} for n in range(50)],
        backlog=True,
    )
    live = await service.messages.append(made.conversation_id, "user", "new")
    worker = Indexer(service.store, CLOCK, poll=0.1)
    await worker.step()
    await worker.settle()
    assert await entry_of(database, live.message_id) is not None
    assert worker.progress.done == 10


def runner_of(loop: Loop, service: MessageService, holder: str) -> LoopRunner:
    lease = Lease(service.store.database, loop.name, holder, loop.lease_seconds)
    return LoopRunner(loop, lease, CLOCK, standby=0.01)


async def test_two_indexers_take_turns_and_one_takes_over(service: MessageService) -> None:
    first = Indexer(service.store, CLOCK, poll=0.01)
    second = Indexer(service.store, CLOCK, poll=0.01)
    running = asyncio.create_task(runner_of(first, service, "first").run())
    made = await service.conversations.create(USER)
    said = await service.messages.append(made.conversation_id, "user", "pizza one")
    await service.search.find(
        "pizza", conversation_id=made.conversation_id, min_sequence=said.sequence_number, wait=30
    )
    standing_by = asyncio.create_task(runner_of(second, service, "second").run())
    said = await service.messages.append(made.conversation_id, "user", "pizza two")
    await service.search.find(
        "pizza", conversation_id=made.conversation_id, min_sequence=said.sequence_number, wait=30
    )
    assert (first.progress.done, second.progress.done) == (2, 0)
    await end_tasks([running])
    said = await service.messages.append(made.conversation_id, "user", "pizza three")
    await service.search.find(
        "pizza", conversation_id=made.conversation_id, min_sequence=said.sequence_number, wait=30
    )
    assert second.progress.done == 1
    await end_tasks([standing_by])


async def test_a_thawed_indexer_does_not_bring_back_what_was_deleted(
    service: MessageService, database: Database
) -> None:
    made = await service.conversations.create(USER)
    said = await service.messages.append(made.conversation_id, "user", "secret pizza")
    slow = Indexer(service.store, CLOCK, poll=0.1)
    rows = await service.store.find_everywhere(indexer.ENRICHMENT.work)
    ready = await slow._work_out(rows)
    # While it was frozen, the message was deleted and another indexer saw to it.
    await service.messages.delete(made.conversation_id, said.message_id)
    await service.search_index.drain()
    await slow._write(ready)
    assert not (await service.search.find("pizza", user_id=USER)).hits
    entry = await entry_of(database, said.message_id)
    assert entry is not None
    assert entry["removed"]  # what keeps the frozen one out; the TTL index removes it
    assert "terms" not in entry["indexed_content"]
    assert "pizza" not in str(entry)
    assert (await service.search_index.check()).clean


async def test_a_new_enricher_version_reaches_what_is_stored(
    service: MessageService, monkeypatch: pytest.MonkeyPatch, database: Database
) -> None:
    made = await service.conversations.create(USER)
    await service.messages.append_many(
        made.conversation_id, [{"role": "user", "text": f"pizza {n}"} for n in range(25)]
    )
    await service.search_index.drain()
    monkeypatch.setattr(sweep, "ENRICHMENT_VERSION", "next")
    monkeypatch.setattr(entries, "ENRICHMENT_VERSION", "next")
    monkeypatch.setattr(sweep, "_STRETCH", 10)
    first = Indexer(service.store, CLOCK, poll=0.1)
    await first.step()  # marks the first stretch, and stops there, as if killed
    second = Indexer(service.store, CLOCK, poll=0.1)
    progress = await second.drain()
    assert progress.indexed == 25
    collection = database.get_collection("messages")
    assert await collection.count_documents({"enrichment.version": "next"}) == 25
    third = Indexer(service.store, CLOCK, poll=0.1)
    assert (await third.drain()).done == 0


async def test_an_enricher_that_fails_is_recorded_and_holds_up_nothing(
    service: MessageService, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(message: Row, now: datetime, phone_regions: tuple[str, ...]) -> object:
        if "bad" in message["content"]["text"]:
            refused = worked_out(message, now, phone_regions)
            assert refused.entry is not None
            refused.entry["indexed_content"]["full_text"] = 5  # what the validator refuses
            return refused
        return worked_out(message, now, phone_regions)

    worked_out = indexer._worked_out
    monkeypatch.setattr(indexer, "_worked_out", broken)
    made = await service.conversations.create(USER)
    for text in ("good one", "bad one", "good two"):
        await service.messages.append(made.conversation_id, "user", text)
    progress = await service.search_index.drain()
    assert (progress.indexed, progress.passed_over) == (2, 1)
    bad = (await service.messages.history(made.conversation_id, full=True)).items[1].raw
    assert bad["enrichment"]["failed"] == ["index: document_refused"]


async def test_check_finds_and_repairs_what_is_missing_stale_or_left_over(
    service: MessageService, database: Database
) -> None:
    made = await service.conversations.create(USER)
    conversation = made.conversation_id
    for n in range(6):
        await service.messages.append(conversation, "user", f"pizza {n}")
    await service.search_index.drain()
    found = await service.search_index.check()
    assert (found.messages, found.entries, found.clean) == (6, 6, True)
    index = database.get_collection("message_search_index")
    rows = await index.find({}).sort("sequence_number").to_list()
    await index.delete_one({"_id": rows[0]["_id"]})
    await index.update_one({"_id": rows[1]["_id"]}, {"$set": {"revision": 0}})
    await database.get_collection("messages").delete_one({"message_id": rows[2]["message_id"]})
    await index.insert_one({**rows[3], "_id": ObjectId(), "message_id": "msg_zzzzzzzzzzzz"})
    said = await service.messages.append(conversation, "user", "waiting")
    found = await service.search_index.check()
    assert (found.missing, found.stale, found.orphans, found.waiting) == (1, 1, 2, 1)
    assert not found.clean
    assert len(found.examples) == 4
    assert (await service.search_index.check(conversation_id=conversation)).missing == 1
    assert (await service.search_index.check(repair=True)).repaired
    await service.search_index.drain()
    found = await service.search_index.check()
    assert (found.messages, found.entries, found.clean, found.waiting) == (6, 6, True, 0)
    assert await entry_of(database, said.message_id) is not None


async def test_tombstones_are_not_indexed(service: MessageService, database: Database) -> None:
    made = await service.conversations.create(USER)
    await service.messages.append(made.conversation_id, "user", "pizza")
    await service.conversations.patch(made.conversation_id, state="archived")
    await service.search_index.drain()
    found = await service.search_index.check()
    assert found.clean
    assert found.entries == 1
    assert found.messages >= 1
