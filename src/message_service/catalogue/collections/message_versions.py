"""The collection `message_versions`: its indexes and shard key."""

from __future__ import annotations

from message_service.catalogue.collections.parts import BY_CONVERSATION
from message_service.catalogue.model import Collection, Index
from message_service.documents import (
    MessageVersion,
)

MESSAGE_VERSIONS = Collection(
    name="message_versions",
    document=MessageVersion,
    purpose="what messages said before they were edited",
    shard_key=BY_CONVERSATION,
    indexes=(
        Index(
            "idx_version_unique",
            (("conversation_id", 1), ("tenant_id", 1), ("message_id", 1), ("revision", 1)),
            "the versions of one message, in order",
            unique=True,
            added=True,
        ),
        Index("idx_version_shard_key", BY_CONVERSATION, "the shard key", added=True),
    ),
)
