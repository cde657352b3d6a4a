"""Search through the public calls: what is found, in which order, and what never is."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from message_service import MessageService, SearchPage, errors
from message_service.catalogue.queries.search import TERM_IDS
from message_service.documents.row import Row
from message_service.schema.plan_check import check_plan
from message_service.search.candidates import MAX_LIST

USER = "user_000000000001"

Database = AsyncDatabase[Row]
OTHER = "user_000000000002"
START = datetime(2025, 3, 1, 12, tzinfo=UTC)


async def said(service: MessageService, *texts: str, user: str = USER, **fields: object) -> str:
    made = await service.conversations.create(user)
    await service.messages.append_many(
        made.conversation_id,
        [
            {
                "role": "user",
                "text": text,
                "created_at": START + timedelta(minutes=place),
                **fields,
            }
            for place, text in enumerate(texts)
        ],
    )
    await service.search_index.drain()
    return made.conversation_id


def texts(page: SearchPage) -> list[str]:
    return [hit.message.text for hit in page]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("pizza", {"Pizza with cheese", "two pizzas please"}),
        ("PIZZA cheese", {"Pizza with cheese"}),
        ('"with cheese"', {"Pizza with cheese", "bread with cheese"}),
        ("cheese -pizza", {"bread with cheese"}),
        ('cheese -"bread with"', {"Pizza with cheese"}),
        ("chee*", {"Pizza with cheese", "bread with cheese"}),
        ("programacion", {"me gusta la programación"}),
        ("programación", {"me gusta la programación"}),
        ("東京", {"私は東京が好きです"}),
        ("東", {"私は東京が好きです"}),
        ("好きです", {"私は東京が好きです"}),
        ("京東", set[str]()),
        ("음식", {"저는 음식을 좋아해요"}),
        ("has:link", {"see https://example.com now"}),
        ("example", {"see https://example.com now"}),
        ("🎉", {"party 🎉"}),
        ("apfel", {"Die Äpfel sind grün"}),
    ],
)
async def test_what_is_found(service: MessageService, query: str, found: set[str]) -> None:
    conversation = await said(
        service,
        "Pizza with cheese",
        "two pizzas please",
        "bread with cheese",
        "me gusta la programación",
        "私は東京が好きです",
        "저는 음식을 좋아해요",
        "see https://example.com now",
        "party 🎉",
        "Die Äpfel sind grün",
    )
    for scope in ({"conversation_id": conversation}, {"user_id": USER}, {"whole_tenant": True}):
        page = await service.search.find(query, **scope)  # type: ignore[arg-type]
        assert set(texts(page)) == found
        assert (page.count.value, page.count.exact) == (len(found), True)
        for hit in page:
            assert hit.snippet.highlights or query.startswith("has:")


async def test_filters(service: MessageService) -> None:
    made = await service.conversations.create(USER, character_id="char_000000000001")
    answer = {
        "role": "assistant",
        "text": "pizza is a good idea",
        "created_at": START + timedelta(days=5),
        "llm_metadata": {"provider": "openai", "model": "gpt-4o"},
    }
    question = {"role": "user", "text": "¿quieres pizza esta noche?", "created_at": START}
    await service.messages.append_many(made.conversation_id, [question, answer])
    await service.search_index.drain()

    async def found(query: str) -> list[str]:
        return [hit.message.role for hit in await service.search.find(query, user_id=USER)]

    assert sorted(await found("pizza")) == ["assistant", "user"]
    for query in (
        "pizza role:assistant",
        "pizza model:gpt-4o",
        "pizza provider:openai",
        "pizza from:2025-03-02",
        "pizza lang:en",
        "pizza -role:user",
        "pizza -lang:es",
    ):
        assert await found(query) == ["assistant"], query
    for query in (
        "pizza role:user",
        "pizza to:2025-03-01",
        "pizza lang:es",
        "pizza from:2025-03-01T12:00:00Z to:2025-03-01T12:00:00Z",
        f"pizza conversation:{made.conversation_id} character:char_000000000001 role:user",
    ):
        assert await found(query) == ["user"], query
    assert await found("pizza character:char_000000000002") == []
    assert await found("pizza model:none") == []


async def test_a_scope_must_be_named_and_not_contradicted(service: MessageService) -> None:
    conversation = await said(service, "pizza")
    with pytest.raises(errors.InvalidQuery, match="scope: is missing"):
        await service.search.find("pizza")
    assert len(await service.search.find(f"pizza user:{USER}")) == 1
    assert len(await service.search.find(f"pizza conversation:{conversation}")) == 1
    with pytest.raises(errors.InvalidQuery, match="contradicts"):
        await service.search.find(f"pizza user:{OTHER}", user_id=USER)
    with pytest.raises(errors.NotFound):
        await service.search.find("pizza", conversation_id="conv_000000000000")
    both = await service.search.find("pizza", user_id=OTHER, conversation_id=conversation)
    assert not both.hits


async def test_all_tenants_only_for_an_admin(service: MessageService) -> None:
    await said(service, "pizza here")
    acme = service.tenant("acme")
    made = await acme.conversations.create(USER)
    await acme.messages.append(made.conversation_id, "user", "pizza there")
    await service.search_index.drain()
    assert texts(await service.search.find("pizza", user_id=USER)) == ["pizza here"]
    assert texts(await acme.search.find("pizza", whole_tenant=True)) == ["pizza there"]
    with pytest.raises(errors.InvalidQuery, match="admin"):
        await service.search_index.find_everywhere("pizza")
    found = await service.search_index.find_everywhere("pizza", admin=True)
    assert {(tenant, hit.message.text) for tenant, hit in found} == {
        ("default", "pizza here"),
        ("acme", "pizza there"),
    }


async def test_what_is_deleted_edited_or_expired_is_not_returned_even_before_the_index_follows(
    service: MessageService, database: Database
) -> None:
    conversation = await said(service, "pizza one", "pizza two", "pizza three", "pizza four")
    page = await service.search.find("pizza", conversation_id=conversation)
    ids = {hit.message.text: hit.message.message_id for hit in page}
    await service.messages.delete(conversation, ids["pizza one"])
    await service.messages.edit(conversation, ids["pizza two"], "now it is sushi")
    await service.messages.edit(conversation, ids["pizza three"], "still pizza, but longer")
    await database.get_collection("messages").update_one(
        {"conversation_id": conversation, "message_id": ids["pizza four"]},
        {"$set": {"delete_at": datetime(2025, 1, 1, tzinfo=UTC)}},
    )
    page = await service.search.find("pizza", conversation_id=conversation)
    assert texts(page) == ["still pizza, but longer"]
    assert not page.freshness.complete
    await service.search_index.drain()
    page = await service.search.find("pizza", conversation_id=conversation)
    assert texts(page) == ["still pizza, but longer"]
    assert texts(await service.search.find("sushi", conversation_id=conversation)) == [
        "now it is sushi"
    ]
    await service.messages.undelete(conversation, ids["pizza one"])
    await service.search_index.drain()
    page = await service.search.find("pizza", conversation_id=conversation)
    assert set(texts(page)) == {"pizza one", "still pizza, but longer"}


async def test_no_message_with_all_words_gives_those_with_some_and_says_so(
    service: MessageService,
) -> None:
    conversation = await said(service, "pizza with ham", "green apple", "nothing")
    page = await service.search.find("pizza apple", conversation_id=conversation)
    assert set(texts(page)) == {"pizza with ham", "green apple"}
    assert page.matched == "some"
    assert "some of them" in page.notes[0]
    page = await service.search.find("pizza ham", conversation_id=conversation)
    assert (page.matched, page.notes) == ("all", ())


@pytest.mark.parametrize("query", ["the of", "!!!", ".*", '"the"'])
async def test_nothing_to_look_for_is_an_empty_answer_with_the_reason(
    service: MessageService, query: str
) -> None:
    conversation = await said(service, "the pizza of it")
    page = await service.search.find(query, conversation_id=conversation)
    assert (page.hits, page.next, page.examined) == ([], None, 0)
    assert "nothing to look for" in page.notes[0]


async def test_the_score_is_what_its_explanation_says(service: MessageService) -> None:
    conversation = await said(service, "pizza " * 3, "pizza with a lot of other words around it")
    page = await service.search.find("pizza", conversation_id=conversation)
    assert [hit.score for hit in page] == sorted((hit.score for hit in page), reverse=True)
    for hit in page:
        why = hit.explanation
        assert hit.score == pytest.approx(why.text * why.weight, abs=1e-5)
        assert why.text == pytest.approx(sum(why.words.values()) + why.proximity, abs=1e-5)
        share = {"importance": 0.3, "recency": 0.3, "engagement": 0.15, "quality": 0.25}
        weight = 0.5 + 0.5 * sum(share[name] * value for name, value in why.weights.items())
        assert why.weight == pytest.approx(weight, abs=1e-5)


async def test_weights_reorder_equal_texts(service: MessageService) -> None:
    conversation = await said(service, "pizza", "pizza", "pizza")
    page = await service.messages.history(conversation)
    first = page.items[0].message_id
    await service.messages.pin(conversation, first)
    await service.messages.feedback(conversation, first, "up")
    await service.search_index.drain()
    found = await service.search.find("pizza", conversation_id=conversation)
    assert found.hits[0].message.message_id == first
    assert found.hits[0].explanation.weights["importance"] == pytest.approx(0.95)
    assert texts(await service.search.find("pizza has:pin", user_id=USER)) == ["pizza"]


async def test_recency_is_counted_when_asked(service: MessageService, database: Database) -> None:
    made = await service.conversations.create(USER)
    now = datetime.now(UTC)
    for age in (0, 30, 3000):
        await service.messages.append(
            made.conversation_id, "user", "pizza", created_at=now - timedelta(days=age)
        )
    await service.search_index.drain()
    page = await service.search.find("pizza", user_id=USER)
    recency = [hit.explanation.weights["recency"] for hit in page]
    assert recency == pytest.approx([1, 0.5, 0], abs=0.01)
    entry = await database.get_collection("message_search_index").find_one({})
    assert entry is not None
    assert "recency_score" not in entry["search_weights"]


async def test_pages_show_each_message_once_and_all_of_them(service: MessageService) -> None:
    conversation = await said(service, *(f"pizza number {n}" for n in range(95)))
    seen: list[str] = []
    cursor = None
    while True:
        page = await service.search.find(
            "pizza", conversation_id=conversation, limit=2, cursor=cursor
        )
        seen.extend(texts(page))
        assert page.examined <= 5 * 4 * 20 * 2
        if page.next is None:
            break
        cursor = page.next
        # Another message is written and indexed between every two pages.
        await service.messages.append(conversation, "user", f"pizza later {len(seen)}")
        await service.search_index.drain()
    assert sorted(seen) == sorted(f"pizza number {n}" for n in range(95))


async def test_the_count_is_exact_or_says_that_it_is_a_bound(service: MessageService) -> None:
    conversation = await said(service, *(f"pizza number {n}" for n in range(60)))
    page = await service.search.find("pizza", conversation_id=conversation, limit=10)
    assert (page.count.value, page.count.exact, str(page.count)) == (60, True, "60")
    page = await service.search.find("pizza", conversation_id=conversation, limit=2)
    assert not page.count.exact
    assert 40 <= page.count.value < 60
    assert str(page.count).startswith("at least")


async def test_a_cursor_belongs_to_its_search(service: MessageService) -> None:
    conversation = await said(service, "pizza", "pizza", "cheese", "cheese")
    page = await service.search.find("pizza", conversation_id=conversation, limit=1)
    assert page.next is not None
    for query, scope in (
        ("cheese", {"conversation_id": conversation}),
        ("pizza", {"user_id": USER}),
    ):
        with pytest.raises(errors.InvalidCursor):
            await service.search.find(query, limit=1, cursor=page.next, **scope)  # type: ignore[arg-type]
    with pytest.raises(errors.InvalidCursor):
        await service.search.find(
            "pizza", conversation_id=conversation, limit=1, cursor=page.next[:-2] + "xx"
        )
    with pytest.raises(errors.InvalidCursor):
        await service.tenant("other").search.find("pizza", user_id=USER, cursor=page.next)


@pytest.mark.parametrize("limit", [0, -1, 101, "5"])
async def test_limits(service: MessageService, limit: int) -> None:
    with pytest.raises(errors.InvalidInput, match="limit"):
        await service.search.find("pizza", user_id=USER, limit=limit)


async def test_the_designs_text_query(service: MessageService) -> None:
    conversation = await said(service, "quantum computing", "quantum of solace", "東京タワー")
    found = await service.search.matching(USER, "quantum computing", since=START)
    assert found[0].text == "quantum computing"
    assert found[0].raw["score"] > found[1].raw["score"]
    assert await service.search.matching(USER, "東京", since=START)  # by its two-character token
    await service.messages.delete(conversation, found[0].message_id)
    found = await service.search.matching(USER, "quantum", since=START)
    assert [message.text for message in found] == ["quantum of solace"]


async def test_every_naughty_string_is_answered(service: MessageService, shared_data: Path) -> None:
    strings = json.loads((shared_data / "naughty-strings" / "blns.json").read_text("utf-8"))
    made = await service.conversations.create(USER)
    await service.messages.append_many(
        made.conversation_id, [{"role": "user", "text": text} for text in strings if text]
    )
    progress = await service.search_index.drain()
    assert progress.passed_over == 0

    async def is_answered(query: str) -> bool:
        try:
            page = await service.search.find(query, conversation_id=made.conversation_id)
        except errors.InvalidInput as error:
            assert error.fix  # noqa: PT017
            return False
        assert page.examined <= len(strings)
        return True

    answered = 0
    for text in strings:
        queries = (text, f'"{text}"', f"{text}*", f"pizza -{text}")
        answered += sum(await asyncio.gather(*map(is_answered, queries)))
    assert answered > len(strings)
    assert (await service.search_index.check()).clean


async def test_words_are_walked_in_the_index_alone(service: MessageService) -> None:
    await said(service, *(f"pizza number {n}" for n in range(50)))
    for field, scope in (("user_id", {"user_id": USER}), ("", {})):
        check = await check_plan(
            service.store.scope("default"),
            TERM_IDS[field],
            {"forms": ["pizza", "pizz"], "ids": (None, None), **scope},
        )
        assert (check.returned, check.examined) == (50, 0)


async def test_a_word_longer_than_a_list_is_searched_stretch_by_stretch(
    service: MessageService, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MAX_LIST > 1_000
    monkeypatch.setattr("message_service.search.candidates.MAX_LIST", 50)
    words = ["common " + ("rare" if n in (3, 180) else "usual") + f" n{n}" for n in range(200)]
    conversation = await said(service, *words)
    page = await service.search.find("common rare", conversation_id=conversation)
    assert sorted(texts(page)) == ["common rare n180", "common rare n3"]
    assert page.count.exact
    seen: list[str] = []
    cursor = None
    while True:
        page = await service.search.find(
            "common usual", conversation_id=conversation, limit=20, cursor=cursor
        )
        seen.extend(texts(page))
        if (cursor := page.next) is None:
            break
    assert len(seen) == len(set(seen)) == 198
