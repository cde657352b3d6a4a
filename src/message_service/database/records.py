"""Single documents of the service itself, apart from tenants' data."""

from __future__ import annotations

from typing import Any

from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError

from message_service.database.translate import translated
from message_service.documents.row import Row

COLLECTION = "schema_state"
"""The collection of the schema's version, leases, reports of loops, and the cursor secret."""


class Record:
    """One document, read and replaced as a whole.

    Args:
        database: The database.
        name: The document's `_id`.
    """

    def __init__(self, database: AsyncDatabase[Row], name: str) -> None:
        self._records = database.get_collection(COLLECTION)
        self._name = name

    async def read(self) -> Row:
        """Return the record; empty when there is none."""
        with translated():
            return await self._records.find_one({"_id": self._name}, {"_id": 0}) or {}

    async def write(self, values: dict[str, Any]) -> None:
        """Replace the record."""
        with translated():
            await self._records.replace_one({"_id": self._name}, values, upsert=True)

    async def follow(self, before: Row, values: Row) -> bool:
        """Replace the record if it is as it was.

        Args:
            before: The record as it was read.
            values: What to put in its place.

        Returns:
            Whether it was replaced.
        """
        same = {name: before.get(name) for name in (*before, *values)}
        with translated():
            try:
                done = await self._records.replace_one(
                    {"_id": self._name, **same}, values, upsert=not before
                )
            except DuplicateKeyError:  # it was not there, and is by now
                return False
        return done.matched_count == 1 or done.upserted_id is not None
