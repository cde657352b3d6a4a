"""The collection `message_search_index`: its indexes and shard key."""

from __future__ import annotations

from message_service.catalogue.collections.parts import BY_CONVERSATION, UNIQUE
from message_service.catalogue.model import Collection, Index
from message_service.documents import (
    SearchEntry,
)

_TERMS = "indexed_content.terms"


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
