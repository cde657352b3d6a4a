"""Edit, delete, undelete, feedback, pin; conversations; completeness."""

import asyncio

import pytest

from message_service import MessageService, errors
from message_service.messages import integrity

USER = "user_000000000001"


@pytest.fixture
async def message(service: MessageService) -> tuple[str, str]:
    conversation = (await service.conversations.create(USER)).conversation_id
    appended = await service.messages.append(conversation, "user", "first")
    return conversation, appended.message_id


async def test_edits_keep_every_version(service: MessageService, message: tuple[str, str]) -> None:
    for text in ("second", "third", "third"):
        edited = await service.messages.edit(*message, text, edited_by="ann")
    assert edited.text == "third"
    versions = await service.messages.versions(*message)
    assert [v.content.text for v in versions] == ["first", "second"]
    assert versions[1].content.edited_by == "ann"
    stored = edited.document()
    assert stored.content.word_count == 1
    assert stored.checksum == integrity.checksum(edited.raw)


async def test_simultaneous_edits_are_all_kept(
    service: MessageService, message: tuple[str, str]
) -> None:
    await asyncio.gather(*(service.messages.edit(*message, f"text {i}") for i in range(5)))
    versions = await service.messages.versions(*message)
    now = (await service.messages.get(*message)).text
    assert {v.content.text for v in versions} | {now} == {"first", *(f"text {i}" for i in range(5))}


async def test_an_edit_of_an_old_revision_is_refused(
    service: MessageService, message: tuple[str, str]
) -> None:
    await service.messages.edit(*message, "second", expected_revision=1)
    with pytest.raises(errors.VersionConflict):
        await service.messages.edit(*message, "third", expected_revision=1)
    assert (await service.messages.get(*message)).text == "second"


async def test_an_edit_that_died_half_way_shows_no_version(
    service: MessageService, message: tuple[str, str]
) -> None:
    stored = await service.messages.get(*message)
    scope = service.store.scope("default")
    await scope.insert_one(
        "message_versions",
        {
            "conversation_id": message[0],
            "message_id": message[1],
            "revision": 1,
            "content": stored.raw["content"],
            "replaced_at": stored.created_at,
        },
        comment="test",
    )
    await service.messages.pin(*message)
    assert await service.messages.versions(*message) == []
    await service.messages.edit(*message, "second")
    assert [v.content.text for v in await service.messages.versions(*message)] == ["first"]


async def test_delete_and_undelete(service: MessageService, message: tuple[str, str]) -> None:
    await service.messages.delete(*message)
    deleted = await service.messages.delete(*message)
    assert deleted.status == "deleted"
    assert len(await service.messages.history(message[0])) == 0
    with pytest.raises(errors.Conflict):
        await service.messages.edit(*message, "no")
    back = await service.messages.undelete(*message)
    assert back.status == "active"
    assert "deleted_at" not in back.raw["timestamps"]
    assert (await service.messages.undelete(*message)).revision == back.revision


async def test_undelete_restores_the_status(service: MessageService) -> None:
    conversation = (await service.conversations.create(USER)).conversation_id
    flagged = await service.messages.append(conversation, "user", "x", status="flagged")
    await service.messages.delete(conversation, flagged.message_id)
    back = await service.messages.undelete(conversation, flagged.message_id)
    assert back.status == "flagged"


async def test_feedback(service: MessageService, message: tuple[str, str]) -> None:
    await service.messages.feedback(*message, "down", comment="wrong", tags=["facts"])
    given = (await service.messages.feedback(*message, 5)).document()
    assert given.quality_metadata is not None
    assert given.quality_metadata.user_feedback is not None
    assert given.quality_metadata.user_feedback.rating == "5"
    assert given.quality_metadata.user_feedback.comment is None
    assert given.custom_metadata is not None
    assert given.custom_metadata.user_satisfaction == 1.0
    with pytest.raises(errors.InvalidInput) as caught:
        await service.messages.feedback(*message, "meh")
    assert caught.value.field == "rating"


async def test_a_hole_is_found_and_closed_with_a_reason(service: MessageService) -> None:
    conversation = (await service.conversations.create(USER)).conversation_id
    appended = await service.messages.append_many(
        conversation, [{"role": "user", "text": f"m{i}"} for i in range(6)]
    )
    for place in (1, 2, 4):
        await service.store.collection("messages").delete_one(
            {
                "conversation_id": conversation,
                "tenant_id": "default",
                "message_id": appended[place].message_id,  # type: ignore[union-attr]
            }
        )
    found = await service.messages.check(conversation)
    assert found.holes == (2, 3, 5)
    assert not found.complete
    assert await service.messages.close_holes(conversation, reason="lost in a restore") == 3
    assert (await service.messages.check(conversation)).complete
    closed = await service.messages.history(
        conversation, branch="*", statuses=["deleted"], full=True
    )
    assert {m.raw["tombstone"]["reason"] for m in closed} == {"lost in a restore"}
    with pytest.raises(errors.Conflict):
        await service.messages.undelete(conversation, closed.items[0].message_id)
    assert (await service.messages.append(conversation, "user", "next")).sequence_number == 7


async def test_equal_conversations_have_equal_digests(service: MessageService) -> None:
    conversation = (await service.conversations.create(USER)).conversation_id
    await service.messages.append(conversation, "user", "x")
    one = await service.messages.check(conversation)
    assert (await service.messages.check(conversation)).digest == one.digest
    await service.messages.append(conversation, "user", "y")
    assert (await service.messages.check(conversation)).digest != one.digest


