"""The collections `attachments.files` and `attachments.chunks`: the files that messages refer to.

The layout is GridFS's (https://github.com/mongodb/specifications/blob/master/source/gridfs), so
that its tools can read the files; hence the names of the fields. A file is stored once per tenant,
whatever it is called: its `_id` is made of the tenant and the digest of its bytes.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from message_service.documents.fields import (
    Count,
    Embedded,
    Moment,
    Name,
    StoredDocument,
    TenantId,
)
from message_service.documents.parts import DIGEST_OF_FILE, MAX_FILE_NAME, MAX_POINTER

CHUNK_BYTES = 255 * 1024
"""Bytes of every chunk but the last. It must never change: a repeated upload counts on it."""

FileDigest = Annotated[str, StringConstraints(pattern=rf"^{DIGEST_OF_FILE}$")]
"""The digest of a file's bytes."""

FileName = Annotated[str, StringConstraints(max_length=MAX_FILE_NAME)]
_FileId = Annotated[str, StringConstraints(max_length=256)]
_Pointer = Annotated[str, StringConstraints(max_length=MAX_POINTER)]


class FileFacts(Embedded):
    """What is known of a file beside its bytes.

    Attributes:
        mime_type: Its MIME type, as it was first given.
        external: Whether the bytes are in the external store (the setting `attachment_store`)
            instead of `attachments.chunks`.
        pointers: The providers' pointers under which messages know the file.
    """

    mime_type: Name | None = None
    external: bool | None = None
    pointers: Annotated[list[_Pointer], Field(max_length=1_000)] | None = None


class AttachmentFile(StoredDocument):
    """A stored file; it is written after the last of its bytes."""

    tenant_id: TenantId
    digest: FileDigest
    length: Count
    chunkSize: Count  # noqa: N815 (GridFS)
    uploadDate: Moment  # noqa: N815
    filename: FileName | None = None
    metadata: FileFacts | None = None

    class Settings:
        """Beanie's settings."""

        name = "attachments.files"


class AttachmentChunk(StoredDocument):
    """A piece of a stored file."""

    tenant_id: TenantId
    files_id: _FileId
    n: Count
    data: bytes

    class Settings:
        """Beanie's settings."""

        name = "attachments.chunks"
