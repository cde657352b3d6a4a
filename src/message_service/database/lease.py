"""Leases: let one process at a time do a piece of background work.

A lease is one document, acquired and renewed by the server's clock. A holder that dies stops
renewing, and its lease expires. Two holders can overlap (a process frozen for longer than its lease
and then thawed), so work under a lease must be idempotent: a lease saves work, it does not protect
data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymongo import ReturnDocument
from pymongo.asynchronous.database import AsyncDatabase

from message_service import errors
from message_service.database.records import COLLECTION
from message_service.database.translate import translated
from message_service.documents.row import Row

_IN_FORCE = {"$gt": ["$expires_at", "$$NOW"]}


class Lease:
    """A lease.

    Args:
        database: The database.
        name: Its name, the document's `_id`.
        holder: The name of the holder that acquires it; must be unique.
        seconds: How long it lasts without renewal.
        collection: Where it is kept.
    """

    def __init__(
        self,
        database: AsyncDatabase[Row],
        name: str,
        holder: str,
        seconds: float,
        collection: str = COLLECTION,
    ) -> None:
        self._leases = database.get_collection(collection)
        self.name = name
        self.holder = holder
        self.seconds = seconds

    async def renew(self, note: Mapping[str, Any] | None = None) -> Row | None:
        """Extend the lease by its full length.

        Args:
            note: The holder's report on its work; None keeps the last report.

        Returns:
            The lease's new document; None when another holder has it or it was released.
        """
        values = self._until()
        if note is not None:
            values["loop"] = {"$literal": dict(note)}
        with translated():
            return await self._leases.find_one_and_update(
                {"_id": self.name, "holder": self.holder},
                [{"$set": values}],
                return_document=ReturnDocument.AFTER,
            )

    async def try_acquire(self) -> Row:
        """Acquire the lease if it is free or expired, and not paused; return its new document."""
        free = {
            "$and": [
                {"$eq": [{"$ifNull": ["$paused_at", None]}, None]},
                {
                    "$or": [
                        {"$eq": [{"$ifNull": ["$holder", None]}, None]},
                        {"$not": [_IN_FORCE]},
                    ]
                },
            ]
        }
        taken = {"holder": {"$literal": self.holder}, "acquired_at": "$$NOW", **self._until()}
        stage = {
            "$set": {
                name: {"$cond": [free, value, {"$ifNull": [f"${name}", None]}]}
                for name, value in taken.items()
            }
        }
        with translated():
            lease = await self._leases.find_one_and_update(
                {"_id": self.name}, [stage], upsert=True, return_document=ReturnDocument.AFTER
            )
        if lease is None:
            raise errors.Internal("the server returned no document for an upsert")
        return lease

    async def release(self, note: Mapping[str, Any] | None = None) -> None:
        """Give it back, if this holder still has it."""
        values: Row = {"holder": None}
        if note is not None:
            values["loop"] = dict(note)
        with translated():
            await self._leases.update_one(
                {"_id": self.name, "holder": self.holder}, {"$set": values}
            )

    def _until(self) -> dict[str, Any]:
        return {
            "expires_at": {
                "$dateAdd": {
                    "startDate": "$$NOW",
                    "unit": "millisecond",
                    "amount": int(self.seconds * 1000),
                }
            }
        }


async def holder_of(database: AsyncDatabase[Row], name: str) -> str | None:
    """Return the present holder of a lease; None when there is none."""
    found = await read_lease(database, name)
    return found["holder"] if found.get("in_force") else None


async def read_lease(database: AsyncDatabase[Row], name: str) -> Row:
    """Return a lease's document with `in_force` (whether it is held now); empty when unknown.

    The fields are `holder`, `acquired_at`, `expires_at`, `paused_at` and `loop` (the last report).
    """
    with translated():
        found = await database.get_collection(COLLECTION).find_one(
            {"_id": name},
            {
                "_id": 0,
                **dict.fromkeys(("holder", "acquired_at", "expires_at", "paused_at", "loop"), 1),
                "in_force": {"$and": [{"$ne": [{"$ifNull": ["$holder", None]}, None]}, _IN_FORCE]},
            },
        )
    return found or {}


async def set_paused(database: AsyncDatabase[Row], name: str, *, paused: bool) -> None:
    """Pause a lease or end the pause; the holder notices a pause at its next renewal."""
    stage = {"$set": {"paused_at": "$$NOW" if paused else None}}
    with translated():
        await database.get_collection(COLLECTION).update_one({"_id": name}, [stage], upsert=True)
