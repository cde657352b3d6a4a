"""The queries about usage and cost."""

from __future__ import annotations

from message_service.database.query import Filter, Query

_ALL_SHARDS = "a tenant's conversations lie on every shard"


def _unpriced() -> Filter:
    return {"token_usage.cost_state": "unpriced"}


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
