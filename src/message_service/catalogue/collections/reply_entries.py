"""The collection `reply_entries`: its indexes and shard key."""

from __future__ import annotations

from message_service.catalogue.collections.parts import BY_CONVERSATION
from message_service.catalogue.model import Collection, Index
from message_service.documents import ReplyEntry
from message_service.documents.reply_entry import KEPT_SECONDS

REPLY_ENTRIES = Collection(
    name="reply_entries",
    document=ReplyEntry,
    purpose="what replies say while they are being said",
    shard_key=BY_CONVERSATION,
    indexes=(
        Index(
            "idx_reply_entry_unique",
            (("conversation_id", 1), ("tenant_id", 1), ("reply_id", 1), ("number", 1)),
            "the entries of one reply, in order; each number once",
            unique=True,
            added=True,
        ),
        Index(
            "idx_reply_entry_ttl",
            (("created_at", 1),),
            "removes entries after a quarter of an hour",
            expire_after_seconds=KEPT_SECONDS,
            added=True,
        ),
        Index("idx_reply_entry_shard_key", BY_CONVERSATION, "the shard key", added=True),
    ),
)
