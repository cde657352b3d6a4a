"""The collections worked out from messages, and the queue: their indexes and shard keys."""

from __future__ import annotations

from message_service.catalogue.collection_parts import BY_CONVERSATION, TENANT, UNIQUE
from message_service.catalogue.model import Collection, Index
from message_service.documents import Job, MessageAnalytics, SearchEntry

_TERMS = "indexed_content.terms"

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

SEARCH_INDEX = Collection(
    name="message_search_index",
    document=SearchEntry,
    purpose="messages in searchable form",
    shard_key=BY_CONVERSATION,
    indexes=(
        Index(
            "idx_search_message_id",
            (("conversation_id", 1), ("tenant_id", 1), ("message_id", 1)),
            "the entry of one message",
            unique=True,
            correction=UNIQUE,
        ),
        Index("idx_search_shard_key", BY_CONVERSATION, "the shard key", added=True),
        Index(
            "idx_optimized_text_search",
            (
                ("tenant_id", 1),
                ("user_id", 1),
                ("indexed_content.full_text", "text"),
                ("indexed_content.tokens", "text"),
                ("search_metadata.topics", "text"),
            ),
            "words in one user's messages",
            weights={
                "indexed_content.full_text": 10,
                "indexed_content.tokens": 7,
                "search_metadata.topics": 5,
            },
            correction="user as equality prefix, no language stemming, a harmless override field",
        ),
        Index(
            "idx_search_ranking",
            (
                ("tenant_id", 1),
                ("user_id", 1),
                ("search_weights.importance_score", -1),
                ("search_weights.quality_score", -1),
                ("created_at", -1),
            ),
            "a user's weightiest messages",
            correction="recency is a date, not a score frozen when indexed; scoped to the tenant",
        ),
        Index(
            "idx_search_user_terms",
            (("tenant_id", 1), ("user_id", 1), (_TERMS, 1), ("_id", -1)),
            "a user's messages by term, newest first, from the index alone",
            added=True,
        ),
        Index(
            "idx_search_conversation_terms",
            (("conversation_id", 1), ("tenant_id", 1), (_TERMS, 1), ("_id", -1)),
            "a conversation's messages by term, newest first, from the index alone",
            added=True,
        ),
        Index(
            "idx_search_tenant_terms",
            (("tenant_id", 1), (_TERMS, 1), ("_id", -1)),
            "a tenant's messages by term, newest first, from the index alone",
            added=True,
        ),
        Index(
            "idx_search_ttl",
            (("delete_at", 1),),
            "removes the entry together with its message",
            expire_after_seconds=0,
            added=True,
        ),
    ),
)

QUEUE = Collection(
    name="processing_queue",
    document=Job,
    purpose="asynchronous work",
    shard_key=None,
    indexes=(
        Index(
            "idx_job_id_unique",
            (("tenant_id", 1), ("job_id", 1)),
            "one job by id",
            unique=True,
            added=True,
        ),
        Index(
            "idx_queue_processing",
            (("status", 1), ("priority_rank", -1), ("queue_metadata.scheduled_for", 1)),
            "what to claim next",
            correction="by rank: as strings, 'high' sorts last",
        ),
        Index(
            "idx_queue_message",
            (("tenant_id", 1), ("conversation_id", 1), ("message_id", 1)),
            "the jobs of one message",
            correction=TENANT,
        ),
        Index(
            "idx_queue_ttl",
            (("updated_at", 1),),
            "removes ended jobs after seven days",
            expire_after_seconds=604_800,
            partial={"status": {"$in": ["completed", "failed", "cancelled"]}},
        ),
    ),
)
