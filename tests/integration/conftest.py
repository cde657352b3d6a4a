"""A database with the catalogue, one whose commands are seen, and a service with job handlers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from pymongo import AsyncMongoClient

from message_service import MessageService
from message_service.database.client import build_client, open_database
from message_service.documents.row import Row
from message_service.schema.apply import apply
from message_service.settings import Settings
from support.catalogues import (
    CLOCK,
    Commands,
    Database,
)
from support.job_handlers import Handlers


@pytest.fixture
async def applied(database: Database) -> Database:
    await apply(database, clock=CLOCK)
    return database


@pytest.fixture
async def watched(
    mongo_uri: str, settings: Settings, applied: Database
) -> AsyncIterator[tuple[Database, Commands]]:
    """The applied database through a client whose commands are recorded."""
    commands = Commands()
    client: AsyncMongoClient[Row] = build_client(settings, mongo_uri, [commands])
    yield open_database(client, applied.name), commands
    await client.close()


@pytest.fixture
def handlers() -> Handlers:
    return Handlers()


@pytest.fixture
async def queue(
    service: MessageService,
    handlers: Handlers,
    mongo_uri: str,
    settings: Settings,
    database: Database,
) -> AsyncIterator[MessageService]:
    """A service that knows the handlers."""
    async with await MessageService.connect(
        mongo_uri,
        settings=settings,
        database=database.name,
        registry=handlers.registry,
        queue_lease=2,
        queue_poll=0.1,
    ) as connected:
        yield connected
