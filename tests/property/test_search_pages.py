"""A listing of hits, paged through while its messages are pinned, rated and written about."""

from __future__ import annotations

import secrets
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from message_service import MessageService

patient = settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

meanwhile = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["pin", "unpin", "up", "down", "edit"]), st.integers(0, 43)),
        st.tuples(st.just("append"), st.just(0)),
    ),
    max_size=12,
)


@patient
@given(limit=st.integers(1, 15), changes=st.lists(meanwhile, min_size=1, max_size=5))
async def test_pages_neither_skip_nor_repeat_a_hit_whose_text_stays(
    service: MessageService, limit: int, changes: list[list[tuple[str, int]]]
) -> None:
    tenant = service.tenant(f"t{secrets.token_hex(8)}")
    made = await tenant.conversations.create("user_000000000001")
    conversation = made.conversation_id
    ids: list[str] = []
    for number in range(44):
        done = await tenant.messages.append(conversation, "user", f"apple {number % 7} pear")
        ids.append(done.message_id)
    await service.search_index.drain()
    edited: set[str] = set()

    async def disturb(steps: list[tuple[str, int]]) -> None:
        for what, number in steps:
            message: Any = ids[number]
            if what in ("pin", "unpin"):
                await tenant.messages.pin(conversation, message, pinned=what == "pin")
            elif what == "edit":
                await tenant.messages.edit(conversation, message, f"apple edited {number}")
                edited.add(message)
            elif what == "append":
                await tenant.messages.append(conversation, "user", "apple new")
            else:
                await tenant.messages.feedback(conversation, message, what)
        await service.search_index.drain()

    page = await tenant.search.find("apple", conversation_id=conversation, limit=limit)
    found = [hit.message.message_id for hit in page]
    pages = 1
    while page.next is not None:
        await disturb(changes[pages % len(changes)])
        page = await tenant.search.find(
            "apple", conversation_id=conversation, limit=limit, cursor=page.next
        )
        found += [hit.message.message_id for hit in page]
        pages += 1
    assert len(found) == len(set(found))
    assert set(ids) - edited <= set(found)
