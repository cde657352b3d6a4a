"""The collection `message_analytics`: its indexes and shard key."""

from __future__ import annotations

from message_service.catalogue.collections.parts import TENANT
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
                ("user_id", 1),
            ),
            "one summary per subject and period, so that a repeated run replaces",
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
            (("conversation_id", 1), ("tenant_id", 1), ("aggregation_type", 1), ("date", -1)),
            "a conversation's summaries",
            correction=TENANT,
        ),
        Index(
            "idx_user_analytics",
            (("tenant_id", 1), ("user_id", 1), ("aggregation_type", 1), ("date", -1)),
            "a user's summaries",
            correction=TENANT,
        ),
        Index(
            "idx_global_analytics",
            (("tenant_id", 1), ("aggregation_type", 1), ("date", -1)),
            "a tenant's summaries",
            correction=TENANT,
        ),
        Index(
            "idx_analytics_ttl",
            (("delete_at", 1),),
            "removes summaries a policy has released",
            expire_after_seconds=0,
            correction="on an explicit date: six months after created_at lost monthly totals too",
        ),
    ),
)
