"""Random histories against a plain scan: what search finds is what is there, and only that."""

from __future__ import annotations

import asyncio

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from message_service import MessageService, errors
from message_service.clock import SystemClock
from message_service.enrichment.text_statistics import sanitize
from message_service.enrichment.words import analyse, tokenize
from message_service.ids import IdFactory, IdKind

patient = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

WORDS = ["pizza", "Käse", "東京タワー", "running", "음식을", "l'école", "chien-loup", "قهوة", "x1"]
sentences = st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map(" ".join)
histories = st.lists(
    st.one_of(
        st.tuples(st.just("append"), sentences),
        st.tuples(st.just("edit"), st.integers(0, 30), sentences),
        st.tuples(st.just("delete"), st.integers(0, 30)),
        st.tuples(st.just("undelete"), st.integers(0, 30)),
        st.tuples(st.just("index")),
    ),
    min_size=1,
    max_size=25,
)

IDS = IdFactory(SystemClock())


@patient
@given(history=histories, limit=st.integers(1, 5))
async def test_search_finds_what_a_scan_finds(
    service: MessageService, history: list[tuple[object, ...]], limit: int
) -> None:
    user = IDS.new(IdKind.USER)
    made = await service.conversations.create(user)
    conversation = made.conversation_id
    ids: list[str] = []
    shown: dict[str, str] = {}
    hidden: dict[str, str] = {}
    for step in history:
        match step:
            case ("append", str(text)):
                said = await service.messages.append(conversation, "user", text)
                ids.append(said.message_id)
                shown[said.message_id] = text
            case ("index",):
                await service.search_index.drain()
            case (str(kind), int(place), *rest) if ids:
                one = ids[place % len(ids)]
                if kind == "edit" and one in shown:
                    shown[one] = str(rest[0])
                    await service.messages.edit(conversation, one, str(rest[0]))
                elif kind == "delete" and one in shown:
                    hidden[one] = shown.pop(one)
                    await service.messages.delete(conversation, one)
                elif kind == "undelete" and one in hidden:
                    shown[one] = hidden.pop(one)
                    await service.messages.undelete(conversation, one)
            case _:
                pass
    for word in WORDS:  # before the index has followed: nothing that is not so
        page = await service.search.find(word, user_id=user, limit=100)
        for hit in page:
            assert hit.message.text == shown[hit.message.message_id]
            assert set(tokenize(word)) <= set(tokenize(hit.message.text))
    await service.search_index.drain()
    for word in WORDS:
        expected = {one for one, text in shown.items() if word in text.split()}
        for scope in ({"user_id": user}, {"conversation_id": conversation}):
            found: list[str] = []
            cursor = None
            while True:
                page = await service.search.find(word, limit=limit, cursor=cursor, **scope)  # type: ignore[arg-type]
                found.extend(hit.message.message_id for hit in page)
                if (cursor := page.next) is None:
                    break
            assert len(found) == len(set(found))
            assert set(found) == expected
    fresh = await service.search.freshness(conversation)
    assert (fresh.complete, fresh.complete_to) == (True, len(ids))
    assert (await service.search_index.check(conversation_id=conversation)).clean


@patient
@given(texts=st.lists(st.text(max_size=40).filter(str.strip), min_size=1, max_size=8))
async def test_every_message_is_found_by_its_own_words(
    service: MessageService, texts: list[str]
) -> None:
    texts = [text.encode("utf-8", "replace").decode() for text in texts]
    user = IDS.new(IdKind.USER)
    made = await service.conversations.create(user)
    await service.messages.append_many(
        made.conversation_id, [{"role": "user", "text": text} for text in texts]
    )
    await service.search_index.drain()
    for text in texts:
        clean = sanitize(text)
        words = [word for word in tokenize(clean) if word in analyse(clean, "und").terms]
        for word in words[:3]:
            try:
                page = await service.search.find(f'"{word}"', user_id=user, limit=100)
            except errors.InvalidInput:
                continue
            assert text in {hit.message.text for hit in page}, word


@patient
@given(query=st.text(max_size=60))
async def test_any_query_is_answered_or_refused(service: MessageService, query: str) -> None:
    try:
        page = await service.search.find(query, whole_tenant=True)
    except errors.InvalidInput as error:
        assert error.fix  # noqa: PT017
        return
    assert page.examined <= 5 * 4 * 20 * 20


async def test_pages_while_others_write_and_index(service: MessageService) -> None:
    user = IDS.new(IdKind.USER)
    made = await service.conversations.create(user)
    conversation = made.conversation_id
    first = await service.messages.append_many(
        conversation, [{"role": "user", "text": f"pizza {n}"} for n in range(60)]
    )
    await service.search_index.drain()
    stop = asyncio.Event()

    async def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            await service.messages.append(conversation, "user", f"pizza again {number}")
            one = first[number % 60]
            assert not isinstance(one, errors.MessageServiceError)
            await service.messages.feedback(conversation, one.message_id, "up")
            await service.search_index.drain()

    writing = asyncio.create_task(write())
    seen: list[str] = []
    cursor = None
    while True:
        page = await service.search.find("pizza", user_id=user, limit=3, cursor=cursor)
        seen.extend(hit.message.message_id for hit in page)
        if (cursor := page.next) is None:
            break
    stop.set()
    await writing
    assert len(seen) == len(set(seen))
