"""History: pages in both directions, around a message, by user; branches; cursors."""

from datetime import UTC, datetime

import pytest

from message_service import MessageService, Page, errors

USER = "user_000000000001"


@pytest.fixture
async def conversation(service: MessageService) -> str:
    """Twenty messages, the seventh deleted."""
    created = await service.conversations.create(USER)
    await service.messages.append_many(
        created.conversation_id,
        [{"role": "user", "text": f"m{i}", "client_msg_id": str(i)} for i in range(1, 21)],
    )
    page = await service.messages.history(created.conversation_id, after=6, limit=1)
    await service.messages.delete(created.conversation_id, page.items[0].message_id)
    return created.conversation_id


def texts(page: Page) -> list[str]:
    return [message.text for message in page]


async def _walk(service: MessageService, conversation: str, **options: object) -> list[str]:
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = await service.messages.history(
            conversation,
            limit=3,
            cursor=cursor,
            **options,  # type: ignore[arg-type]
        )
        seen += texts(page)
        cursor = page.next
        if cursor is None:
            return seen


async def test_forward_and_backward(service: MessageService, conversation: str) -> None:
    expected = [f"m{i}" for i in range(1, 21) if i != 7]
    assert await _walk(service, conversation) == expected
    assert await _walk(service, conversation, direction="backward") == expected[::-1]


async def test_deleted_messages_on_demand(service: MessageService, conversation: str) -> None:
    shown = await _walk(service, conversation, statuses=["active", "deleted"])
    assert shown == [f"m{i}" for i in range(1, 21)]


async def test_bounds(service: MessageService, conversation: str) -> None:
    page = await service.messages.history(conversation, after=3, before=7)
    assert texts(page) == ["m4", "m5", "m6"]


async def test_turning_round(service: MessageService, conversation: str) -> None:
    first = await service.messages.history(conversation, limit=5)
    second = await service.messages.history(conversation, limit=5, cursor=first.next)
    back = await service.messages.history(
        conversation, limit=5, cursor=second.previous, direction="backward"
    )
    assert texts(back) == texts(first)[::-1]


async def test_following_the_end(service: MessageService, conversation: str) -> None:
    page = await service.messages.history(conversation, limit=100)
    assert page.next is None
    nothing = await service.messages.history(conversation, cursor=page.resume)
    assert texts(nothing) == []
    await service.messages.append(conversation, "user", "new")
    later = await service.messages.history(conversation, cursor=nothing.resume)
    assert texts(later) == ["new"]


async def test_around(service: MessageService, conversation: str) -> None:
    middle = (await service.messages.history(conversation, after=9, limit=1)).items[0]
    page = await service.messages.around(conversation, middle.message_id, before=4, after=2)
    assert texts(page) == ["m5", "m6", "m8", "m9", "m10", "m11", "m12"]
    onward = await service.messages.history(conversation, limit=2, cursor=page.next)
    assert texts(onward) == ["m13", "m14"]
    before = await service.messages.history(
        conversation, limit=2, cursor=page.previous, direction="backward"
    )
    assert texts(before) == ["m4", "m3"]


async def test_around_a_deleted_message(service: MessageService, conversation: str) -> None:
    rows = await service.messages.history(conversation, statuses=["deleted"])
    page = await service.messages.around(conversation, rows.items[0].message_id, before=1, after=1)
    assert texts(page) == ["m6", "m7", "m8"]


async def test_by_user_with_equal_times(service: MessageService) -> None:
    moment = datetime(2025, 1, 15, tzinfo=UTC)
    for _ in range(3):
        conversation = (await service.conversations.create(USER)).conversation_id
        await service.messages.append_many(
            conversation,
            [{"role": "user", "text": f"t{i}", "created_at": moment} for i in range(5)],
        )
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = await service.messages.by_user(USER, limit=2, cursor=cursor)
        seen += [message.message_id for message in page]
        cursor = page.next
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 15
    assert len(await service.messages.by_user(USER, since=datetime(2026, 1, 1, tzinfo=UTC))) == 0


async def test_a_cursor_fits_only_its_listing(service: MessageService, conversation: str) -> None:
    page = await service.messages.history(conversation, limit=5)
    cursor = page.next
    assert cursor is not None
    other = (await service.conversations.create(USER)).conversation_id
    with pytest.raises(errors.InvalidCursor):
        await service.messages.history(other, cursor=cursor)
    with pytest.raises(errors.InvalidCursor):
        await service.messages.history(conversation, cursor=cursor, direction="backward")
    with pytest.raises(errors.InvalidCursor):
        await service.messages.history(conversation, cursor=cursor, statuses=["deleted"])
    with pytest.raises(errors.InvalidCursor):
        await service.messages.by_user(USER, cursor=cursor)
    with pytest.raises(errors.InvalidCursor):
        await service.conversations.list(cursor=cursor)


@pytest.mark.parametrize("bad", ["", "x", "!!!", "é", "A" * 500, "AAAAAAAAAAAAAAAAAAAAAAAA"])
async def test_a_made_up_cursor_is_refused(
    service: MessageService, conversation: str, bad: str
) -> None:
    with pytest.raises(errors.InvalidCursor):
        await service.messages.history(conversation, cursor=bad)


