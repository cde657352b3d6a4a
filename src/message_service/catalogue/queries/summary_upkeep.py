"""The queries on `message_analytics` by which summaries are written and checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from message_service.catalogue.queries.parts import LATER, THEN
from message_service.database.query import Filter, Query
from message_service.documents.analytics import EVERY, AggregationType

_ROLLED_UP = "summaries are made for all tenants together"
_TENANT = "tenant:default"
_DAILY = AggregationType.DAILY.value


@dataclass(frozen=True, slots=True)
class SummaryKey:
    """What names one summary."""

    tenant_id: str
    conversation_id: str
    subject: str
    aggregation_type: str
    date: datetime


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


SUMMARIES_CREATED = Query(
    name="message_analytics.created",
    collection="message_analytics",
    purpose="When some summaries were stored first",
    index="idx_analytics_unique",
    build=_one_of,
    example=SUMMARIES.example,
    projection={
        "_id": 0,
        **dict.fromkeys(SummaryKey.__slots__, 1),
        "created_at": 1,
    },
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


def _with_messages(
    dimensions: Sequence[str], kinds: Sequence[str], since: datetime, until: datetime
) -> Filter:
    return {
        "dimension": {"$in": list(dimensions)},
        "aggregation_type": {"$in": list(kinds)},
        "date": {"$gte": since, "$lt": until},
        "message_metrics.total_messages": {"$gt": 0},
    }


def _before(
    dimensions: Sequence[str], kinds: Sequence[str], since: datetime, until: datetime, applied: int
) -> Filter:
    return {
        **_with_messages(dimensions, kinds, since, until),
        "applied": {"$lt": applied},
    }


SUMMARIES_BEFORE = Query(
    name="message_analytics.before",
    collection="message_analytics",
    purpose="Summaries with messages that a piece of work has not written",
    index="idx_global_analytics",
    build=_before,
    example={
        "dimensions": ["user", "tenant"],
        "kinds": [_DAILY],
        "since": THEN,
        "until": LATER,
        "applied": 1,
    },
    projection={
        **dict.fromkeys(("tenant_id", "dimension", "subject", "conversation_id", "date"), 1),
        **dict.fromkeys(("user_id", "character_id", "provider", "model"), 1),
        "aggregation_type": 1,
    },
    examined_slack=100_000,
    scatter="conversations' summaries lie on every shard",
)


FIRST_WITH_MESSAGES = Query(
    name="message_analytics.first_with_messages",
    collection="message_analytics",
    purpose="The first summary with messages of some periods",
    index="idx_global_analytics",
    build=_with_messages,
    example={"dimensions": ["user", "tenant"], "kinds": [_DAILY], "since": THEN, "until": LATER},
    sort=(("date", 1),),
    projection={"date": 1},
    examined_slack=100_000,
    scatter="conversations' summaries lie on every shard",
)


def _from(at: Any) -> Filter:
    return {"_id": {"$gte": at}}


SUMMARIES_FROM = Query(
    name="message_analytics.from",
    collection="message_analytics",
    purpose="Summaries from a place on in the order in which they were stored, to be checked",
    index="_id_",
    build=_from,
    example={"at": None},
    sort=(("_id", 1),),
    projection={"tenant_id": 1, "date": 1, "aggregation_type": 1},
    scatter="summaries lie on every shard",
    all_tenants=_ROLLED_UP,
)


SUMMARY_STORED_LAST = Query(
    name="message_analytics.stored_last",
    collection="message_analytics",
    purpose="The summary that was stored last",
    index="_id_",
    build=dict,
    example={},
    sort=(("_id", -1),),
    projection={"_id": 1},
    scatter="summaries lie on every shard",
    all_tenants=_ROLLED_UP,
)
