"""The queries of the indexer on `messages` and on its search entries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from message_service.catalogue.followers.enrichment import ENRICHMENT
from message_service.catalogue.queries.parts import (
    CONVERSATION,
    MESSAGE,
    equal,
)
from message_service.database.query import Filter, Query

_PENDING = ENRICHMENT.pending


_REFUSED = "enrichment.refused"


_ALL = "the indexer serves every tenant"


def _by_object_ids(ids: Sequence[Any]) -> Filter:
    return {"_id": {"$in": list(ids)}}


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
