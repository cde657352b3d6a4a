"""The declared queries: each is answered by its index, within its ceiling (promise 13)."""

from datetime import UTC, datetime, timedelta

import pytest

from message_service import MessageService
from message_service.catalogue.declared import CATALOGUE, QUERIES
from message_service.catalogue.queries.messages import (
    BRANCH_FORWARD,
    DUPLICATES,
    USER_PAGE,
    USER_TOKENS,
)
from message_service.catalogue.queries.prompt_window import WINDOW_TOKENS
from message_service.catalogue.queries.search import USER_TEXT_SEARCH
from message_service.database.query import Query
from message_service.schema.plan_check import check_plan, check_plans
from message_service.schema.targeting import names_key

USER = "user_000000000001"
START = datetime(2025, 2, 1, tzinfo=UTC)

DESIGN_PATTERNS = {
    "messages of a conversation": BRANCH_FORWARD,
    "temporal paging": USER_PAGE,
    "full text search": USER_TEXT_SEARCH,
    "token analytics": USER_TOKENS,
    "duplicate detection": DUPLICATES,
}


async def _fill(service: MessageService) -> str:
    """Three conversations of 200 messages, nine of ten deleted in the first."""
    ids: list[str] = []
    for n in range(3):
        made = await service.conversations.create(USER, character_id="char_000000000000")
        ids.append(made.conversation_id)
        await service.messages.append_many(
            made.conversation_id,
            [
                {
                    "role": "user" if i % 2 else "assistant",
                    "text": f"quantum computing {i}" if i % 50 == 0 else f"text {n} {i}",
                    "client_msg_id": str(i),
                    "message_id": f"msg_{n:03}{i:013}",
                    "created_at": START + timedelta(minutes=i),
                    "token_usage": {"total_tokens": i},
                    "pinned": i % 100 == 1,
                }
                for i in range(200)
            ],
        )
    await service.store.collection("messages").update_many(
        {"conversation_id": ids[0], "sequence_number": {"$mod": [10, 1]}},
        {"$set": {"status": "deleted"}},
    )
    await service.drain()
    await service.search_index.drain()
    return ids[0]


async def test_all_declared_queries(service: MessageService) -> None:
    conversation = await _fill(service)
    scope = service.store.scope("default")
    given = {"conversation_id": conversation, "user_id": USER}
    for check in await check_plans(scope, given):
        assert check.index == check.query.index, check
        assert check.as_declared, check


@pytest.mark.parametrize(("name", "query"), DESIGN_PATTERNS.items())
async def test_the_five_patterns_of_the_design(
    service: MessageService, name: str, query: Query
) -> None:
    conversation = await _fill(service)
    stored = await service.messages.history(conversation, limit=1, full=True)
    values = {
        **query.example,
        "conversation_id": conversation,
        "user_id": USER,
        "since": START,
        "until": START + timedelta(days=1),
        "segments": [("main", 0, 2**40)],
        "content_hash": stored.items[0].raw["content"]["content_hash"],
    }
    check = await check_plan(
        service.store.scope("default"), query, {k: values[k] for k in query.example}
    )
    assert check.returned > 0, name
    assert check.as_declared, check


async def test_a_page_among_deleted_messages_reads_only_what_it_returns(
    service: MessageService,
) -> None:
    conversation = await _fill(service)
    await service.store.collection("messages").update_many(
        {"conversation_id": conversation, "sequence_number": {"$lt": 190}},
        {"$set": {"status": "deleted"}},
    )
    check = await check_plan(
        service.store.scope("default"),
        BRANCH_FORWARD,
        {
            "conversation_id": conversation,
            "segments": [("main", 0, 2**40)],
            "statuses": ["active"],
        },
    )
    assert check.returned == 10
    assert check.examined == 10


async def test_the_window_reads_token_counts_from_the_index_alone(
    service: MessageService,
) -> None:
    conversation = await _fill(service)
    check = await check_plan(
        service.store.scope("default"),
        WINDOW_TOKENS,
        {
            "conversation_id": conversation,
            "segments": [("main", 0, 2**40)],
            "statuses": ["active"],
        },
    )
    assert (check.returned, check.examined) == (50, 0)


def test_query_names_are_unique_and_scatter_is_explained() -> None:
    names = [query.name for query in QUERIES]
    assert len(names) == len(set(names))
    for query in QUERIES:
        shard_key = CATALOGUE.collection(query.collection).shard_key
        if shard_key is None:  # the whole collection lies on one shard
            assert query.scatter is None, query.name
            continue
        keyed = names_key(shard_key[0][0], query.build(**query.example))
        assert keyed != (query.scatter is not None), query.name
