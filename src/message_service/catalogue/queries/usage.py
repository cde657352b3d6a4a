"""The queries about usage and cost."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from message_service.catalogue.collections.parts import CREATED
from message_service.catalogue.queries.parts import LATER, THEN
from message_service.database.query import Filter, Query
from message_service.documents.token_usage import TokenUsage

_ALL_SHARDS = "a tenant's conversations lie on every shard"


def _unpriced() -> Filter:
    return {"token_usage.cost_state": "unpriced"}


def _said_with_usage(since: datetime, until: datetime) -> Filter:
    return {
        "timestamps.created_at": {"$gte": since, "$lt": until},
        "token_usage": {"$exists": True},
    }


def _with_usage(since: datetime, until: datetime, after: tuple[datetime, Any] | None) -> Filter:
    chosen: Filter = {
        "timestamps.created_at": {"$gte": since, "$lt": until},
        "token_usage.total_tokens": {"$exists": True},
    }
    if after is not None:
        moment, tie = after
        chosen["timestamps.created_at"]["$gte"] = max(since, moment)
        chosen["$or"] = [
            {"timestamps.created_at": {"$gt": moment}},
            {"timestamps.created_at": moment, "_id": {"$gt": tie}},
        ]
    return chosen


USAGE_OF_PERIOD = Query(
    name="usage.of_period",
    collection="messages",
    purpose="Tokens and cost of a period's messages, oldest first, to be computed again",
    index="idx_temporal_pagination",
    build=_with_usage,
    example={"since": THEN, "until": LATER, "after": None},
    sort=((CREATED, 1), ("_id", 1)),
    projection={
        "conversation_id": 1,
        "message_id": 1,
        CREATED: 1,
        "llm_metadata.provider": 1,
        "llm_metadata.model": 1,
        **{
            f"token_usage.{name}": 1
            for name in TokenUsage.model_fields
            if name not in ("provider_usage", "counted")
        },
    },
    # Messages without usage, such as those of users, lie between those with it.
    examined_ratio=float("inf"),
    scatter=_ALL_SHARDS,
)

USAGE_OF_DAY = Query(
    name="usage.of_day",
    collection="messages",
    purpose="A day's messages with usage, those whose tokens are unknown too, oldest first",
    index="idx_temporal_pagination",
    build=_said_with_usage,
    example={"since": THEN, "until": LATER},
    sort=((CREATED, 1), ("_id", 1)),
    projection=USAGE_OF_PERIOD.projection,
    examined_ratio=float("inf"),
    scatter=_ALL_SHARDS,
)

UNPRICED_MODELS = Query(
    name="usage.unpriced_models",
    collection="messages",
    purpose="The models of messages whose tokens are known, and whose price is not",
    index="idx_unpriced",
    build=_unpriced,
    example={},
    stages=(
        {
            "$group": {
                "_id": {
                    "provider": "$llm_metadata.provider",
                    "model": "$llm_metadata.model",
                    "tier": "$token_usage.billing_tier",
                },
                "messages": {"$sum": 1},
                "tokens": {"$sum": "$token_usage.total_tokens"},
                "first": {"$min": "$timestamps.created_at"},
                "last": {"$max": "$timestamps.created_at"},
            }
        },
        {"$sort": {"messages": -1, "_id": 1}},
    ),
    scatter=_ALL_SHARDS,
)
