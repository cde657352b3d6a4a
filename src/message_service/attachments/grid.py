"""The bytes of files in MongoDB, as GridFS lays them out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import IO

from message_service import errors
from message_service.catalogue.queries.attachments import (
    ATTACHMENT_CHUNK_NUMBERS,
    ATTACHMENT_CHUNKS_OF_FILE,
)
from message_service.database.scope import Scope
from message_service.documents.attachment_file import CHUNK_BYTES
from message_service.documents.row import Row

_CHUNKS_AT_ONCE = 16
_COMMENT = "attachments.put"


async def write(scope: Scope, files_id: str, file: IO[bytes]) -> None:
    """Store the bytes of a file; pieces that an interrupted upload left are the same pieces."""
    number = 0
    while True:
        chunks: list[Row] = []
        while len(chunks) < _CHUNKS_AT_ONCE and (data := file.read(CHUNK_BYTES)):
            chunks.append({"files_id": files_id, "n": number, "data": data})
            number += 1
        if not chunks:
            return
        refused = await scope.insert_many("attachments.chunks", chunks, comment=_COMMENT)
        for refusal in refused:
            if not isinstance(refusal.error, errors.AlreadyExists):
                raise refusal.error


async def holds(scope: Scope, files_id: str, size: int) -> bool:
    """Whether as many pieces of a file are stored as it has."""
    numbers = await scope.find(ATTACHMENT_CHUNK_NUMBERS, files_id=files_id)
    return len(numbers) == -(-size // CHUNK_BYTES)


async def read(scope: Scope, files_id: str) -> AsyncIterator[bytes]:
    """Yield the bytes of a file, a piece at a time; it ends early where a piece is missing."""
    number = 0
    async for chunk in scope.stream(
        ATTACHMENT_CHUNKS_OF_FILE, batch=_CHUNKS_AT_ONCE, files_id=files_id
    ):
        if chunk["n"] != number:
            return
        number += 1
        yield chunk["data"]
