"""The collection `conversation_branches`: its indexes and shard key."""

from __future__ import annotations

from message_service.catalogue.collections.parts import BY_CONVERSATION
from message_service.catalogue.model import Collection, Index
from message_service.documents import (
    Branch,
)

BRANCHES = Collection(
    name="conversation_branches",
    document=Branch,
    purpose="where branches leave one another",
    shard_key=BY_CONVERSATION,
    indexes=(
        Index(
            "idx_branch_unique",
            (("conversation_id", 1), ("tenant_id", 1), ("branch", 1)),
            "the branches of one conversation",
            unique=True,
            added=True,
        ),
        Index("idx_branch_shard_key", BY_CONVERSATION, "the shard key", added=True),
    ),
)