async def test_every_altered_character_of_a_cursor_is_noticed(
    service: MessageService, conversation: str
) -> None:
    cursor = (await service.messages.history(conversation, limit=5)).next
    assert cursor is not None
    for place, character in enumerate(cursor):
        altered = cursor[:place] + ("A" if character != "A" else "B") + cursor[place + 1 :]
        with pytest.raises(errors.InvalidCursor):
            await service.messages.history(conversation, cursor=altered)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 1_001}, "limit"),
        ({"limit": "5"}, "limit"),
        ({"direction": "sideways"}, "direction"),
        ({"statuses": ["unread"]}, "statuses"),
        ({"statuses": []}, "statuses"),
        ({"statuses": [{"$ne": ""}]}, "statuses"),
        ({"after": -1}, "after"),
        ({"before": {"$gt": 0}}, "before"),
        ({"branch": {"$ne": ""}}, "branch"),
    ],
)
async def test_bad_arguments(
    service: MessageService, conversation: str, options: dict[str, object], field: str
) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        await service.messages.history(conversation, **options)  # type: ignore[arg-type]
    assert caught.value.field == field


async def test_unknown_things(service: MessageService, conversation: str) -> None:
    with pytest.raises(errors.NotFound):
        await service.messages.history("conv_000000000404")
    with pytest.raises(errors.NotFound):
        await service.messages.history(conversation, branch="nowhere")
    with pytest.raises(errors.NotFound):
        await service.messages.get(conversation, "msg_000000000404")
    with pytest.raises(errors.NotFound):
        await service.messages.around(conversation, "msg_000000000404")


async def test_branches_are_pointers(service: MessageService, conversation: str) -> None:
    messages = service.messages
    fork = (await messages.history(conversation, after=4, limit=1)).items[0]
    branch = await messages.branch(conversation, fork.message_id, name="other")
    assert (branch.parent, branch.fork_sequence) == ("main", 5)
    before = (await messages.check(conversation)).count
    assert before == 20  # nothing was copied
    await messages.append(conversation, "assistant", "b1", branch="other")
    deeper = await messages.append(conversation, "assistant", "b2", branch="other")
    await messages.append(conversation, "user", "m21", branch="main")
    nested = await messages.branch(conversation, deeper.message_id)
    await messages.append(conversation, "user", "c1", branch=nested.name)
    shared = [f"m{i}" for i in range(1, 6)]
    assert await _walk(service, conversation, branch="other") == [*shared, "b1", "b2"]
    assert await _walk(service, conversation, branch=nested.name) == [*shared, "b1", "b2", "c1"]
    assert await _walk(service, conversation, branch=nested.name, direction="backward") == [
        "c1",
        "b2",
        "b1",
        *reversed(shared),
    ]
    assert (await _walk(service, conversation))[-1] == "m21"
    everything = await _walk(service, conversation, branch="*")
    assert len(everything) == 23
    # A branch from a message that `nested` shares with main leaves main, not `nested`.
    again = await messages.branch(conversation, fork.message_id, name="third")
    assert again.parent == "main"
    assert next(b.name for b in await messages.branches(conversation)) == "main"


async def test_a_branch_twice_is_once_but_elsewhere_is_refused(
    service: MessageService, conversation: str
) -> None:
    first, second = (await service.messages.history(conversation, limit=2)).items
    await service.messages.branch(conversation, first.message_id, name="b")
    await service.messages.branch(conversation, first.message_id, name="b")
    with pytest.raises(errors.AlreadyExists):
        await service.messages.branch(conversation, second.message_id, name="b")
    with pytest.raises(errors.AlreadyExists):
        await service.messages.branch(conversation, first.message_id, name="main")
    with pytest.raises(errors.NotFound):
        await service.messages.branch(conversation, "msg_000000000404", name="c")


async def test_switching_the_active_branch_is_seen_by_another_process(
    service: MessageService, mongo_uri: str, conversation: str
) -> None:
    async with await MessageService.connect(
        mongo_uri, settings=service.settings, conversation_staleness=3600
    ) as other:
        await other.messages.append(conversation, "user", "m21")
        fork = (await service.messages.history(conversation, limit=1)).items[0]
        await service.messages.branch(conversation, fork.message_id, name="b")
        await service.conversations.patch(conversation, active_branch="b")
        appended = await other.messages.append(conversation, "user", "on b")
    assert appended.branch == "b"
    assert texts(await service.messages.history(conversation)) == ["m1", "on b"]
    tombstones = await service.messages.history(
        conversation, branch="*", statuses=["deleted"], full=True
    )
    assert [m.raw["tombstone"]["reason"] for m in tombstones if "tombstone" in m.raw] == [
        "active branch set to b"
    ]
    assert (await service.messages.check(conversation)).complete


async def test_hundreds_of_stretches(service: MessageService) -> None:
    """A chat regenerated at every turn: each branch leaves the one before."""
    conversation = (await service.conversations.create(USER)).conversation_id
    last = await service.messages.append(conversation, "user", "0")
    for i in range(1, 120):
        branch = await service.messages.branch(conversation, last.message_id, name=f"b{i}")
        last = await service.messages.append(conversation, "user", str(i), branch=branch.name)
    expected = [str(i) for i in range(120)]
    assert await _walk(service, conversation, branch="b119") == expected
    backward = await _walk(service, conversation, branch="b119", direction="backward")
    assert backward == expected[::-1]
    window = await service.messages.context(conversation, token_budget=10_000, branch="b119")
    assert [m.text for m in window.messages] == expected
