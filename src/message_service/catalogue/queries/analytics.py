"""The queries on `message_analytics`, and on the messages its summaries are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from message_service.catalogue.queries.parts import CONVERSATION, LATER, THEN, USER, equal
from message_service.database.query import Filter, Query
from message_service.documents.analytics import EVERY, AggregationType
from message_service.documents.message import MessageType

_ROLLED_UP = "summaries are made for all tenants together"
_TENANT = "tenant:default"
_DAILY = AggregationType.DAILY.value


@dataclass(frozen=True, slots=True)
class Stretch:
    """A conversation's messages between two moments."""

    tenant_id: str
    conversation_id: str
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class SummaryKey:
    """What names one summary."""

    tenant_id: str
    conversation_id: str
    subject: str
    aggregation_type: str
    date: datetime


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


def _one_of(keys: Sequence[SummaryKey]) -> Filter:
    return {
        "$or": [
            {
                "conversation_id": key.conversation_id,
                "date": key.date,
                "tenant_id": key.tenant_id,
                "aggregation_type": key.aggregation_type,
                "subject": key.subject,
            }
            for key in keys
        ]
    }


SUMMARIES = Query(
    name="message_analytics.several",
    collection="message_analytics",
    purpose="Some summaries, to be written anew",
    index="idx_analytics_unique",
    build=_one_of,
    example={"keys": [SummaryKey("default", EVERY, _TENANT, _DAILY, THEN)]},
    all_tenants=_ROLLED_UP,
)


def _older(
    conversation_id: str, subject: str, aggregation_type: str, date: datetime, applied: int
) -> Filter:
    return {
        "conversation_id": conversation_id,
        "date": date,
        "aggregation_type": aggregation_type,
        "subject": subject,
        "applied": {"$lt": applied},
    }


SUMMARY_OLDER = Query(
    name="message_analytics.older",
    collection="message_analytics",
    purpose="A summary, if a later piece of work has not written it",
    index="idx_analytics_unique",
    build=_older,
    example={
        "conversation_id": EVERY,
        "subject": _TENANT,
        "aggregation_type": _DAILY,
        "date": THEN,
        "applied": 1,
    },
    examined_slack=1,
)


def _series(
    conversation_id: str, subject: str, aggregation_type: str, since: datetime, until: datetime
) -> Filter:
    return {
        "conversation_id": conversation_id,
        "subject": subject,
        "aggregation_type": aggregation_type,
        "date": {"$gte": since, "$lt": until},
    }


SUMMARY_SERIES = Query(
    name="message_analytics.series",
    collection="message_analytics",
    purpose="The summaries of one subject, in order",
    index="idx_conversation_analytics",
    build=_series,
    example={
        "conversation_id": EVERY,
        "subject": _TENANT,
        "aggregation_type": _DAILY,
        "since": THEN,
        "until": LATER,
    },
    sort=(("date", 1),),
    projection={"parts": 0, "members": 0},
)


def _of_dimension(
    dimension: str, aggregation_type: str, since: datetime, until: datetime
) -> Filter:
    return {
        "dimension": dimension,
        "aggregation_type": aggregation_type,
        "date": {"$gte": since, "$lt": until},
    }


_DIMENSION: dict[str, Any] = {
    "dimension": "user",
    "aggregation_type": _DAILY,
    "since": THEN,
    "until": LATER,
}

SUMMARIES_OF_DIMENSION = Query(
    name="message_analytics.of_dimension",
    collection="message_analytics",
    purpose="The summaries of everybody, or everything, of one kind in some periods",
    index="idx_global_analytics",
    build=_of_dimension,
    example=_DIMENSION,
    sort=(("date", 1),),
    projection={"parts": 0, "members": 0},
    scatter="conversations' summaries lie on every shard",
)
"""The tenant `*` has the summaries of all tenants together."""

PARTS_OF_DAYS = Query(
    name="message_analytics.parts_of_days",
    collection="message_analytics",
    purpose="The parts of a tenant's conversations on some days",
    index="idx_global_analytics",
    build=_of_dimension,
    example={**_DIMENSION, "dimension": "conversation"},
    projection={"parts": 1, "date": 1, "tenant_id": 1, "conversation_id": 1},
    scatter="conversations' summaries lie on every shard",
)


def _of_tenants(kind: str, date: datetime) -> Filter:
    return {
        "conversation_id": EVERY,
        "date": date,
        "aggregation_type": kind,
        "dimension": "tenant",
    }


DAY_OF_TENANTS = Query(
    name="message_analytics.of_tenants",
    collection="message_analytics",
    purpose="The summaries of all tenants over one period",
    index="idx_analytics_unique",
    build=_of_tenants,
    example={"kind": _DAILY, "date": THEN},
    # Those of users, characters and models lie between.
    examined_slack=100_000,
    all_tenants=_ROLLED_UP,
)

USER_SUMMARIES = Query(
    name="message_analytics.of_user",
    collection="message_analytics",
    purpose="A user's summaries, latest first (the query of the source design)",
    index="idx_user_analytics",
    build=equal("user_id", "dimension", "aggregation_type"),
    example={"user_id": USER, "dimension": "user", "aggregation_type": _DAILY},
    sort=(("date", -1),),
    scatter="a query of the source design",
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


def _before(
    dimension: str, aggregation_type: str, since: datetime, until: datetime, applied: int
) -> Filter:
    return {
        **_of_dimension(dimension, aggregation_type, since, until),
        "applied": {"$lt": applied},
        "message_metrics.total_messages": {"$gt": 0},
    }


SUMMARIES_BEFORE = Query(
    name="message_analytics.before",
    collection="message_analytics",
    purpose="Summaries with messages that a piece of work has not written",
    index="idx_global_analytics",
    build=_before,
    example={**_DIMENSION, "applied": 1},
    projection={
        **dict.fromkeys(("tenant_id", "dimension", "subject", "conversation_id", "date"), 1),
        **dict.fromkeys(("user_id", "character_id", "provider", "model"), 1),
    },
    examined_slack=100_000,
    scatter="conversations' summaries lie on every shard",
)


def _marked_in(conversation_id: str, since: datetime, until: datetime) -> Filter:
    return {
        "conversation_id": conversation_id,
        "timestamps.created_at": {"$gte": since, "$lt": until},
        "marks.analytics": {"$exists": True},
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
