"""Reads a collection of another application, on any server; nothing is written there."""

from __future__ import annotations

from collections.abc import AsyncIterator

from message_service.database.client import build_client, disconnect
from message_service.database.translate import translated
from message_service.documents.row import Row
from message_service.settings import Settings

_BATCH = 1_000


async def foreign_documents(
    settings: Settings, uri: str, database: str, collection: str
) -> AsyncIterator[list[Row]]:
    """Yield the documents of a collection in the order of their ids, some at a time.

    Args:
        settings: The settings of connections.
        uri: Connection string of the server.
        database: The name of the database.
        collection: The name of the collection.

    Raises:
        InvalidInput: The connection string or a name is wrong.
        Unavailable: The server cannot be reached.
    """
    client = build_client(settings, uri)
    try:
        with translated():
            found = (
                client.get_database(database)
                .get_collection(collection)
                .find({}, sort=[("_id", 1)], batch_size=_BATCH)
            )
        while True:
            with translated():
                batch = await found.to_list(_BATCH)
            if not batch:
                return
            yield batch
    finally:
        await disconnect(client)
