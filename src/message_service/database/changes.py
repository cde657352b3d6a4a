"""A change stream as an iterator, with errors translated."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase

from message_service.database.translate import translated
from message_service.documents.row import Row


async def changes(
    database: AsyncDatabase[Row], collection: str, match: Mapping[str, Any], *, comment: str
) -> AsyncIterator[Row]:
    """Yield the changes of a collection from now on, each with the document as it is now.

    The driver resumes after a failover without losing a change.

    Args:
        database: The database.
        collection: The collection.
        match: Which changes count (a `$match` on change events).
        comment: Name of the command in logs.

    Raises:
        Unsupported: The server has no change streams.
        Unavailable: The server cannot be reached.
    """
    with translated():
        stream = await database.get_collection(collection).watch(
            [{"$match": dict(match)}], full_document="updateLookup", comment=comment
        )
    try:
        while True:
            with translated():
                event = await anext(stream, None)
            if event is None:
                return
            yield dict(event)
    finally:
        with translated():
            await stream.close()
