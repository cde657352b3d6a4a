"""The queries on `message_search_index`, and those of the indexer that fills it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from message_service.catalogue.message_queries import PAGE_FIELDS
from message_service.catalogue.query_parts import CONVERSATION, MESSAGE, THEN, USER, equal
from message_service.database.query import Filter, Query

TERMS = "indexed_content.terms"
_PENDING = "enrichment.pending"
_REFUSED = "enrichment.refused"
_ALL = "the indexer serves every tenant"
_LAST = "\U0010ffff"

Ids = tuple[Any, Any]
"""A stretch of entry ids: from the first (included) up to the second (excluded); None: open."""


def _terms_within(scope: str) -> Callable[..., Filter]:
    def build(forms: Sequence[str], ids: Ids, **scoped: str) -> Filter:
        chosen: Filter = {TERMS: forms[0] if len(forms) == 1 else {"$in": list(forms)}}
        return {**_scope(scope, scoped), **chosen, **_stretch(ids)}

    return build


def _prefix_within(scope: str) -> Callable[..., Filter]:
    def build(prefix: str, **scoped: str) -> Filter:
        # $elemMatch: bounds on both ends of one element, which an array field otherwise lacks.
        return {
            **_scope(scope, scoped),
            TERMS: {"$elemMatch": {"$gte": prefix, "$lt": prefix + _LAST}},
        }

    return build


def _scope(scope: str, scoped: Mapping[str, str]) -> Filter:
    return {scope: scoped[scope]} if scope else {}


def _stretch(ids: Ids) -> Filter:
    bounds: Filter = {}
    if ids[0] is not None:
        bounds["$gte"] = ids[0]
    if ids[1] is not None:
        bounds["$lt"] = ids[1]
    return {"_id": bounds} if bounds else {}


_SCOPES: dict[str, tuple[str, str | None, dict[str, str]]] = {
    "user_id": (
        "idx_search_user_terms",
        "a user's messages lie on every shard",
        {"user_id": USER},
    ),
    "conversation_id": (
        "idx_search_conversation_terms",
        None,
        {"conversation_id": CONVERSATION},
    ),
    "": ("idx_search_tenant_terms", "a tenant's messages lie on every shard", {}),
}


def _term_query(scope: str) -> Query:
    index, scatter, example = _SCOPES[scope]
    return Query(
        name=f"search.terms_by_{scope.removesuffix('_id') or 'tenant'}",
        collection="message_search_index",
        purpose="Ids of entries with a term, newest first, from the index alone",
        index=index,
        build=_terms_within(scope),
        example={**example, "forms": ["hello"], "ids": (None, None)},
        sort=(("_id", -1),),
        projection={"_id": 1},
        examined_ratio=0,
        scatter=scatter,
    )


def _prefix_query(scope: str) -> Query:
    index, scatter, example = _SCOPES[scope]
    return Query(
        name=f"search.prefix_by_{scope.removesuffix('_id') or 'tenant'}",
        collection="message_search_index",
        purpose="Ids of entries with a term that begins so, from the index alone",
        index=index,
        build=_prefix_within(scope),
        example={**example, "prefix": "hel"},
        projection={"_id": 1},
        examined_ratio=1,
        scatter=scatter,
    )


TERM_IDS = {scope: _term_query(scope) for scope in _SCOPES}
PREFIX_IDS = {scope: _prefix_query(scope) for scope in _SCOPES}
"""By the field that scopes them; the empty one is the whole tenant."""


def _entries(
    ids: Sequence[Any], scope: Mapping[str, str], conditions: Sequence[Mapping[str, Any]]
) -> Filter:
    """Entries by id, that also meet conditions built by `search.conditions`."""
    chosen: Filter = {"_id": {"$in": list(ids)}, **scope}
    if conditions:
        chosen["$and"] = [dict(condition) for condition in conditions]
    return chosen


ENTRY_FIELDS: dict[str, int] = {
    "message_id": 1,
    "conversation_id": 1,
    "user_id": 1,
    "revision": 1,
    "content_hash": 1,
    "indexed_content.normalized_text": 1,
    "indexed_content.stemmed_text": 1,
    "search_weights": 1,
    "earlier_weights": 1,
    "created_at": 1,
}

ENTRIES = Query(
    name="search.entries",
    collection="message_search_index",
    purpose="What ranking needs of the candidates, those that miss a filter left out",
    index="_id_",
    build=_entries,
    example={"ids": [], "scope": {"user_id": USER}, "conditions": []},
    projection=ENTRY_FIELDS,
    examined_ratio=20,
    examined_slack=400,
    scatter="candidates of a user or tenant lie on every shard",
)


def _hits(conversation_ids: Sequence[str], message_ids: Sequence[str]) -> Filter:
    return {
        "conversation_id": {"$in": list(conversation_ids)},
        "message_id": {"$in": list(message_ids)},
    }


HITS = Query(
    name="search.hits",
    collection="messages",
    purpose="The messages of a page of hits, as they are now",
    index="idx_message_id_unique",
    build=_hits,
    example={"conversation_ids": [CONVERSATION], "message_ids": [MESSAGE]},
    projection={
        **PAGE_FIELDS,
        "content.content_hash": 1,
        "content.detected_language": 1,
        "llm_metadata.model": 1,
        "delete_at": 1,
    },
)


def _user_text(user_id: str, words: str, since: datetime) -> Filter:
    return {"user_id": user_id, "$text": {"$search": words}, "created_at": {"$gte": since}}


USER_TEXT_SEARCH = Query(
    name="search.text",
    collection="message_search_index",
    purpose="The design's text query: a user's messages with any of these words, best match first",
    index="idx_optimized_text_search",
    build=_user_text,
    example={"user_id": USER, "words": "quantum computing", "since": THEN},
    projection={"_id": 0, "message_id": 1, "conversation_id": 1, "score": {"$meta": "textScore"}},
    sort=(("score", {"$meta": "textScore"}),),
    examined_ratio=20,
    examined_slack=50,
    scatter="a user's messages lie on every shard",
    hinted=False,  # the server forbids hints with $text
)


WORK_FIELDS: dict[str, int] = {
    "tenant_id": 1,
    "message_id": 1,
    "conversation_id": 1,
    "user_id": 1,
    "character_id": 1,
    "content.text": 1,
    "content.sanitized_text": 1,
    "content.content_hash": 1,
    "content.detected_language": 1,
    "role": 1,
    "message_type": 1,
    "status": 1,
    "sequence_number": 1,
    "revision": 1,
    "llm_metadata.provider": 1,
    "llm_metadata.model": 1,
    "timestamps.created_at": 1,
    "custom_metadata": 1,
    "safety_metadata": 1,
    "quality_metadata": 1,
    "relationships.conversation_branch": 1,
    "enrichment": 1,
    "pinned": 1,
    "delete_at": 1,
}


def _due() -> Filter:
    return {_PENDING: {"$exists": True}}


def _by_object_ids(ids: Sequence[Any]) -> Filter:
    return {"_id": {"$in": list(ids)}}


def _of_rank(rank: int) -> Filter:
    return {_PENDING: rank}


def _behind(conversation_id: str) -> Filter:
    return {"conversation_id": conversation_id, _PENDING: {"$exists": True}}


def _refused(conversation_id: str) -> Filter:
    return {"conversation_id": conversation_id, **_refused_anywhere()}


def _refused_anywhere() -> Filter:
    return {_REFUSED: {"$exists": True}}


def _after(after: Any) -> Filter:
    return {} if after is None else {"_id": {"$gt": after}}


def _not_newer(conversation_id: str, message_id: str, revision: int) -> Filter:
    return {
        "conversation_id": conversation_id,
        "message_id": message_id,
        "revision": {"$lte": revision},
    }


INDEXING_WORK = Query(
    name="indexing.work",
    collection="messages",
    purpose="Messages whose enrichment and search entry are due, most urgent first",
    index="idx_enrichment_work",
    build=_due,
    example={},
    sort=((_PENDING, 1), ("enrichment.pending_since", 1), ("_id", 1)),
    projection=WORK_FIELDS,
    scatter=_ALL,
    all_tenants=_ALL,
)

INDEXING_OLDEST = Query(
    name="indexing.oldest",
    collection="messages",
    purpose="The longest waiting message of one rank",
    index="idx_enrichment_work",
    build=_of_rank,
    example={"rank": 1},
    sort=(("enrichment.pending_since", 1), ("_id", 1)),
    projection={"_id": 0, "enrichment.pending_since": 1},
    scatter=_ALL,
    all_tenants=_ALL,
)

INDEXING_BEHIND = Query(
    name="indexing.behind",
    collection="messages",
    purpose="The first message of a conversation that is not searchable yet",
    index="idx_enrichment_behind",
    build=_behind,
    example={"conversation_id": CONVERSATION},
    sort=(("sequence_number", 1),),
    projection={"_id": 0, "sequence_number": 1},
)

INDEXING_REFUSED = Query(
    name="indexing.refused",
    collection="messages",
    purpose="The messages of a conversation that the index could not take",
    index="idx_enrichment_refused",
    build=_refused,
    example={"conversation_id": CONVERSATION},
    projection={"_id": 0, "sequence_number": 1},
)

INDEXING_REFUSED_ANYWHERE = Query(
    name="indexing.refused_anywhere",
    collection="messages",
    purpose="The messages of the store that the index could not take",
    index="idx_enrichment_refused",
    build=_refused_anywhere,
    example={},
    projection={"_id": 0, "sequence_number": 1},
    scatter=_ALL,
    all_tenants=_ALL,
)

INDEXING_SWEEP = Query(
    name="indexing.sweep",
    collection="messages",
    purpose="The next stretch of messages a new enricher version has to look at",
    index="_id_",
    build=_after,
    example={"after": None},
    sort=(("_id", 1),),
    projection={"_id": 1},
    scatter=_ALL,
    all_tenants=_ALL,
)


def _outdated(after: Any, up_to: Any, version: str) -> Filter:
    return {
        "_id": {"$lte": up_to} if after is None else {"$gt": after, "$lte": up_to},
        "enrichment.version": {"$ne": version},
        _PENDING: {"$exists": False},
        "message_type": {"$ne": "tombstone"},
    }


INDEXING_OUTDATED = Query(
    name="indexing.outdated",
    collection="messages",
    purpose="Messages of a stretch that were enriched by another version",
    index="_id_",
    build=_outdated,
    example={"after": None, "up_to": None, "version": "1"},
    examined_slack=1_000_000,
    scatter=_ALL,
    all_tenants=_ALL,
)

ENTRY_NOT_NEWER = Query(
    name="indexing.entry",
    collection="message_search_index",
    purpose="The entry of a message, unless it is of a later revision",
    index="idx_search_message_id",
    build=_not_newer,
    example={"conversation_id": CONVERSATION, "message_id": MESSAGE, "revision": 1},
    examined_slack=1,
)

ENTRIES_BEFORE = Query(
    name="indexing.entries_before",
    collection="message_search_index",
    purpose="What entries that are about to be replaced hand on",
    index="_id_",
    build=_by_object_ids,
    example={"ids": []},
    projection={
        "content_hash": 1,
        "last_indexed_at": 1,
        "content_indexed_at": 1,
        "search_weights": 1,
        "earlier_weights": 1,
    },
    scatter=_ALL,
    all_tenants=_ALL,
)

ENTRY_BY_MESSAGE = Query(
    name="indexing.entry_of",
    collection="message_search_index",
    purpose="The entry of a message",
    index="idx_search_message_id",
    build=equal("conversation_id", "message_id"),
    example={"conversation_id": CONVERSATION, "message_id": MESSAGE},
)


def _all_or_one(conversation_id: str | None) -> Filter:
    return {} if conversation_id is None else {"conversation_id": conversation_id}


_IN_ORDER = (("conversation_id", 1), ("tenant_id", 1), ("message_id", 1))

CHECKED_MESSAGES = Query(
    name="indexing.check_messages",
    collection="messages",
    purpose="Every message by id, to compare with the entries",
    index="idx_message_id_unique",
    build=_all_or_one,
    example={"conversation_id": None},
    sort=_IN_ORDER,
    projection={
        "_id": 0,
        "tenant_id": 1,
        "conversation_id": 1,
        "message_id": 1,
        "message_type": 1,
        "status": 1,
        "revision": 1,
        "delete_at": 1,
        _PENDING: 1,
        _REFUSED: 1,
    },
    scatter=_ALL,
    all_tenants=_ALL,
)

CHECKED_ENTRIES = Query(
    name="indexing.check_entries",
    collection="message_search_index",
    purpose="Every entry by message id, to compare with the messages",
    index="idx_search_message_id",
    build=_all_or_one,
    example={"conversation_id": None},
    sort=_IN_ORDER,
    projection={
        "_id": 0,
        "tenant_id": 1,
        "conversation_id": 1,
        "message_id": 1,
        "revision": 1,
        "removed": 1,
    },
    scatter=_ALL,
    all_tenants=_ALL,
)
"""The two streams of the reconciler: the same order, so that they are compared side by side."""


def _every() -> Filter:
    return {}


INDEXED_TENANTS = Query(
    name="search.tenants",
    collection="message_search_index",
    purpose="Which tenants have something to search (for operators)",
    index="idx_search_tenant_terms",
    build=_every,
    example={},
    stages=({"$group": {"_id": "$tenant_id"}}, {"$sort": {"_id": 1}}),
    scatter="tenants lie on every shard",
    all_tenants="an operator's search of the whole store",
)

SEARCH_QUERIES: tuple[Query, ...] = (
    *TERM_IDS.values(),
    *PREFIX_IDS.values(),
    ENTRIES,
    HITS,
    USER_TEXT_SEARCH,
    INDEXING_WORK,
    INDEXING_OLDEST,
    INDEXING_BEHIND,
    INDEXING_REFUSED,
    INDEXING_REFUSED_ANYWHERE,
    INDEXING_SWEEP,
    INDEXING_OUTDATED,
    ENTRY_NOT_NEWER,
    ENTRIES_BEFORE,
    ENTRY_BY_MESSAGE,
    CHECKED_MESSAGES,
    CHECKED_ENTRIES,
    INDEXED_TENANTS,
)
"""Every declared query of search and indexing."""
