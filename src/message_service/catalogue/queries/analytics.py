"""The queries by which summaries are read, and those on `analytics_settings`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from message_service.catalogue.queries.parts import CONVERSATION, LATER, THEN, USER, equal
from message_service.database.query import Filter, Query
from message_service.documents.analytics import EVERY, AggregationType, PartKey

_ROLLED_UP = "summaries are made for all tenants together"
_TENANT = "tenant:default"
_DAILY = AggregationType.DAILY.value


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


def _of_subject(conversation_id: str, subject: str, aggregation_type: str) -> Filter:
    return {
        "conversation_id": conversation_id,
        "subject": subject,
        "aggregation_type": aggregation_type,
    }


_SUBJECT = {"conversation_id": EVERY, "subject": _TENANT, "aggregation_type": _DAILY}


FIRST_SUMMARY = Query(
    name="message_analytics.first",
    collection="message_analytics",
    purpose="The first summary of a subject",
    index="idx_conversation_analytics",
    build=_of_subject,
    example=_SUBJECT,
    sort=(("date", 1),),
    projection={"date": 1},
)


LAST_SUMMARY = Query(
    name="message_analytics.last",
    collection="message_analytics",
    purpose="The last summary of a subject",
    index="idx_conversation_analytics",
    build=_of_subject,
    example=_SUBJECT,
    sort=(("date", -1),),
    projection={"date": 1},
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
    sort=(("date", 1), ("subject", 1)),
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


Stretches = Sequence[tuple[str, datetime, datetime]]
"""Periods of some lengths, each from a first day to the first day after."""


def _periods(stretches: Stretches, **values: str) -> Filter:
    return {
        "$or": [
            {**values, "aggregation_type": kind, "date": {"$gte": since, "$lt": until}}
            for kind, since, until in stretches
        ]
    }


def _all_conversations(stretches: Stretches) -> Filter:
    return _periods(stretches, dimension="conversation")


def _one_conversation(conversation_id: str, subject: str, stretches: Stretches) -> Filter:
    return _periods(stretches, conversation_id=conversation_id, subject=subject)


_MEMBERS = {
    "conversation_id": 1,
    **{f"{of}.{name}": 1 for of in ("members", "parts") for name in PartKey.model_fields},
}


MEMBERS_OF_PERIODS = Query(
    name="message_analytics.members",
    collection="message_analytics",
    purpose="Whose the messages of a tenant's conversations are, over some periods",
    index="idx_global_analytics",
    build=_all_conversations,
    example={"stretches": [(_DAILY, THEN, LATER)]},
    projection=_MEMBERS,
    scatter="conversations' summaries lie on every shard",
)


MEMBERS_OF_CONVERSATION = Query(
    name="message_analytics.members_of_one",
    collection="message_analytics",
    purpose="Whose the messages of a conversation are, over some periods",
    index="idx_conversation_analytics",
    build=_one_conversation,
    example={
        "conversation_id": CONVERSATION,
        "subject": f"conversation:{CONVERSATION}",
        "stretches": [(_DAILY, THEN, LATER)],
    },
    projection=_MEMBERS,
)


def _of_tenants(kind: str, since: datetime, until: datetime) -> Filter:
    return {
        "conversation_id": EVERY,
        "date": {"$gte": since, "$lt": until},
        "aggregation_type": kind,
        "dimension": "tenant",
    }


SUMMARIES_OF_TENANTS = Query(
    name="message_analytics.of_tenants",
    collection="message_analytics",
    purpose="The summaries of all tenants over some periods",
    index="idx_analytics_unique",
    build=_of_tenants,
    example={"kind": _DAILY, "since": THEN, "until": LATER},
    sort=(("date", 1),),
    projection={"parts": 0, "members": 0},
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


def _of_these(tenant_ids: Sequence[str]) -> Filter:
    return {"tenant_id": {"$in": list(tenant_ids)}}


ANALYTICS_SETTINGS_OF = Query(
    name="analytics_settings.of",
    collection="analytics_settings",
    purpose="The settings of some tenants",
    index="idx_analytics_settings_unique",
    build=_of_these,
    example={"tenant_ids": ["default"]},
    all_tenants=_ROLLED_UP,
)


ANALYTICS_SETTINGS = Query(
    name="analytics_settings.one",
    collection="analytics_settings",
    purpose="A tenant's settings",
    index="idx_analytics_settings_unique",
    build=dict,
    example={},
)
