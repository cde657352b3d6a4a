"""The view `daily_message_stats`; its stages are shared with the query `messages.daily_stats`."""

from __future__ import annotations

from typing import Any

from message_service.catalogue.model import View

_CREATED = "timestamps.created_at"


def _if_user(value: Any) -> dict[str, Any]:
    """Count `value` on one of the two rows each (user, conversation) pair becomes."""
    return {"$cond": [{"$eq": ["$_id.seen.kind", "user"]}, value, 0]}


_LAST_30_DAYS = {
    "$expr": {
        "$gte": [
            f"${_CREATED}",
            {"$dateSubtract": {"startDate": "$$NOW", "unit": "day", "amount": 30}},
        ]
    }
}


_DAY = {"$dateToString": {"format": "%Y-%m-%d", "date": f"${_CREATED}"}}


DAILY_STATS_STAGES: tuple[dict[str, Any], ...] = (
    {"$match": {"message_type": {"$ne": "tombstone"}}},
    {
        "$group": {
            "_id": {
                "tenant_id": "$tenant_id",
                "day": _DAY,
                "user_id": "$user_id",
                "conversation_id": "$conversation_id",
            },
            "messages": {"$sum": 1},
            "tokens": {"$sum": "$token_usage.total_tokens"},
            "cost": {"$sum": "$token_usage.total_cost"},
        }
    },
    # Distinct users and conversations are counted as rows: collecting them in one array, as the
    # design does, passes 16 MB at some 900,000 users and takes the connection down.
    {
        "$project": {
            "messages": 1,
            "tokens": 1,
            "cost": 1,
            "seen": [
                {"kind": "user", "key": "$_id.user_id"},
                {"kind": "conversation", "key": "$_id.conversation_id"},
            ],
        }
    },
    {"$unwind": "$seen"},
    {
        "$group": {
            "_id": {"tenant_id": "$_id.tenant_id", "day": "$_id.day", "seen": "$seen"},
            "messages": {"$sum": "$messages"},
            "tokens": {"$sum": "$tokens"},
            "cost": {"$sum": "$cost"},
        }
    },
    {
        "$group": {
            "_id": {"tenant_id": "$_id.tenant_id", "day": "$_id.day"},
            "total_messages": {"$sum": _if_user("$messages")},
            "total_tokens": {"$sum": _if_user("$tokens")},
            "total_cost": {"$sum": _if_user("$cost")},
            "unique_users": {"$sum": _if_user(1)},
            "unique_conversations": {"$sum": {"$subtract": [1, _if_user(1)]}},
        }
    },
    {"$set": {"tenant_id": "$_id.tenant_id", "_id": "$_id.day"}},
    {"$sort": {"_id": -1, "tenant_id": 1}},
)
"""Messages, tokens, cost, users and conversations by tenant and UTC day."""


DAILY_MESSAGE_STATS = View(
    name="daily_message_stats",
    on="messages",
    purpose="messages, tokens, cost, users and conversations of each of the last 30 days",
    pipeline=({"$match": _LAST_30_DAYS}, *DAILY_STATS_STAGES),
)
