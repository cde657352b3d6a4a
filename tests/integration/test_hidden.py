"""Hidden messages: kept, exported and found when asked for, but in no history or prompt."""

from __future__ import annotations

import pytest

from message_service import ImportReport, MessageService, Page, StoredMessage, errors

USER = "user_000000000001"


@pytest.fixture
async def conversation(service: MessageService) -> str:
    return (await service.conversations.create(USER)).conversation_id


def texts(page: Page[StoredMessage]) -> list[str]:
    return [message.text for message in page]


async def test_history_leaves_hidden_messages_out_unless_asked(
    service: MessageService, conversation: str
) -> None:
    messages = service.messages
    await messages.append(conversation, "system", "remember birds", status="hidden")
    shown = await messages.append(conversation, "user", "hello")
    await messages.append(conversation, "system", "answer soon", status="hidden")
    every = ("active", "hidden")
    assert texts(await messages.history(conversation)) == ["hello"]
    assert texts(await messages.history(conversation, statuses=every)) == [
        "remember birds",
        "hello",
        "answer soon",
    ]
    assert texts(await messages.around(conversation, shown.message_id)) == ["hello"]
    assert texts(await messages.by_user(USER)) == ["hello"]
    assert len(await messages.by_user(USER, include_hidden=True)) == 3
    assert (await messages.check(conversation)).complete


async def test_lists_show_the_last_message_that_is_not_hidden(
    service: MessageService, conversation: str
) -> None:
    await service.messages.append(conversation, "user", "hello")
    await service.messages.append(conversation, "system", "secret", status="hidden")
    listed = (await service.conversations.list(user_id=USER)).items[0]
    assert listed.last_message is not None
    assert listed.last_message.preview == "hello"
    assert listed.last_sequence_number == 2


async def test_hide_and_unhide(service: MessageService, conversation: str) -> None:
    messages = service.messages
    one = (await messages.append(conversation, "user", "one")).message_id
    hidden = await messages.hide(conversation, one)
    assert (hidden.status, hidden.revision) == ("hidden", 2)
    assert (await messages.hide(conversation, one)).revision == 2
    with pytest.raises(errors.VersionConflict):
        await messages.unhide(conversation, one, expected_revision=1)
    await messages.delete(conversation, one)
    for change in (messages.hide, messages.unhide):
        with pytest.raises(errors.Conflict, match="deleted"):
            await change(conversation, one)
    assert (await messages.undelete(conversation, one)).status == "hidden"
    assert (await messages.unhide(conversation, one)).status == "active"


async def test_search_finds_hidden_messages_only_when_asked(
    service: MessageService, conversation: str
) -> None:
    messages, search = service.messages, service.search
    await messages.append(conversation, "system", "zebra secret", status="hidden")
    plain = (await messages.append(conversation, "user", "zebra")).message_id
    await service.search_index.drain()

    async def found(query: str, *, include_hidden: bool = False) -> list[str]:
        page = await search.find(query, conversation_id=conversation, include_hidden=include_hidden)
        assert page.count.value == len(page.items)
        return sorted(hit.message.text for hit in page)

    assert await found("zebra") == ["zebra"]
    assert await found("zebra", include_hidden=True) == ["zebra", "zebra secret"]
    assert await found("zebra status:hidden") == ["zebra secret"]
    assert await found("zebra status:active", include_hidden=True) == ["zebra"]
    assert await found("zebra -status:hidden", include_hidden=True) == ["zebra"]
    with pytest.raises(errors.InvalidQuery):
        await found("zebra status:deleted")
    # Hidden since it was indexed.
    await messages.hide(conversation, plain)
    page = await search.find("zebra", conversation_id=conversation)
    assert page.items == []
    await service.search_index.drain()
    assert await found("zebra") == []
    assert len(await found("zebra", include_hidden=True)) == 2


async def test_an_export_keeps_hidden_messages_hidden(
    service: MessageService,
    conversation: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    await service.messages.append(conversation, "system", "secret", status="hidden")
    file = tmp_path_factory.mktemp("export") / "all.jsonl"
    lines = [line async for line in service.tenant("default").transfer.export_lines()]
    file.write_text("".join(lines))
    other = service.tenant("other")
    async for _ in other.transfer.import_files("jsonl", [file], ImportReport()):
        pass
    assert texts(await other.messages.history(conversation)) == []
    assert texts(await other.messages.history(conversation, statuses=["hidden"])) == ["secret"]
