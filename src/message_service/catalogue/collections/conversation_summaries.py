"""The collection `conversation_summaries`: its indexes and shard key."""

from __future__ import annotations

from message_service.catalogue.collections.parts import BY_CONVERSATION
from message_service.catalogue.model import Collection, Index
from message_service.documents import ConversationSummary

CONVERSATION_SUMMARIES = Collection(
    name="conversation_summaries",
    document=ConversationSummary,
    purpose="what summaries of branches said, version by version",
    shard_key=BY_CONVERSATION,
    indexes=(
        Index(
            "idx_summary_version_unique",
            (("conversation_id", 1), ("tenant_id", 1), ("branch", 1), ("version", 1)),
            "the versions of a branch's summary; each once",
            unique=True,
            added=True,
        ),
        Index("idx_summary_version_shard_key", BY_CONVERSATION, "the shard key", added=True),
    ),
)
