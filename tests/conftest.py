"""One real mongod for the whole run, a fresh database for each test."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from message_service.database.client import Row, build_client, open_database
from message_service.database.local_server import LocalServerManager
from message_service.settings import Settings
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
async def mongo_uri(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    manager = LocalServerManager(tmp_path_factory.mktemp("mongod"), None)
    server = await manager.start()
    yield server.uri
    await manager.stop()


@pytest.fixture(scope="session")
def settings() -> Settings:
    return Settings(min_pool_size=0, _env_file=None)


@pytest.fixture(scope="session")
async def client(mongo_uri: str, settings: Settings) -> AsyncIterator[AsyncMongoClient[Row]]:
    client = build_client(settings, mongo_uri)
    yield client
    await client.close()


@pytest.fixture
async def database(client: AsyncMongoClient[Row]) -> AsyncIterator[AsyncDatabase[Row]]:
    database = open_database(client, f"test_{secrets.token_hex(6)}")
    yield database
    await client.drop_database(database.name)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    if not SHARED_DATA.is_dir():
        pytest.skip("the shared conversation data is not beside this checkout")
    return SHARED_DATA
