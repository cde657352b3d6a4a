"""A tenant's attachments: the public interface."""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from message_service import errors
from message_service.arguments import check_instance, check_sequence, check_text_argument
from message_service.attachments import grid
from message_service.attachments.external import ExternalStore
from message_service.attachments.gathering import Data, Gathered, gathered
from message_service.attachments.pointers import (
    digest_in,
    digest_of,
    is_ours,
    pointer_to,
    provider_id,
)
from message_service.catalogue.queries.attachments import (
    ATTACHMENT_BY_DIGEST,
    ATTACHMENTS_BY_DIGESTS,
    ATTACHMENTS_BY_POINTERS,
)
from message_service.clock import Clock
from message_service.database.scope import Scope
from message_service.documents.attachment_file import CHUNK_BYTES
from message_service.documents.fields import MAX_NAME
from message_service.documents.parts import (
    MAX_FILE_NAME,
    MAX_POINTER,
    Attachment,
    AttachmentKind,
    kind_of,
)
from message_service.documents.row import Row
from message_service.documents.validation import checked

_COMMENT = "attachments.put"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that is stored.

    Attributes:
        digest: The digest of its bytes, `sha256:` and hexadecimal.
        size: How many bytes it has.
        name: The name under which it was first stored.
        mime_type: Its MIME type, as it was first given.
        stored_at: When it was stored.
        external: Whether its bytes are in the external store.
        pointers: The ids by which providers know it.
    """

    digest: str
    size: int
    name: str | None
    mime_type: str | None
    stored_at: datetime
    external: bool
    pointers: tuple[str, ...]


class Attachments:
    """The files of one tenant.

    A file is stored once, by the digest of its bytes, whatever it is called and however many
    messages refer to it. So storing is idempotent, and a retry continues an interrupted upload.

    Args:
        scope: The tenant's scope.
        clock: The present moment.
        external: The external store; None keeps the bytes in MongoDB.
        most: Most bytes of a file.
    """

    def __init__(
        self, scope: Scope, clock: Clock, external: ExternalStore | None, most: int
    ) -> None:
        self._scope = scope
        self._clock = clock
        self._external = external
        self._most = most

    async def put(
        self,
        data: Data,
        *,
        name: str | None = None,
        mime_type: str | None = None,
        kind: AttachmentKind | str | None = None,
        pointers: Sequence[str] = (),
    ) -> Attachment:
        """Store a file and return the part by which messages refer to it.

        Args:
            data: Its bytes, its path, a file open for reading bytes, or an async iterable of its
                bytes.
            name: Its name; a path's own name by default.
            mime_type: Its MIME type; guessed from the name by default.
            kind: Its kind; from the MIME type by default.
            pointers: Providers' pointers under which messages know the file already; it is found
                by them from now on.

        Raises:
            InvalidInput: An argument is wrong, the file cannot be read or is too large. Nothing is
                stored.
            Unavailable: The database or the external store cannot be reached.
        """
        if name is None and isinstance(data, Path):
            name = data.name or None
        if name is not None:
            check_text_argument("name", name, most=MAX_FILE_NAME)
        if mime_type is not None:
            check_text_argument("mime_type", mime_type, most=MAX_NAME)
        elif name is not None:
            mime_type = mimetypes.guess_type(name)[0]
        for pointer in check_sequence("pointers", pointers):
            check_text_argument("pointers", pointer, most=MAX_POINTER)
        if kind is None:
            kind = kind_of(mime_type)
        facts = {"name": name, "mime_type": mime_type, "kind": kind}
        part = checked(Attachment, facts)
        async with gathered(data, self._most) as file:
            await self._store(file, part, [provider_id(pointer) for pointer in pointers])
            return part.model_copy(
                update={"size": file.size, "hash": file.digest, "pointer": pointer_to(file.digest)}
            )

    async def find(self, attachment: Attachment | str) -> StoredFile:
        """Return what is known of a stored file.

        Args:
            attachment: The part of a message; or a pointer (ours, or a provider's); or the digest.

        Raises:
            InvalidInput: It is neither.
            NotFound: Its bytes are not stored.
        """
        return _stored_file(await self._row(attachment))

    async def read(self, attachment: Attachment | str) -> bytes:
        """Return the bytes of a file; see `stream` for large ones.

        Raises:
            As `stream`.
        """
        return b"".join([block async for block in self.stream(attachment)])

    async def stream(self, attachment: Attachment | str) -> AsyncIterator[bytes]:
        """Yield the bytes of a file, a piece at a time.

        Args:
            attachment: As for `find`.

        Raises:
            InvalidInput: It is neither.
            NotFound: Its bytes are not stored.
            AttachmentDamaged: Bytes are missing or changed. Raised after the last piece, so what
                was yielded must not be trusted before the end.
            InvalidInput: The bytes are in an external store, and the settings name none.
            Unavailable: The database or the external store cannot be reached.
        """
        row = await self._row(attachment)
        read = hashlib.sha256()
        async for block in self._blocks(row):
            read.update(block)
            yield block
        if f"sha256:{read.hexdigest()}" != row["digest"]:
            raise errors.AttachmentDamaged(
                f"bytes of {row['digest']} are missing or changed: "
                "store the file again, or restore it from a backup",
                digest=row["digest"],
            )

    async def stored(self, attachments: Sequence[Attachment]) -> list[StoredFile]:
        """Return those files of some attachments whose bytes are stored, each once.

        Raises:
            InvalidInput: One of them is no attachment.
        """
        digests: set[str] = set()
        pointers: set[str] = set()
        for each in check_sequence("attachments", attachments):
            check_instance("attachments", each, Attachment)
            digest = digest_of(each)
            if digest is not None:
                digests.add(digest)
            if each.pointer and not is_ours(each.pointer):
                pointers.add(provider_id(each.pointer))
        rows: list[Row] = []
        if digests:
            rows += await self._scope.find(ATTACHMENTS_BY_DIGESTS, digests=sorted(digests))
        if pointers:
            rows += await self._scope.find(ATTACHMENTS_BY_POINTERS, pointers=sorted(pointers))
        return list({row["digest"]: _stored_file(row) for row in rows}.values())

    async def _store(self, file: Gathered, part: Attachment, pointers: list[str]) -> None:
        known = await self._scope.find_one(ATTACHMENT_BY_DIGEST, digest=file.digest)
        external = self._external is not None if known is None else _is_external(known)
        if known is None or not await self._is_complete(known):
            await self._write(file, external=external)
        if known is None:
            metadata: Row = {
                "mime_type": part.mime_type,
                "external": external or None,
                "pointers": pointers or None,
            }
            facts = {name: value for name, value in metadata.items() if value is not None}
            row: Row = {
                "_id": self._id(file.digest),
                "digest": file.digest,
                "length": file.size,
                "chunkSize": CHUNK_BYTES,
                "uploadDate": self._clock.now(),
            }
            row |= {"filename": part.name} if part.name is not None else {}
            row |= {"metadata": facts} if facts else {}
            if await self._scope.insert_one("attachments.files", row, comment=_COMMENT):
                return
            known = await self._scope.find_one(ATTACHMENT_BY_DIGEST, digest=file.digest) or {}
        missing = [
            each for each in pointers if each not in known.get("metadata", {}).get("pointers", ())
        ]
        if missing:
            await self._scope.update_one(
                ATTACHMENT_BY_DIGEST,
                {"$addToSet": {"metadata.pointers": {"$each": missing}}},
                digest=file.digest,
            )

    async def _write(self, file: Gathered, *, external: bool) -> None:
        if external and self._external is not None:
            await self._external.write(self._scope.tenant_id, file.digest, file.file)
        else:
            await grid.write(self._scope, self._id(file.digest), file.file)

    async def _is_complete(self, row: Row) -> bool:
        """Whether no bytes of a file are missing, as far as can be seen without reading them."""
        if not _is_external(row):
            return await grid.holds(self._scope, row["_id"], row["length"])
        if self._external is None:
            return True
        return await self._external.size(self._scope.tenant_id, row["digest"]) == row["length"]

    async def _row(self, attachment: Attachment | str) -> Row:
        if isinstance(attachment, Attachment):
            digest = digest_of(attachment)
            pointer = attachment.pointer
        else:
            check_text_argument("attachment", attachment, most=MAX_POINTER)
            digest = digest_in(attachment)
            pointer = attachment
        row = None
        if digest is not None:
            row = await self._scope.find_one(ATTACHMENT_BY_DIGEST, digest=digest)
        if row is None and pointer and not is_ours(pointer):
            rows = await self._scope.find(ATTACHMENTS_BY_POINTERS, pointers=[provider_id(pointer)])
            # The first, so that nobody can put another file in its place.
            row = min(rows, key=lambda found: found["uploadDate"], default=None)
        if row is None:
            shown = (pointer or digest or "without pointer and hash")[:200]
            raise errors.NotFound("attachment", shown)
        return row

    async def _blocks(self, row: Row) -> AsyncIterator[bytes]:
        if not _is_external(row):
            blocks = grid.read(self._scope, row["_id"])
        elif self._external is not None:
            blocks = self._external.read(self._scope.tenant_id, row["digest"])
        else:
            raise errors.InvalidInput(
                "attachment_store",
                "is not set, and the bytes of this file are in an external store",
                "Set it to the store in which the file was put",
            )
        async for block in blocks:
            yield block

    def _id(self, digest: str) -> str:
        return f"{self._scope.tenant_id}:{digest}"


def _is_external(row: Row) -> bool:
    facts: Row = row.get("metadata") or {}
    return bool(facts.get("external"))


def _stored_file(row: Row) -> StoredFile:
    facts: Row = row.get("metadata") or {}
    return StoredFile(
        digest=row["digest"],
        size=row["length"],
        name=row.get("filename"),
        mime_type=facts.get("mime_type"),
        stored_at=row["uploadDate"],
        external=_is_external(row),
        pointers=tuple(facts.get("pointers") or ()),
    )
