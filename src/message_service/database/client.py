"""Builds the client: pool, timeouts, compression, write and read concerns, codec."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.driver_info import DriverInfo
from pymongo.monitoring import CommandListener
from pymongo.read_concern import ReadConcern
from pymongo.server_api import ServerApi
from pymongo.write_concern import WriteConcern

from message_service import errors
from message_service.database.translate import translated
from message_service.documents.row import Row
from message_service.settings import Settings
from message_service.stopping import within

Database = AsyncDatabase[Row]
Client = AsyncMongoClient[Row]

__all__ = [
    "CODEC",
    "COMMITTED",
    "DURABLE",
    "Client",
    "CommandListener",
    "Database",
    "build_client",
    "disconnect",
    "open_database",
]

CODEC: CodecOptions[Row] = CodecOptions(
    document_class=dict,
    tz_aware=True,
    tzinfo=UTC,
    uuid_representation=UuidRepresentation.STANDARD,
)
"""Datetimes come back aware; uuids are stored in the standard form."""

DURABLE = WriteConcern(w="majority", j=True)
"""An acknowledged write survives the loss of any minority of members."""

_CLOSE_TRIES = 3
_CLOSE_SECONDS = 1.0

COMMITTED = ReadConcern("majority")
"""Reads that must not see what a failover could take back."""


def build_client(
    settings: Settings, uri: str, listeners: list[CommandListener] | None = None
) -> AsyncMongoClient[Row]:
    """Return a client for `uri`, not yet connected.

    The Node options of the source design are set under PyMongo's names; `family`, `keepAlive` and
    `keepAliveInitialDelay` have no counterpart (TCP keep-alive is always on). A client belongs to
    the event loop it is first used in.

    Raises:
        InvalidInput: The connection string or an option in it is wrong.
    """
    options: dict[str, Any] = {
        "minPoolSize": settings.min_pool_size,
        "maxPoolSize": settings.max_pool_size,
        "maxIdleTimeMS": int(settings.max_idle_time * 1000),
        "serverSelectionTimeoutMS": int(settings.server_selection_timeout * 1000),
        "socketTimeoutMS": int(settings.socket_timeout * 1000),
        "appname": settings.app_name,
        "retryWrites": True,
        "retryReads": True,
        "document_class": dict,
        "tz_aware": True,
        "tzinfo": UTC,
        "uuidRepresentation": "standard",
        "driver": DriverInfo(name="message-service"),
    }
    if settings.compressors:
        options["compressors"] = settings.compressors
    if settings.server_api is not None:
        options["server_api"] = ServerApi(settings.server_api)
    if listeners:
        options["event_listeners"] = listeners
    if "mongodb" not in uri.split(":", 1)[0]:
        raise errors.InvalidInput(
            "uri", "not a MongoDB connection string", "Start it with mongodb:// or mongodb+srv://"
        )
    with translated():
        try:
            return AsyncMongoClient(uri, **options)
        except ValueError as error:  # an invalid port, for example
            raise errors.InvalidInput("uri", str(error), "Check the connection string") from None


async def disconnect(client: AsyncMongoClient[Row]) -> None:
    """Close a client; takes seconds at most, even when the server is silent.

    The driver first sends `endSessions` and `killCursors` and waits for the answers. Each try
    skips what the try before gave up; the rest ends with the connections.
    """
    for _ in range(_CLOSE_TRIES):
        try:
            with translated():
                await within(_CLOSE_SECONDS, client.close())
        except TimeoutError:
            continue
        return


def open_database(client: AsyncMongoClient[Row], name: str) -> AsyncDatabase[Row]:
    """Return the database with our codec and write concern."""
    with translated():
        return client.get_database(name, codec_options=CODEC, write_concern=DURABLE)
