"""The collection `characters`: its indexes. It is small and lies on one shard."""

from __future__ import annotations

from message_service.catalogue.model import Collection, Index
from message_service.documents import Character

CHARACTERS = Collection(
    name="characters",
    document=Character,
    purpose="what a model is told of the characters it plays",
    shard_key=None,
    indexes=(
        Index(
            "idx_character_unique",
            (("tenant_id", 1), ("character_id", 1)),
            "one character by id; a tenant's characters",
            unique=True,
            added=True,
        ),
    ),
)
