"""The collection `message_analytics`: its indexes and shard key."""

from __future__ import annotations

from message_service.catalogue.model import Collection, Index
from message_service.documents import (
    MessageAnalytics,
)

ANALYTICS = Collection(
    name="message_analytics",
    document=MessageAnalytics,
    purpose="summaries per day, week and month",
    shard_key=(("conversation_id", "hashed"), ("date", 1)),
    indexes=(
        Index(
            "idx_analytics_unique",
            (
                ("conversation_id", 1),
                ("date", 1),
                ("tenant_id", 1),
                ("aggregation_type", 1),
                ("subject", 1),
            ),
            "one summary of a subject and period",
            unique=True,
            added=True,
        ),
        Index(
            "idx_analytics_shard_key",
            (("conversation_id", "hashed"), ("date", 1)),
            "the shard key",
            added=True,
        ),
        Index(
            "idx_conversation_analytics",
            (
                ("conversation_id", 1),
                ("tenant_id", 1),
                ("subject", 1),
                ("aggregation_type", 1),
                ("date", -1),
            ),
            "the summaries of a conversation; of anything else, where the conversation is `*`",
            correction="serves every subject; scoped to the tenant",
        ),
        Index(
            "idx_user_analytics",
            (("tenant_id", 1), ("user_id", 1), ("aggregation_type", 1), ("date", -1)),
            "a user's summaries",
            partial={"dimension": "user"},
            correction="without the summaries of the user's conversations; scoped to the tenant",
        ),
        Index(
            "idx_global_analytics",
            (
                ("tenant_id", 1),
                ("dimension", 1),
                ("aggregation_type", 1),
                ("date", -1),
                ("subject", -1),
            ),
            "the summaries of everything of one kind",
            correction="a tenant's, of one dimension: those of all conversations lay between",
        ),
        Index(
            "idx_analytics_ttl",
            (("delete_at", 1),),
            "removes summaries a policy has released",
            expire_after_seconds=0,
            partial={"delete_at": {"$exists": True}},
            correction="on an explicit date: six months after created_at lost monthly totals too",
        ),
    ),
)
