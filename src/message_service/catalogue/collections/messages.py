"""The collection `messages`: its indexes and shard key.

The design's `idx_full_text_search` is left out: the same words are indexed once, by
`idx_optimized_text_search` on `message_search_index` (see `docs/deviations.md`).
"""

from __future__ import annotations

from message_service.catalogue.collections.parts import BY_CONVERSATION, CREATED, UNIQUE
from message_service.catalogue.model import Collection, Index
from message_service.documents import (
    Message,
)

_BRANCH = "relationships.conversation_branch"


MESSAGES = Collection(
    name="messages",
    document=Message,
    purpose="every message, with its metadata",
    shard_key=BY_CONVERSATION,
    expressions=(
        {"$eq": ["$partition_key", "$conversation_id"]},
        {
            "$or": [
                {"$eq": ["$message_type", "tombstone"]},
                {"$ne": ["$content.text", ""]},
                {"$gt": [{"$size": {"$ifNull": ["$content.parts", []]}}, 0]},
            ]
        },
    ),
    indexes=(
        Index(
            "idx_message_id_unique",
            (("conversation_id", 1), ("tenant_id", 1), ("message_id", 1)),
            "one message by id",
            unique=True,
            correction=UNIQUE,
        ),
        Index(
            "idx_conversation_sequence",
            (("conversation_id", 1), ("tenant_id", 1), ("sequence_number", 1)),
            "a whole conversation in order; gives out each number once",
            unique=True,
            correction="unique: two writers cannot take one number; scoped to the tenant",
        ),
        Index(
            "idx_user_chronological",
            (("tenant_id", 1), ("user_id", 1), (CREATED, -1), ("_id", -1)),
            "a user's messages over all conversations",
            correction="ties broken by _id in the same direction; scoped to the tenant",
        ),
        Index(
            "idx_temporal_pagination",
            (("tenant_id", 1), (CREATED, -1), ("_id", -1)),
            "a tenant's messages by time",
            correction="-1 with +1 served neither direction; scoped to the tenant",
        ),
        Index(
            "idx_conversation_filtering",
            (
                ("conversation_id", 1),
                ("tenant_id", 1),
                ("role", 1),
                ("message_type", 1),
                ("status", 1),
                ("sequence_number", 1),
            ),
            "a conversation's messages by role, type and status, in order",
            correction="the order is in the key, so that no sort is needed; scoped to the tenant",
        ),
        Index(
            "idx_token_analytics",
            (
                ("tenant_id", 1),
                ("user_id", 1),
                (CREATED, -1),
                ("llm_metadata.provider", 1),
                ("llm_metadata.model", 1),
            ),
            "tokens by user and period",
            partial={"token_usage.total_tokens": {"$exists": True}},
            correction="the date range comes before the grouped fields; scoped to the tenant",
        ),
        Index(
            "idx_message_ttl",
            (("delete_at", 1),),
            "removes archived messages whose archive is verified",
            expire_after_seconds=0,
            partial={"status": "archived", "retention_policy": "standard"},
            correction="on an explicit date: on created_at, archiving an old message deleted it",
        ),
        Index(
            "idx_shard_key",
            BY_CONVERSATION,
            "the shard key",
        ),
        Index(
            "idx_deduplication",
            (
                ("content.content_hash", 1),
                ("conversation_id", 1),
                ("tenant_id", 1),
                ("user_id", 1),
            ),
            "messages of one conversation with the same text (a report, not a guard)",
            correction="sparse did nothing in a compound key; scoped to the tenant",
        ),
        Index(
            "idx_worker_performance",
            (("tenant_id", 1), ("processing_metadata.worker_id", 1), (CREATED, -1)),
            "what a worker did",
            partial={"processing_metadata.worker_id": {"$exists": True}},
            correction="partial instead of sparse; scoped to the tenant",
        ),
        Index(
            "idx_safety_audit",
            (
                ("tenant_id", 1),
                ("safety_metadata.content_filtered", 1),
                ("safety_metadata.manual_review_required", 1),
                (CREATED, -1),
            ),
            "filtered messages and those waiting for review",
            partial={"safety_metadata.content_filtered": {"$exists": True}},
            correction="partial: only judged messages; scoped to the tenant",
        ),
        Index(
            "idx_hot_conversation_data",
            (("conversation_id", 1), ("tenant_id", 1), (CREATED, -1)),
            "a conversation's messages by time",
            correction="a block compressor does not pin an index in memory; scoped to the tenant",
        ),
        Index(
            "idx_client_message_id",
            (("conversation_id", 1), ("tenant_id", 1), ("client_metadata.client_msg_id", 1)),
            "the idempotency key",
            unique=True,
            partial={"client_metadata.client_msg_id": {"$type": "string"}},
            added=True,
        ),
        Index(
            "idx_branch_history",
            (
                ("conversation_id", 1),
                ("tenant_id", 1),
                (_BRANCH, 1),
                ("status", 1),
                ("sequence_number", 1),
                ("content.token_count", 1),
            ),
            "pages and prompt windows of one branch; covers the token counts",
            added=True,
        ),
        Index(
            "idx_tool_calls",
            (("conversation_id", 1), ("tenant_id", 1), ("content.call_ids", 1)),
            "the messages that make or answer a tool call",
            partial={"content.call_ids": {"$exists": True}},
            added=True,
        ),
        Index(
            "idx_pinned",
            (("conversation_id", 1), ("tenant_id", 1), ("sequence_number", 1)),
            "pinned messages",
            partial={"pinned": True},
            added=True,
        ),
        Index(
            "idx_unpriced",
            (("tenant_id", 1), (CREATED, 1)),
            "messages whose tokens have no price",
            partial={"token_usage.cost_state": "unpriced"},
            added=True,
        ),
        Index(
            "idx_enrichment_behind",
            (("conversation_id", 1), ("tenant_id", 1), ("sequence_number", 1)),
            "up to which number a conversation is searchable",
            partial={"enrichment.pending": {"$exists": True}},
            added=True,
        ),
        Index(
            "idx_enrichment_refused",
            (("conversation_id", 1), ("tenant_id", 1), ("sequence_number", 1)),
            "messages the search index could not take",
            partial={"enrichment.refused": {"$exists": True}},
            added=True,
        ),
    ),
)
