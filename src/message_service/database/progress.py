"""What a background task remembers between runs: one small document."""

from __future__ import annotations

from typing import Any

from pymongo.asynchronous.database import AsyncDatabase

from message_service.database.client import Row
from message_service.database.translate import translated

COLLECTION = "schema_state"


class ProgressRecord:
    """The record of one task.

    Args:
        database: Where.
        name: The task's name, the document's `_id`.
    """

    def __init__(self, database: AsyncDatabase[Row], name: str) -> None:
        self._records = database.get_collection(COLLECTION)
        self._name = name

    async def read(self) -> Row:
        """Return what was written last; empty when nothing was."""
        with translated():
            return await self._records.find_one({"_id": self._name}, {"_id": 0}) or {}

    async def write(self, values: dict[str, Any]) -> None:
        """Replace the record."""
        with translated():
            await self._records.replace_one({"_id": self._name}, values, upsert=True)
