"""The files of messages in our own export format."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import IO, Any, cast

from message_service.attachments.attachments import Attachments
from message_service.documents.parts import DIGEST_OF_FILE, Attachment
from message_service.documents.row import Row

_IN_MEMORY = 8 * 1024**2
_DIGEST = re.compile(rf"\b{DIGEST_OF_FILE}\b")


def attachments_of(document: Mapping[str, Any]) -> list[Attachment]:
    """Return the files that a stored message or version may have.

    Arguments of tools and parts of other kinds name the files that were inside them by digest.
    """
    found: list[Attachment] = []
    for part in document["content"].get("parts") or ():
        if part["type"] == "attachment":
            found.append(Attachment(pointer=part.get("pointer"), hash=part.get("hash")))
        else:
            inside = part.get("arguments") or part.get("data") or ""
            found += (Attachment(hash=digest) for digest in _DIGEST.findall(inside))
    return found


async def file_records(
    attachments: Attachments, wanted: Sequence[Attachment], written: set[str]
) -> AsyncIterator[tuple[str, Row]]:
    """Yield kinds and documents of the lines of some files.

    Args:
        attachments: The tenant's attachments.
        wanted: The attachments of messages; those whose files are not stored are left out.
        written: The digests of the files that the export has already.

    Raises:
        AttachmentDamaged: Bytes of a file are missing or changed.
    """
    for file in sorted(await attachments.stored(wanted), key=lambda stored: stored.digest):
        if file.digest in written:
            continue
        written.add(file.digest)
        facts = {
            "digest": file.digest,
            "length": file.size,
            "filename": file.name,
            "mime_type": file.mime_type,
            "pointers": list(file.pointers) or None,
        }
        yield "file", {name: value for name, value in facts.items() if value is not None}
        number = 0
        async for block in attachments.stream(file.digest):
            yield "bytes", {"n": number, "data": block}
            number += 1


class BundledFile:
    """A file that is read from an export.

    Args:
        facts: The document of its line.
    """

    def __init__(self, facts: Row) -> None:
        self._facts = facts
        self._file = tempfile.SpooledTemporaryFile[bytes](_IN_MEMORY, prefix="import-")
        self._digest = hashlib.sha256()
        self._pieces = 0
        self._size = 0

    def add(self, piece: Row) -> bool:
        """Add the next bytes; false when they are not the next."""
        data = piece.get("data")
        if piece.get("n") != self._pieces or not isinstance(data, bytes):
            return False
        self._pieces += 1
        self._size += len(data)
        self._digest.update(data)
        self._file.write(data)
        return True

    @property
    def is_whole(self) -> bool:
        """Whether its bytes are those that its line names."""
        digest = f"sha256:{self._digest.hexdigest()}"
        return (digest, self._size) == (self._facts.get("digest"), self._facts.get("length"))

    async def store(self, attachments: Attachments) -> None:
        """Store it.

        Raises:
            InvalidInput: It is too large, or its line has a wrong value.
        """
        self._file.seek(0)
        pointers: object = self._facts.get("pointers")
        await attachments.put(
            cast("IO[bytes]", self._file),
            name=self._facts.get("filename"),
            mime_type=self._facts.get("mime_type"),
            pointers=cast("list[str]", pointers if pointers is not None else []),
        )

    def close(self) -> None:
        """Forget its bytes."""
        self._file.close()
