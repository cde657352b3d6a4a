"""The collections `attachments.files` and `attachments.chunks`: indexes and shard keys."""

from __future__ import annotations

from message_service.catalogue.model import Collection, Index, Keys
from message_service.documents import AttachmentChunk, AttachmentFile

_BY_DIGEST: Keys = (("digest", "hashed"),)
_BY_FILE: Keys = (("files_id", "hashed"),)

ATTACHMENT_FILES = Collection(
    name="attachments.files",
    document=AttachmentFile,
    purpose="the files that messages refer to, without their bytes",
    shard_key=_BY_DIGEST,
    indexes=(
        Index(
            "idx_attachment_unique",
            (("digest", 1), ("tenant_id", 1)),
            "one file by the digest of its bytes",
            unique=True,
            added=True,
        ),
        Index("idx_attachment_shard_key", _BY_DIGEST, "the shard key", added=True),
        Index(
            "idx_attachment_pointer",
            (("tenant_id", 1), ("metadata.pointers", 1)),
            "one file by a provider's pointer",
            partial={"metadata.pointers": {"$exists": True}},
            added=True,
        ),
    ),
)

ATTACHMENT_CHUNKS = Collection(
    name="attachments.chunks",
    document=AttachmentChunk,
    purpose="the bytes of these files, in pieces",
    shard_key=_BY_FILE,
    indexes=(
        Index(
            "idx_attachment_chunk_unique",
            (("files_id", 1), ("tenant_id", 1), ("n", 1)),
            "the pieces of one file, in order",
            unique=True,
            added=True,
        ),
        Index("idx_attachment_chunk_shard_key", _BY_FILE, "the shard key", added=True),
    ),
)
