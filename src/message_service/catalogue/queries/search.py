"""The queries of search on `message_search_index`, and for the messages of a page of hits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from message_service.catalogue.demands import TERMS, Demand, any_of, begins_with, condition
from message_service.catalogue.queries.messages import PAGE_FIELDS
from message_service.catalogue.queries.parts import (
    CONVERSATION,
    MESSAGE,
    THEN,
    USER,
)
from message_service.database.query import Filter, Query

Ids = tuple[Any, Any]
"""A stretch of entry ids: from the first (included) up to the second (excluded); None: open."""


def _terms_within(scope: str) -> Callable[..., Filter]:
    def build(forms: Sequence[str], ids: Ids, **scoped: str) -> Filter:
        return {**_scope(scope, scoped), TERMS: any_of(tuple(forms)), **_stretch(ids)}

    return build


def _prefix_within(scope: str) -> Callable[..., Filter]:
    def build(prefix: str, **scoped: str) -> Filter:
        return {**_scope(scope, scoped), TERMS: begins_with(prefix)}

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


def _entries(ids: Sequence[Any], within: Mapping[str, str], demands: Sequence[Demand]) -> Filter:
    """Return the filter for entries by id, inside a scope, that meet demands."""
    chosen: Filter = {"_id": {"$in": list(ids)}, **within}
    if demands:
        chosen["$and"] = [condition(demand) for demand in demands]
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
    example={"ids": [], "within": {"user_id": USER}, "demands": []},
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
