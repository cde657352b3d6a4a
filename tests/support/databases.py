"""Databases with the catalogue applied, used again by the next test.

Applying the catalogue takes the longer part of most tests. A database is emptied in between, and
given up when a test left a collection, an index or a validator other than it was, or much data.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

from pymongo import AsyncMongoClient, WriteConcern
from pymongo.asynchronous.database import AsyncDatabase

from message_service import MessageService
from message_service.database.client import open_database
from message_service.documents.row import Row
from message_service.settings import Settings

_MUCH = 5_000


class PreparedDatabases:
    """The databases of one run.

    Args:
        client: Where they are.
        uri: The same, for the service that applies the catalogue.
        settings: Of that service.
    """

    def __init__(self, client: AsyncMongoClient[Row], uri: str, settings: Settings) -> None:
        self._client = client
        self._uri = uri
        self._settings = settings
        self._free: list[str] = []
        self._catalogue: Row = {}
        self._documents: dict[str, list[Row]] = {}

    async def take(self) -> AsyncDatabase[Row]:
        """Return a database as a fresh one is once a service has connected to it."""
        if self._free:
            return open_database(self._client, self._free.pop())
        database = open_database(self._client, f"test_{secrets.token_hex(6)}")
        async with await MessageService.connect(
            self._uri, settings=self._settings, database=database.name
        ):
            pass
        if not self._catalogue:
            self._catalogue = await self._describe(database)
            self._documents = {
                name: found
                for name in self._collections()
                if (found := await database[name].find({}).to_list())
            }
        return database

    async def give_back(self, database: AsyncDatabase[Row]) -> None:
        """Empty a database for the next test, or drop it."""
        if await self._describe(database) != self._catalogue or await self._holds_much(database):
            # A transaction of a process that was killed would hold this up for a minute.
            await self._client.admin.command("killAllSessions", [])
            await self._client.drop_database(database.name)
            return
        await asyncio.gather(
            *(
                database.get_collection(name, write_concern=WriteConcern(w=1)).delete_many({})
                for name in self._collections()
            )
        )
        for name, documents in self._documents.items():
            # The last write waits for the majority, and with it for all before it.
            await database[name].insert_many(documents)
        self._free.append(database.name)

    def _collections(self) -> list[str]:
        return [name for name, known in self._catalogue.items() if known["type"] == "collection"]

    async def _holds_much(self, database: AsyncDatabase[Row]) -> bool:
        counts = await asyncio.gather(
            *(database[name].estimated_document_count() for name in self._collections())
        )
        return sum(counts) > _MUCH

    async def _describe(self, database: AsyncDatabase[Row]) -> Row:
        listed = [found async for found in await database.list_collections()]
        found = {
            each["name"]: {"type": each["type"], "options": each.get("options")}
            for each in listed
            if not each["name"].startswith("system.")
        }
        collections = [name for name, known in found.items() if known["type"] == "collection"]
        indexes = await asyncio.gather(*(self._indexes(database, name) for name in collections))
        for name, those in zip(collections, indexes, strict=True):
            found[name]["indexes"] = those
        return found

    async def _indexes(self, database: AsyncDatabase[Row], name: str) -> list[dict[str, Any]]:
        return [dict(index) async for index in await database[name].list_indexes()]
