"""Append: numbers, idempotency, groups, references, bad input."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from pymongo.monitoring import CommandListener

from message_service import MessageService, errors
from message_service.messages.outcomes import Appended

USER = "user_000000000001"


@pytest.fixture
async def conversation(service: MessageService) -> str:
    created = await service.conversations.create(USER)
    return created.conversation_id


async def test_numbers_follow_one_another(service: MessageService, conversation: str) -> None:
    numbers = [
        (await service.messages.append(conversation, "user", f"m{i}")).sequence_number
        for i in range(5)
    ]
    assert numbers == [1, 2, 3, 4, 5]


async def test_concurrent_appends_take_each_number_once(
    service: MessageService, conversation: str
) -> None:
    done = await asyncio.gather(
        *(service.messages.append(conversation, "user", f"m{i}") for i in range(300))
    )
    assert sorted(a.sequence_number for a in done) == list(range(1, 301))
    assert (await service.messages.check(conversation)).complete


async def test_two_services_writing_one_conversation_leave_no_hole(
    service: MessageService, mongo_uri: str, conversation: str
) -> None:
    async with await MessageService.connect(mongo_uri, settings=service.settings) as other:
        done = await asyncio.gather(
            *(
                writer.messages.append(conversation, "user", f"m{i}")
                for i in range(100)
                for writer in (service, other)
            )
        )
    assert sorted(a.sequence_number for a in done) == list(range(1, 201))


async def test_same_key_same_content_is_a_duplicate(
    service: MessageService, conversation: str
) -> None:
    first = await service.messages.append(conversation, "user", "hello", client_msg_id="k")
    again = await service.messages.append(conversation, "user", "hello", client_msg_id="k")
    assert again.duplicate
    assert not first.duplicate
    assert again.message_id == first.message_id
    assert again.sequence_number == first.sequence_number
    assert (await service.messages.check(conversation)).count == 1


async def test_same_key_other_content_is_a_conflict_and_changes_nothing(
    service: MessageService, conversation: str
) -> None:
    first = await service.messages.append(conversation, "user", "hello", client_msg_id="k")
    with pytest.raises(errors.IdempotencyConflict) as caught:
        await service.messages.append(conversation, "user", "other", client_msg_id="k")
    assert caught.value.http_status == 409
    stored = await service.messages.get(conversation, first.message_id)
    assert stored.text == "hello"


async def test_the_key_outlives_edit_and_deletion(
    service: MessageService, conversation: str
) -> None:
    first = await service.messages.append(conversation, "user", "hello", client_msg_id="k")
    await service.messages.edit(conversation, first.message_id, "changed")
    await service.messages.delete(conversation, first.message_id)
    again = await service.messages.append(conversation, "user", "hello", client_msg_id="k")
    assert again.duplicate
    assert again.message_id == first.message_id


async def test_racing_retries_store_one_message(service: MessageService, conversation: str) -> None:
    done = await asyncio.gather(
        *(
            service.messages.append(conversation, "user", "hello", client_msg_id="k")
            for _ in range(64)
        )
    )
    assert sum(not one.duplicate for one in done) == 1
    assert len({one.message_id for one in done}) == 1
    assert (await service.messages.check(conversation)).count == 1


async def test_a_key_belongs_to_its_conversation(
    service: MessageService, conversation: str
) -> None:
    other = (await service.conversations.create(USER)).conversation_id
    first = await service.messages.append(conversation, "user", "hello", client_msg_id="k")
    second = await service.messages.append(other, "user", "else", client_msg_id="k")
    assert not second.duplicate
    assert second.message_id != first.message_id


async def test_append_many_gives_each_its_result(
    service: MessageService, conversation: str
) -> None:
    await service.messages.append(conversation, "user", "one", client_msg_id="1")
    results = await service.messages.append_many(
        conversation,
        [
            {"role": "user", "text": "zero"},
            {"role": "user", "text": "one", "client_msg_id": "1"},
            {"role": "user", "text": "not one", "client_msg_id": "1"},
            {"role": "assistant", "text": "two", "client_msg_id": "2"},
            {"role": "assistant", "text": "two", "client_msg_id": "2"},
        ],
    )
    kinds = [
        ("duplicate" if r.duplicate else "new") if isinstance(r, Appended) else r.code
        for r in results
    ]
    assert kinds == ["new", "duplicate", "idempotency_conflict", "new", "duplicate"]
    assert (await service.messages.check(conversation)).count == 3


async def test_a_refusal_in_the_middle_of_a_round_trip_leaves_no_hole(
    service: MessageService, conversation: str
) -> None:
    results = await service.messages.append_many(
        conversation,
        [
            {"role": "user", "text": "a", "client_msg_id": "k"},
            {"role": "user", "text": "a", "client_msg_id": "k"},
            {"role": "user", "text": "b"},
        ],
    )
    assert [r.sequence_number for r in results if isinstance(r, Appended)] == [1, 1, 2]
    assert (await service.messages.check(conversation)).complete


async def test_append_many_writes_nothing_when_one_is_wrong(
    service: MessageService, conversation: str
) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        await service.messages.append_many(
            conversation,
            [{"role": "user", "text": "fine"}, {"role": "narrator", "text": "wrong"}],
        )
    assert caught.value.field == "messages.1.role"
    assert (await service.messages.check(conversation)).count == 0


async def test_append_many_keeps_order_over_many_round_trips(
    mongo_uri: str, service: MessageService, conversation: str
) -> None:
    async with await MessageService.connect(
        mongo_uri, settings=service.settings, append_batch=7
    ) as small:
        results = await small.messages.append_many(
            conversation, [{"role": "user", "text": f"m{i}"} for i in range(40)]
        )
    assert [r.sequence_number for r in results if isinstance(r, Appended)] == list(range(1, 41))
    texts = [m.text for m in await service.messages.history(conversation, limit=100)]
    assert texts == [f"m{i}" for i in range(40)]


async def test_a_parent_must_exist(service: MessageService, conversation: str) -> None:
    with pytest.raises(errors.NotFound, match="msg_000000000404"):
        await service.messages.append(
            conversation, "user", "orphan", parent_message_id="msg_000000000404"
        )
    assert (await service.messages.check(conversation)).count == 0
    parent = await service.messages.append(conversation, "user", "parent")
    child = await service.messages.append(
        conversation, "assistant", "child", parent_message_id=parent.message_id
    )
    stored = await service.messages.get(conversation, child.message_id)
    assert stored.parent_message_id == parent.message_id


async def test_derived_fields(service: MessageService, conversation: str) -> None:
    appended = await service.messages.append(
        conversation,
        "assistant",
        "Hello Luna!\x07 How are you today?",
        token_usage={"prompt_tokens": 245, "completion_tokens": 67, "prompt_cost": "0.001835",
                     "completion_cost": Decimal("0.000503")},
    )  # fmt: skip
    message = (await service.messages.get(conversation, appended.message_id)).document()
    content = message.content
    assert content.text == "Hello Luna!\x07 How are you today?"
    assert content.sanitized_text == "Hello Luna! How are you today?"
    assert content.word_count == 6
    assert content.character_count == 31
    assert content.estimated_reading_time_seconds == 2
    assert content.content_hash is not None
    assert content.content_hash.startswith("sha256:")
    assert message.partition_key == conversation
    assert message.checksum is not None
    assert message.token_usage is not None
    assert message.token_usage.total_tokens == 312
    assert message.token_usage.total_cost == Decimal("0.002338")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"role": "narrator"}, "role"),
        ({"status": "unread"}, "status"),
        ({"status": "deleted"}, "status"),
        ({"message_type": "tombstone"}, "message_type"),
        ({"created_at": datetime(2025, 1, 1)}, "created_at"),  # noqa: DTZ001
        ({"token_usage": {"prompt_tokens": -1}}, "token_usage.prompt_tokens"),
        (
            {"token_usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 4}},
            "token_usage.total_tokens",
        ),
        ({"token_usage": {"total_tokens": 2**63}}, "token_usage.total_tokens"),
        ({"token_usage": {"total_cost": "-0.1"}}, "token_usage.total_cost"),
        ({"text": ""}, "text"),
        ({"text": "x" * 50_001}, "text"),
        ({"text": "😀" * 40_001}, "text"),
        ({"text": "a\ud800b"}, "text"),
        ({"message_id": "msg_short"}, "message_id"),
        ({"message_id": "msg_000000000001\n"}, "message_id"),
        ({"user_id": "bob"}, "user_id"),
        ({"branch": "no spaces"}, "branch"),
        ({"colour": "red"}, "colour"),
        ({"custom_metadata": {"$where": "1"}}, "custom_metadata.'$where'"),
        ({"custom_metadata": {"a": {"b.c": 1}}}, "custom_metadata.a.'b.c'"),
        ({"custom_metadata": {"_text_language": "zh"}}, "custom_metadata.'_text_language'"),
        ({"custom_metadata": {"big": "x" * 20_000}}, "custom_metadata"),
        ({"custom_metadata": {"set": {1, 2}}}, "custom_metadata"),
        ({"client_msg_id": ""}, "client_msg_id"),
        ({"client_msg_id": {"$ne": None}}, "client_msg_id"),
        ({"parent_message_id": {"$gt": ""}}, "parent_message_id"),
    ],
)
async def test_bad_input_names_the_field_and_stores_nothing(
    service: MessageService, conversation: str, fields: dict[str, object], field: str
) -> None:
    values = {"role": "user", "text": "fine", **fields}
    with pytest.raises(errors.InvalidInput) as caught:
        await service.messages.append(conversation, **values)  # type: ignore[arg-type]
    assert caught.value.field == field
    assert caught.value.fix
    assert (await service.messages.check(conversation)).count == 0


@pytest.mark.parametrize("bad", ["conv_1", "conv_000000000001\n", {"$ne": ""}, None, 7, b"conv_x"])
async def test_a_malformed_conversation_id_is_refused_everywhere(
    service: MessageService, bad: object
) -> None:
    messages = service.messages
    for call in (
        lambda: messages.append(bad, "user", "x"),  # type: ignore[arg-type]
        lambda: messages.history(bad),  # type: ignore[arg-type]
        lambda: messages.get(bad, "msg_000000000001"),  # type: ignore[arg-type]
        lambda: messages.context(bad, token_budget=10),  # type: ignore[arg-type]
        lambda: messages.check(bad),  # type: ignore[arg-type]
        lambda: messages.branch(bad, None),  # type: ignore[arg-type]
        lambda: service.conversations.get(bad),  # type: ignore[arg-type]
    ):
        with pytest.raises(errors.InvalidId):
            await call()


async def test_any_aware_time_zone_is_stored_as_utc_milliseconds(
    service: MessageService, conversation: str
) -> None:
    local = datetime(2025, 1, 15, 5, 30, 0, 123_999, timezone(timedelta(hours=-5)))
    appended = await service.messages.append(conversation, "user", "x", created_at=local)
    stored = await service.messages.get(conversation, appended.message_id)
    assert stored.created_at == datetime(2025, 1, 15, 10, 30, 0, 123_000, UTC)


async def test_text_at_the_limit_is_stored(service: MessageService, conversation: str) -> None:
    for text in ("x" * 50_000, "語" * 50_000, "😀" * 40_000, "\0\x01\u202e", "\ufeff", " "):
        appended = await service.messages.append(conversation, "user", text)
        assert (await service.messages.get(conversation, appended.message_id)).text == text


async def test_a_number_beyond_32_bits_is_stored(
    service: MessageService, conversation: str
) -> None:
    appended = await service.messages.append(
        conversation, "assistant", "x", token_usage={"total_tokens": 2**40}
    )
    document = (await service.messages.get(conversation, appended.message_id)).document()
    assert document.token_usage is not None
    assert document.token_usage.total_tokens == 2**40


async def test_an_archived_conversation_takes_no_messages(
    service: MessageService, mongo_uri: str, conversation: str
) -> None:
    async with await MessageService.connect(mongo_uri, settings=service.settings) as other:
        await other.messages.append(conversation, "user", "remembered by the other")
        await service.conversations.patch(conversation, state="archived")
        for writer in (service, other):
            with pytest.raises(errors.ConversationClosed):
                await writer.messages.append(conversation, "user", "too late")
        await service.conversations.patch(conversation, state="active")
        await service.messages.append(conversation, "user", "again")
    proof = await service.messages.check(conversation)
    assert proof.complete


class _Counter(CommandListener):
    def __init__(self) -> None:
        self.names: list[str] = []

    def started(self, event) -> None:  # type: ignore[no-untyped-def]
        if event.command.get("comment") is not None:
            self.names.append(event.command["comment"])

    def succeeded(self, event) -> None:  # type: ignore[no-untyped-def]
        pass

    def failed(self, event) -> None:  # type: ignore[no-untyped-def]
        pass


async def test_round_trips(mongo_uri: str, service: MessageService, conversation: str) -> None:
    """One for an uncontended append; concurrent appends share theirs."""
    counter = _Counter()
    async with await MessageService.connect(
        mongo_uri, settings=service.settings, listeners=[counter]
    ) as watched:
        await watched.messages.append(conversation, "user", "first: reads the conversation")
        await watched.drain()
        counter.names.clear()
        await watched.messages.append(conversation, "user", "second", client_msg_id="k")
        assert counter.names == ["messages.append"]
        await watched.drain()
        counter.names.clear()
        await asyncio.gather(
            *(watched.messages.append(conversation, "user", f"m{i}") for i in range(100))
        )
        assert counter.names.count("messages.append") <= 3


async def test_an_expected_tail_above_the_tail_leaves_no_hole(service: MessageService) -> None:
    conversation = (await service.conversations.create(USER)).conversation_id
    await service.messages.append(conversation, "user", "first")
    [refused] = await service.messages.append_many(
        conversation, [{"role": "user", "text": "second"}], expected_tail=2**31
    )
    assert isinstance(refused, errors.VersionConflict)
    assert (await service.messages.check(conversation)).last == 1
