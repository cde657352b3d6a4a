"""The queries on the messages that summaries are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from message_service.catalogue.followers.analytics import ANALYTICS
from message_service.catalogue.queries.parts import CONVERSATION, LATER, THEN
from message_service.database.query import Filter, Query
from message_service.documents.message import MessageType

_ROLLED_UP = "summaries are made for all tenants together"


@dataclass(frozen=True, slots=True)
class Stretch:
    """A conversation's messages between two moments."""

    tenant_id: str
    conversation_id: str
    since: datetime
    until: datetime


def _said_in(stretches: Sequence[Stretch]) -> Filter:
    return {
        "$or": [
            {
                "conversation_id": each.conversation_id,
                "tenant_id": each.tenant_id,
                "timestamps.created_at": {"$gte": each.since, "$lt": each.until},
            }
            for each in stretches
        ],
        "message_type": {"$ne": MessageType.TOMBSTONE.value},
    }


SUMMARISED_MESSAGES = Query(
    name="analytics.messages",
    collection="messages",
    purpose="The messages of some conversations' days, to be summarised",
    index="idx_hot_conversation_data",
    build=_said_in,
    example={"stretches": [Stretch("default", CONVERSATION, THEN, LATER)]},
    all_tenants=_ROLLED_UP,
)


def _unchanged(
    conversation_ids: Sequence[str],
    ids: Sequence[Any],
    revision: int,
    usage_revision: int | None,
    enrichment: str | None,
) -> Filter:
    return {
        "_id": {"$in": list(ids)},
        "conversation_id": {"$in": list(conversation_ids)},
        "revision": revision,
        # Equality with null finds messages without the field.
        "token_usage.revision": usage_revision,
        "enrichment.version": enrichment,
    }


SUMMARISED_UNCHANGED = Query(
    name="analytics.unchanged",
    collection="messages",
    purpose="Messages that nobody has changed since their day was summarised",
    index="_id_",
    build=_unchanged,
    example={
        "conversation_ids": [CONVERSATION],
        "ids": [],
        "revision": 1,
        "usage_revision": None,
        "enrichment": None,
    },
    all_tenants=_ROLLED_UP,
)


def _said(since: datetime, until: datetime) -> Filter:
    return {
        "timestamps.created_at": {"$gte": since, "$lt": until},
        "message_type": {"$ne": MessageType.TOMBSTONE.value},
    }


SUMMARISED_PERIOD = Query(
    name="analytics.period",
    collection="messages",
    purpose="A tenant's messages between two moments, to be summarised",
    index="idx_temporal_pagination",
    build=_said,
    example={"since": THEN, "until": LATER},
    examined_ratio=1.1,
    scatter="a tenant's conversations lie on every shard",
)


FIRST_MESSAGE = Query(
    name="analytics.first_message",
    collection="messages",
    purpose="A tenant's first message between two moments",
    index="idx_temporal_pagination",
    build=_said,
    example={"since": THEN, "until": LATER},
    sort=(("timestamps.created_at", 1),),
    projection={"timestamps.created_at": 1},
    scatter="a tenant's conversations lie on every shard",
)


def _marked_in(conversation_id: str, since: datetime, until: datetime) -> Filter:
    return {
        "conversation_id": conversation_id,
        "timestamps.created_at": {"$gte": since, "$lt": until},
        ANALYTICS.pending: {"$exists": True},
    }


MARKED_IN = Query(
    name="analytics.marked_in",
    collection="messages",
    purpose="A message of a conversation's day that is not summarised yet",
    index="idx_hot_conversation_data",
    build=_marked_in,
    example={"conversation_id": CONVERSATION, "since": THEN, "until": LATER},
    projection={"_id": 1},
    examined_slack=100_000,
)

TENANTS_WITH_MESSAGES = Query(
    name="analytics.tenants",
    collection="messages",
    purpose="The tenants that have messages, with their first and last moment",
    index="idx_temporal_pagination",
    build=dict,
    example={},
    stages=(
        {
            "$group": {
                "_id": "$tenant_id",
                "first": {"$min": "$timestamps.created_at"},
                "last": {"$max": "$timestamps.created_at"},
            }
        },
        {"$sort": {"_id": 1}},
    ),
    scatter="tenants lie on every shard",
    all_tenants=_ROLLED_UP,
)
