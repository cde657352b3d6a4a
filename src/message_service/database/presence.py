"""Presence of processes: each says now and then that it is there, and what it does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase

from message_service.database.records import COLLECTION
from message_service.database.translate import translated
from message_service.documents.row import Row


class Presence:
    """The processes of one kind.

    Args:
        database: The database.
        kind: The kind; their documents are named after it.
    """

    def __init__(self, database: AsyncDatabase[Row], kind: str) -> None:
        self._records = database.get_collection(COLLECTION)
        self._kind = kind

    async def announce(self, name: str, values: Mapping[str, Any]) -> None:
        """Say that a process is there, with what is to be known of it."""
        stage = {
            "$set": {
                "values": {"$literal": dict(values)},
                "seen_at": "$$NOW",
                "began_at": {"$ifNull": ["$began_at", "$$NOW"]},
            }
        }
        with translated():
            await self._records.update_one({"_id": self._id(name)}, [stage], upsert=True)

    async def withdraw(self, name: str) -> None:
        """Say that a process has ended."""
        with translated():
            await self._records.delete_one({"_id": self._id(name)})

    async def seen(self) -> list[Row]:
        """Return every process: `name`, `values`, `began_at`, `seen_at` and `silent` in seconds."""
        with translated():
            rows = await self._records.find(
                {"_id": {"$gte": self._id(""), "$lt": f"{self._kind};"}},
                {
                    "values": 1,
                    "began_at": 1,
                    "seen_at": 1,
                    "silent": {"$divide": [{"$subtract": ["$$NOW", "$seen_at"]}, 1000]},
                },
                sort=[("_id", 1)],
            ).to_list()
        return [{**row, "name": row["_id"].removeprefix(self._id(""))} for row in rows]

    async def forget(self, name: str, seen_at: Any) -> None:
        """Remove a process that has said nothing since then."""
        with translated():
            await self._records.delete_one({"_id": self._id(name), "seen_at": seen_at})

    def _id(self, name: str) -> str:
        return f"{self._kind}:{name}"
