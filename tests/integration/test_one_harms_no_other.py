"""What is wrong with one message or conversation is its own affair."""

import asyncio
from collections import UserDict
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from message_service import MessageService, errors
from message_service.clock import SystemClock
from message_service.ids import IdFactory, IdKind
from message_service.messages.appender import Appender
from message_service.messages.incoming import prepare
from message_service.messages.known_conversations import KnownConversations
from message_service.messages.new_message import NewMessage
from message_service.messages.outcomes import Appended
from support.catalogues import Commands
from support.servers import OwnServer, mongod_that_fails_to_order
from support.waiting import soon

USER = "user_000000000001"


def nested(depth: int) -> dict[str, Any]:
    inner: dict[str, Any] = {"end": True}
    for _ in range(depth):
        inner = {"a": inner}
    return inner


def doubling(depth: int) -> list[Any]:
    """Small in memory, 2 to the power of `depth` values when written out."""
    value: list[Any] = ["x"]
    for _ in range(depth):
        value = [value, value]
    return value


def circular() -> dict[str, Any]:
    value: dict[str, Any] = {"a": 1}
    value["self"] = [value]
    return value


@pytest.mark.parametrize(
    "metadata", [nested(120), nested(300), nested(50_000), circular(), {"many": doubling(40)}],
    ids=["120 deep", "300 deep", "50,000 deep", "circular", "doubling"],
)  # fmt: skip
async def test_a_message_of_impossible_shape_fails_alone(
    service: MessageService, metadata: dict[str, Any]
) -> None:
    made = await service.conversations.create(USER)
    conversation = made.conversation_id

    async def append(number: int) -> Appended:
        custom = metadata if number == 4 else {"n": number}
        return await service.messages.append(
            conversation, "user", f"m{number}", custom_metadata=custom
        )

    outcomes = await soon(
        "ten appends", asyncio.gather(*map(append, range(10)), return_exceptions=True)
    )
    refused = outcomes.pop(4)
    assert isinstance(refused, errors.InvalidInput)
    assert "custom_metadata" in refused.field
    assert all(isinstance(outcome, Appended) for outcome in outcomes)
    with pytest.raises(errors.InvalidInput):
        await soon("a patch", service.conversations.patch(conversation, custom_metadata=metadata))
    check = await service.messages.check(conversation)
    assert (check.complete, check.count) == (True, 9)


class Odd(UserDict[str, Any]):
    """A value that cannot be written for a reason nobody foresaw."""

    def __iter__(self) -> Any:
        raise RuntimeError(self.data["word"])


async def test_a_document_that_breaks_the_whole_command_fails_alone(
    service: MessageService, caplog: pytest.LogCaptureFixture
) -> None:
    """The server turns down a command as a whole when one document is nested too deep."""
    made = await service.conversations.create(USER)
    states = KnownConversations(service.store, 10)
    state = await states.get("default", made.conversation_id)
    appender = Appender(service.store, states, lambda *_: None, lanes=1, batch=100, deadline=10.0)
    ids = IdFactory(SystemClock())

    async def append(text: str, extra: object = None) -> Any:
        prepared = prepare(
            NewMessage.model_validate({"role": "user", "text": text}),
            tenant_id="default",
            conversation_id=made.conversation_id,
            owner=USER,
            character_id=None,
            message_id=ids.new(IdKind.MESSAGE),
            now=datetime.now(UTC),
        )
        if extra is not None:
            prepared.document["custom_metadata"] = {"extra": extra}
        [outcome] = await appender.append(state, [prepared])
        return outcome

    outcomes = await soon(
        "all of them",
        asyncio.gather(
            append("one"),
            append("too deep", nested(300)),
            append("two"),
            append("not BSON", object()),
            append("odd", Odd(word="my secret")),
            append("three"),
        ),
    )
    assert [isinstance(outcome, Appended) for outcome in outcomes] == [
        True, False, True, False, False, True,
    ]  # fmt: skip
    assert all(isinstance(outcome, Appended | errors.MessageServiceError) for outcome in outcomes)
    check = await service.messages.check(made.conversation_id)
    assert (check.complete, check.count) == (True, 3)
    assert "a message could not be written: RuntimeError" in caplog.text
    assert "secret" not in caplog.text
    await appender.close()


@pytest.mark.parametrize(
    "moment",
    [
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
        datetime(1899, 12, 31, tzinfo=UTC),
        datetime(3000, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-12))),
    ],
)
async def test_a_date_out_of_range(service: MessageService, moment: datetime) -> None:
    made = await service.conversations.create(USER)
    with pytest.raises(errors.InvalidInput) as refused:
        await service.messages.append(made.conversation_id, "user", "x", created_at=moment)
    assert refused.value.field == "created_at"
    await service.messages.append(made.conversation_id, "user", "x")
    await service.drain()
    assert (await service.conversations.get(made.conversation_id)).last_sequence_number == 1


@pytest.mark.parametrize(
    "moment", [datetime(1900, 1, 1, tzinfo=UTC), datetime(2999, 12, 31, tzinfo=UTC)]
)
async def test_the_ends_of_the_range(service: MessageService, moment: datetime) -> None:
    made = await service.conversations.create(USER)
    await service.messages.append(made.conversation_id, "user", "x", created_at=moment)
    conversation = await service.conversations.get(made.conversation_id)
    assert conversation.months == [f"{moment:%Y%m}"]


async def test_a_summary_the_server_refuses_harms_no_other(service: MessageService) -> None:
    database = service.store.database
    [info] = [
        one async for one in await database.list_collections(filter={"name": "conversations"})
    ]
    stricter = {"$and": [info["options"]["validator"], {"last_message.preview": {"$ne": "poison"}}]}
    await database.command("collMod", "conversations", validator=stricter)
    first, second = [(await service.conversations.create(USER)).conversation_id for _ in range(2)]
    await asyncio.gather(
        service.messages.append(first, "user", "poison"),
        service.messages.append(second, "user", "fine"),
    )
    await service.drain()
    page = await service.conversations.list()
    shown = {one.conversation_id: one.last_message for one in page.items}
    assert shown[first] is None
    last = shown[second]
    assert last is not None
    assert last.preview == "fine"
    assert (await service.messages.history(first)).items[0].text == "poison"


@pytest.mark.parametrize(
    ("code", "error"), [(13, errors.PermissionDenied), (14031, errors.StorageFull)]
)
async def test_a_refusal_of_the_whole_store_is_not_tried_message_by_message(
    tmp_path: Path, code: int, error: type[errors.MessageServiceError]
) -> None:
    own = OwnServer(tmp_path / "server", await mongod_that_fails_to_order(tmp_path))
    await own.start()
    try:
        commands = Commands()
        async with await MessageService.connect(own.uri, listeners=[commands]) as service:
            made = await service.conversations.create(USER)
            await service.messages.append(made.conversation_id, "user", "before")
            await service.store.database.client.admin.command(
                "configureFailPoint",
                "failCommand",
                mode="alwaysOn",
                data={"failCommands": ["insert"], "errorCode": code},
            )
            commands.sent.clear()
            outcomes = await soon(
                "twenty appends",
                asyncio.gather(
                    *(
                        service.messages.append(made.conversation_id, "user", f"m{number}")
                        for number in range(20)
                    ),
                    return_exceptions=True,
                ),
            )
            assert [type(outcome) for outcome in outcomes] == [error] * 20
            assert (
                commands.names().count("insert") <= 2
            )  # the first to come, and those that came while it was away
    finally:
        await own.stop()
