"""Whatever append accepts, the index takes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from message_service import MessageService
from message_service.documents.fields import MAX_TEXT_BYTES, MAX_TEXT_CODE_POINTS
from message_service.documents.search_entry import SearchEntry
from message_service.enrichment.pipeline import enrich
from message_service.messages.incoming import prepare
from message_service.messages.new_message import NewMessage
from message_service.search.entries import given_paths, search_entry

USER = "user_000000000001"
NOW = datetime(2026, 1, 2, tzinfo=UTC)

# Characters that grow when normalised or folded, stand alone as tokens, or change the script.
awkward = st.sampled_from("ﷺ😀漢яaß¼㍿ﬃกẞİ-'_ \n１@#")
units = st.lists(awkward | st.characters(exclude_categories=("Cs",)), min_size=1, max_size=8)


@settings(max_examples=40, deadline=None)
@given(units.map("".join))
def test_the_entry_of_any_text_is_valid(unit: str) -> None:
    text = (unit * (MAX_TEXT_CODE_POINTS // len(unit)))[:MAX_TEXT_CODE_POINTS]
    text = text.encode()[:MAX_TEXT_BYTES].decode("utf-8", "ignore")
    message = prepare(
        NewMessage.model_validate({"role": "user", "text": text}),
        tenant_id="t",
        conversation_id="conv_000000000000",
        owner=USER,
        character_id=None,
        message_id="msg_000000000000",
        now=NOW,
    ).document
    message["sequence_number"] = 1
    enriched = enrich(text)
    assert enriched.failed == ()
    entry = search_entry(message, enriched, given_paths(message, enriched), NOW)
    SearchEntry.model_validate({name: value for name, value in entry.items() if name != "_id"})


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("قال النبي ﷺ كلمة " * 1_700, "كلمة"),
        ("😀" * 30_000, "😀"),
        ("aя漢" * 12_000, "aя"),
        ("漢" * 50_000, "漢漢"),
    ],
)
async def test_texts_that_grow_are_found(service: MessageService, text: str, query: str) -> None:
    made = await service.conversations.create(USER)
    await service.messages.append(made.conversation_id, "user", text)
    await service.search_index.drain()
    page = await service.search.find(query, conversation_id=made.conversation_id)
    assert len(page.hits) == 1
    assert page.freshness.complete
    assert (await service.search_index.check()).clean


async def test_a_message_the_index_refuses_is_counted(service: MessageService) -> None:
    """The server's validator refuses its entry, for whatever reason: here a stricter one."""
    made = await service.conversations.create(USER)
    conversation = made.conversation_id
    await service.messages.append(conversation, "user", "taken")
    await service.messages.append(conversation, "user", "refused")
    database = service.store.database
    [info] = [
        one
        async for one in await database.list_collections(filter={"name": "message_search_index"})
    ]
    validator = info["options"]["validator"]
    strict = {"$and": [validator, {"indexed_content.full_text": {"$ne": "refused"}}]}
    await database.command("collMod", "message_search_index", validator=strict)
    await service.search_index.drain()
    page = await service.search.find("taken", conversation_id=conversation)
    assert [hit.message.text for hit in page] == ["taken"]
    assert (page.freshness.complete, page.freshness.refused) == (False, 1)
    assert page.freshness.complete_to == 2
    status = await service.search_index.status()
    assert (status.freshness.complete, status.freshness.refused) == (False, 1)
    found = await service.search_index.check(repair=True)
    assert (found.missing, found.refused, found.clean) == (1, 1, False)
    await database.command("collMod", "message_search_index", validator=validator)
    await service.search_index.drain()
    assert (await service.search_index.check()).clean
    assert (await service.search_index.status()).freshness.refused == 0
