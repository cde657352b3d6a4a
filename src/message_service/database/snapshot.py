"""Reads a collection as it was at one point of its history, while others write."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any

from bson.raw_bson import RawBSONDocument
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase

from message_service import errors
from message_service.database.point import OplogPoint
from message_service.database.raw_documents import RAW
from message_service.database.translate import translated
from message_service.documents.row import Row

SNAPSHOT_LOST = frozenset({239, 246})
"""The server's codes for a point it can no longer read at (`SnapshotTooOld`,
`SnapshotUnavailable`)."""

_COMMENT = "backup.scan"


class SnapshotReader:
    """Reads at points in time; for one task.

    Args:
        database: The database.
        session: A session of its own.
    """

    def __init__(self, database: AsyncDatabase[Row], session: AsyncClientSession) -> None:
        self._database = database
        self._session = session

    async def documents(
        self, collection: str, at: OplogPoint | None, since: Any, before: Any, batch: int
    ) -> AsyncGenerator[list[bytes], None]:
        """Yield a stretch of a collection in the order of `_id`, some documents at a time.

        Args:
            collection: The collection.
            at: The point; None reads what is there (on a server without history).
            since: The first `_id`; None for the collection's first.
            before: The first `_id` that is not read; None for none.
            batch: How many documents come at a time.

        Raises:
            Internal: The server can no longer read at this point (a code of `SNAPSHOT_LOST`).
        """
        command: Row = {"find": collection, "hint": {"_id": 1}, "batchSize": batch}
        command["comment"] = _COMMENT
        # Bounds of the index, because a comparison with an operator keeps to one type of value.
        if since is not None:
            command["min"] = {"_id": since}
        if before is not None:
            command["max"] = {"_id": before}
        if at is not None:
            command["readConcern"] = {"level": "snapshot", "atClusterTime": at.stamp}
        cursor = await self._run(command)
        number = 0
        try:
            while True:
                number = cursor["id"]
                name = "firstBatch" if "firstBatch" in cursor else "nextBatch"
                found: list[RawBSONDocument] = cursor[name]
                if found:
                    yield [bytes(document.raw) for document in found]
                if not number:
                    return
                cursor = await self._run(
                    {
                        "getMore": number,
                        "collection": collection,
                        "batchSize": batch,
                        "comment": _COMMENT,
                    }
                )
        finally:
            if number:
                # Whatever befell the cursor, its end is not worth an error.
                with suppress(errors.MessageServiceError):
                    await self._run({"killCursors": collection, "cursors": [number]})

    async def _run(self, command: Row) -> Any:
        with translated():
            answer = await self._database.command(command, codec_options=RAW, session=self._session)
        return answer.get("cursor")


async def sampled_ids(database: AsyncDatabase[Row], collection: str, count: int) -> list[Any]:
    """Return the `_id`s of documents drawn by chance, in the server's order."""
    stages: list[Row] = [
        {"$sample": {"size": count}},
        {"$project": {"_id": 1}},
        {"$sort": {"_id": 1}},
        {"$group": {"_id": None, "ids": {"$push": "$_id"}}},
    ]
    with translated():
        raw: AsyncDatabase[Any] = database.with_options(codec_options=RAW)
        cursor = await raw.get_collection(collection).aggregate(stages, comment="backup.ranges")
        found = await anext(cursor, None)
    return [] if found is None else list(found["ids"])
