"""The collection `conversations`: its indexes and shard key."""

from __future__ import annotations

from message_service.catalogue.collections.parts import BY_CONVERSATION
from message_service.catalogue.model import Collection, Index
from message_service.documents import (
    Conversation,
)

CONVERSATIONS = Collection(
    name="conversations",
    document=Conversation,
    purpose="who talks with whom, and where a conversation stands",
    shard_key=BY_CONVERSATION,
    indexes=(
        Index(
            "idx_conversation_id_unique",
            (("conversation_id", 1), ("tenant_id", 1)),
            "one conversation by id",
            unique=True,
            added=True,
        ),
        Index("idx_conversation_shard_key", BY_CONVERSATION, "the shard key", added=True),
        Index(
            "idx_conversation_recent",
            (("tenant_id", 1), ("last_activity_at", -1), ("conversation_id", -1)),
            "a tenant's conversations, latest first",
            added=True,
        ),
        Index(
            "idx_conversation_owner",
            (("tenant_id", 1), ("user_id", 1), ("last_activity_at", -1), ("conversation_id", -1)),
            "a user's conversations, latest first",
            added=True,
        ),
        Index(
            "idx_conversation_character",
            (
                ("tenant_id", 1),
                ("character_id", 1),
                ("last_activity_at", -1),
                ("conversation_id", -1),
            ),
            "a character's conversations, latest first",
            partial={"character_id": {"$exists": True}},
            added=True,
        ),
    ),
)
