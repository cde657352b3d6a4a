"""The one place that resolves the server's address, connects, and checks the server."""

from __future__ import annotations

from dataclasses import dataclass

from message_service.arguments import check_instance, check_sequence, check_text_argument
from message_service.database.client import (
    Client,
    CommandListener,
    Database,
    build_client,
    disconnect,
    open_database,
)
from message_service.database.server_info import ServerInfo, read_server_info
from message_service.local_server.manager import LocalServerManager
from message_service.settings import Settings

_LONGEST_URI = 16_384


@dataclass(frozen=True, slots=True)
class Connection:
    """A connected client and the database it is for.

    Attributes:
        client: The client.
        database: The database of the settings.
        server: Facts about the server.
    """

    client: Client
    database: Database
    server: ServerInfo

    async def close(self) -> None:
        """Disconnect; takes seconds at most, even when the server is silent."""
        await disconnect(self.client)


async def connect(
    settings: Settings,
    uri: str | None = None,
    listeners: list[CommandListener] | None = None,
    *,
    standalone: bool = False,
) -> Connection:
    """Connect to the server given by address or by the settings, or to the local server.

    Args:
        settings: The settings.
        uri: MongoDB connection string; None takes it from the settings, and without one starts
            the local server.
        listeners: Driver command listeners.
        standalone: Whether a server outside of a replica set will do, as for a backup.

    Raises:
        InvalidInput: An argument is wrong.
        Unavailable: No server answers.
        Unsupported: The server is too old or not a replica set.
        LocalServerError: The local server could not be started.
    """
    if uri is not None:
        check_text_argument("uri", uri, most=_LONGEST_URI, what="connection string")
    for listener in () if listeners is None else check_sequence("listeners", listeners):
        check_instance("listeners", listener, CommandListener)
    client = build_client(settings, await _address(settings, uri), listeners)
    try:
        server = await read_server_info(client, standalone=standalone)
        return Connection(client, open_database(client, settings.database), server)
    except BaseException:
        await disconnect(client)
        raise


async def _address(settings: Settings, uri: str | None) -> str:
    if uri is not None:
        return uri
    if settings.uri is not None:
        return settings.uri.get_secret_value()
    manager = LocalServerManager(settings.local_server_dir, settings.mongod)
    return (await manager.start()).uri