async def test_conversation_fields(service: MessageService) -> None:
    made = await service.conversations.create(
        USER, character_id="char_000000000001", title="One", custom_metadata={"mood": "calm"}
    )
    await service.messages.append(made.conversation_id, "user", "Hello Luna!")
    got = await service.conversations.get(made.conversation_id)
    assert got.last_sequence_number == 1
    assert got.last_message is not None
    assert got.last_message.preview == "Hello Luna!"
    assert got.months is not None
    assert len(got.months) == 1
    changed = await service.conversations.patch(
        made.conversation_id, title=None, custom_metadata={"mood": "wild"}
    )
    assert changed.title is None
    assert changed.custom_metadata == {"mood": "wild"}
    assert changed.character_id == "char_000000000001"
    with pytest.raises(errors.VersionConflict):
        await service.conversations.patch(made.conversation_id, title="x", expected_revision=1)


async def test_creating_twice(service: MessageService) -> None:
    made = await service.conversations.create(USER)
    with pytest.raises(errors.AlreadyExists):
        await service.conversations.create(USER, conversation_id=made.conversation_id)
    same = await service.conversations.create(
        USER, conversation_id=made.conversation_id, exist_ok=True
    )
    assert same.created_at == made.created_at
    with pytest.raises(errors.AlreadyExists):
        await service.conversations.create(
            "user_000000000002", conversation_id=made.conversation_id, exist_ok=True
        )


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"title": "x" * 501}, "title"),
        ({"state": "gone"}, "state"),
        ({"state": None}, "state"),
        ({"active_branch": "no way"}, "branch"),
        ({"custom_metadata": {"$set": 1}}, "custom_metadata.'$set'"),
        ({"character_id": "luna"}, "character_id"),
    ],
)
async def test_bad_patches(service: MessageService, fields: dict[str, object], field: str) -> None:
    made = await service.conversations.create(USER)
    with pytest.raises(errors.InvalidInput) as caught:
        await service.conversations.patch(made.conversation_id, **fields)  # type: ignore[arg-type]
    assert caught.value.field == field
    assert (await service.conversations.get(made.conversation_id)).revision == 1


async def test_listing_pages_through_all(service: MessageService) -> None:
    for i in range(25):
        await service.conversations.create(
            f"user_00000000000{i % 2}", character_id=f"char_00000000000{i % 3}"
        )
    for options, expected in (
        ({}, 25),
        ({"user_id": "user_000000000000"}, 13),
        ({"character_id": "char_000000000002"}, 8),
    ):
        seen: list[str] = []
        cursor: str | None = None
        while True:
            page = await service.conversations.list(limit=4, cursor=cursor, **options)  # type: ignore[arg-type]
            seen += [one.conversation_id for one in page.items]
            cursor = page.next
            if cursor is None:
                break
        assert len(seen) == len(set(seen)) == expected


async def test_a_message_never_edited_has_no_versions(service: MessageService) -> None:
    conversation = (await service.conversations.create(USER)).conversation_id
    done = await service.messages.append(conversation, "user", "as it was")
    assert await service.messages.versions(conversation, done.message_id) == []


async def preview(service: MessageService, conversation_id: str) -> str | None:
    [listed] = (await service.conversations.list()).items
    assert listed.conversation_id == conversation_id
    return None if listed.last_message is None else listed.last_message.preview


async def test_lists_follow_the_last_message(service: MessageService) -> None:
    messages = service.messages
    conversation_id = (await service.conversations.create(USER)).conversation_id
    first = await messages.append(conversation_id, "user", "first")
    second = await messages.append(conversation_id, "assistant", "second")
    # The note of an append that is still to be written must not bring a text back.
    await messages.edit(conversation_id, second.message_id, "edited")
    assert await preview(service, conversation_id) == "edited"
    await messages.edit(conversation_id, first.message_id, "not the last")
    assert await preview(service, conversation_id) == "edited"
    await messages.hide(conversation_id, second.message_id)
    assert await preview(service, conversation_id) == "not the last"
    await messages.delete(conversation_id, first.message_id)
    assert await preview(service, conversation_id) is None
    await messages.unhide(conversation_id, second.message_id)
    assert await preview(service, conversation_id) == "edited"
    await messages.undelete(conversation_id, first.message_id)
    assert await preview(service, conversation_id) == "edited"
    await messages.append(conversation_id, "user", "third")
    await service.drain()
    assert await preview(service, conversation_id) == "third"


async def test_lists_show_the_last_message_of_the_active_branch(service: MessageService) -> None:
    messages = service.messages
    conversation_id = (await service.conversations.create(USER)).conversation_id
    question = await messages.append(conversation_id, "user", "question")
    await messages.append(conversation_id, "assistant", "on main")
    branch = await messages.branch(conversation_id, question.message_id)
    other = await messages.append(conversation_id, "assistant", "other", branch=branch.name)
    await messages.delete(conversation_id, other.message_id)
    assert await preview(service, conversation_id) == "on main"


async def test_lists_are_true_after_changes_at_once(service: MessageService) -> None:
    messages = service.messages
    conversation_id = (await service.conversations.create(USER)).conversation_id
    appended = [await messages.append(conversation_id, "user", f"{n}") for n in range(8)]
    await asyncio.gather(
        *(messages.delete(conversation_id, one.message_id) for one in appended[3:]),
        *(messages.edit(conversation_id, one.message_id, "edited") for one in appended[:3]),
    )
    assert await preview(service, conversation_id) == "edited"
