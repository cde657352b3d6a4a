"""A conversation, a user or a collection, restored beside the live data or put back into it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from message_service import MessageService, errors
from message_service.backup.selection import OF_CONVERSATIONS
from message_service.documents.row import Row
from support.backups import backups_of, now_in, state_of
from support.shell import Cli

ANNA, BERT = "user_000000000anna", "user_000000000bert"


@pytest.fixture
async def target(database: AsyncDatabase[Row]) -> AsyncIterator[AsyncDatabase[Row]]:
    restored = database.client.get_database(f"{database.name}_restore")
    yield restored
    await database.client.drop_database(restored.name)


async def talk(service: MessageService, user: str, *texts: str, tenant: str = "default") -> str:
    at = service.tenant(tenant)
    conversation = (await at.conversations.create(user)).conversation_id
    for text in texts:
        await at.messages.append(conversation, "user", text)
    await service.drain()
    return conversation


async def erase(database: AsyncDatabase[Row], conversation: str) -> None:
    """Delete a conversation by mistake, as a script of somebody's would."""
    for name in OF_CONVERSATIONS:
        await database[name].delete_many({"conversation_id": conversation})


async def texts(service: MessageService, conversation: str) -> list[str | None]:
    return [each.text for each in (await service.messages.history(conversation)).items]


async def test_one_user_is_restored_beside_the_live_data(
    service: MessageService, database: AsyncDatabase[Row], target: AsyncDatabase[Row],
    mongo_uri: str, tmp_path: Path,
) -> None:  # fmt: skip
    first = await talk(service, ANNA, "in the full backup")
    await talk(service, BERT, "of somebody else")
    await talk(service, ANNA, "the same name in another tenant", tenant="acme")
    backups = await backups_of(database, tmp_path)
    await backups.full()
    second = await talk(service, ANNA, "in the history", "and more")
    await talk(service, BERT, "of somebody else, later")
    await service.messages.edit(first, (await newest(service, first)), "edited in the history")
    before = await now_in(database)
    for each in (first, second):
        await erase(database, each)
    await backups.incremental()

    await backups.restore(before, only=[f"user:{ANNA}"])
    found = {row["conversation_id"] async for row in target["messages"].find()}
    assert found == {first, second}
    assert set(await target.list_collection_names()) - OF_CONVERSATIONS == set()
    Cli(mongo_uri, target.name, tmp_path)("db", "apply")
    async with await MessageService.connect(
        mongo_uri, settings=service.settings, database=target.name
    ) as beside:
        assert await texts(beside, first) == ["edited in the history"]
        assert await texts(beside, second) == ["in the history", "and more"]


async def newest(service: MessageService, conversation: str) -> str:
    return (await service.messages.history(conversation)).items[-1].message_id


async def test_a_conversation_is_put_back_and_found_again(
    service: MessageService, database: AsyncDatabase[Row], mongo_uri: str, tmp_path: Path
) -> None:
    lost = await talk(service, ANNA, "zanzibar once", "zanzibar twice")
    kept = await talk(service, ANNA, "stays as it is")
    await service.search_index.drain()
    backups = await backups_of(database, tmp_path)
    await backups.full()
    await erase(database, lost)
    await service.messages.append(kept, "user", "said since")
    await service.drain()
    untouched = [row async for row in database["messages"].find({"conversation_id": kept})]
    assert not (await service.search.find("zanzibar", user_id=ANNA)).items

    cli = Cli(mongo_uri, database.name, tmp_path)
    words = ("restore", "--only", f"conversation:{lost}", "--put-back", "--target", str(tmp_path))
    done = json.loads(cli(*words, "--json"))["put_back"]
    assert (done["added"]["messages"], done["added"]["conversations"]) == (2, 1)
    assert await texts(service, lost) == ["zanzibar once", "zanzibar twice"]
    assert [row async for row in database["messages"].find({"conversation_id": kept})] == untouched
    await service.search_index.drain()
    assert len((await service.search.find("zanzibar", user_id=ANNA)).items) == 2
    again = json.loads(cli(*words, "--json"))["put_back"]
    assert (again["added"]["messages"], again["kept"]["messages"]) == (0, 2)
    assert f"{database.name[:50]}_put_back" not in await database.client.list_database_names()
    await service.messages.append(lost, "user", "and it goes on")


async def test_what_was_changed_is_replaced_only_when_asked(
    service: MessageService, database: AsyncDatabase[Row], tmp_path: Path
) -> None:
    conversation = await talk(service, ANNA, "the right words")
    backups = await backups_of(database, tmp_path)
    await backups.full()
    message = await newest(service, conversation)
    await service.messages.edit(conversation, message, "the wrong words")
    await service.drain()
    only = [f"conversation:{conversation}"]
    assert (await backups.put_back(only)).kept["messages"] == 1
    assert await texts(service, conversation) == ["the wrong words"]
    before = await service.messages.get(conversation, message)
    assert (await backups.put_back(only, replace=True)).replaced["messages"] == 1
    after = await service.messages.get(conversation, message)
    assert (after.text, before.text) == ("the right words", "the wrong words")
    assert after.revision > before.revision


async def test_one_collection_comes_back_exactly(
    database: AsyncDatabase[Row], target: AsyncDatabase[Row], tmp_path: Path
) -> None:
    for name in ("notes", "others"):
        await database[name].insert_many([{"_id": each, "n": each} for each in range(5)])
        await database[name].create_index("n")
    backups = await backups_of(database, tmp_path)
    await backups.full()
    await database["notes"].update_one({"_id": 1}, {"$set": {"n": "changed"}})
    await database["others"].drop()
    await backups.incremental()
    expected = await state_of(database)
    await backups.restore(only=["collection:notes"])
    assert await state_of(target) == {"notes": expected["notes"]}


@pytest.mark.parametrize("wrong", ["", "conversation", "conversation:x", "user:", "day:x", 7])
async def test_wrong_parts_are_refused(
    database: AsyncDatabase[Row], tmp_path: Path, wrong: str
) -> None:
    backups = await backups_of(database, tmp_path)
    with pytest.raises(errors.InvalidInput) as refusal:
        await backups.restore(only=[wrong])
    assert refusal.value.field == "only"
    with pytest.raises(errors.InvalidInput, match="only"):
        await backups.put_back([])
