"""A lease: who may do a thing that one process at a time should do.

It is one document, taken and renewed by the server's clock. A holder that dies stops renewing, and
the lease ends by itself. Two can overlap (a holder frozen for longer than its lease and then
thawed), so what is done under a lease must be safe to do twice; the lease keeps it from being
wasteful, not from being wrong.
"""

from __future__ import annotations

from typing import Any

from pymongo import ReturnDocument
from pymongo.asynchronous.database import AsyncDatabase

from message_service import errors
from message_service.database.client import Row
from message_service.database.translate import translated


class Lease:
    """A lease, held or not.

    Args:
        database: Where.
        collection: The collection of its document.
        name: Its name, the document's `_id`.
        holder: Who asks; unique to this asker.
        seconds: How long it lasts without renewal.
    """

    def __init__(
        self,
        database: AsyncDatabase[Row],
        collection: str,
        name: str,
        holder: str,
        seconds: float,
    ) -> None:
        self._leases = database.get_collection(collection)
        self._name = name
        self.holder = holder
        self.seconds = seconds

    async def renew(self) -> bool:
        """Hold it for its full length again; False when it ran out and may be another's."""
        with translated():
            result = await self._leases.update_one(
                {"_id": self._name, "holder": self.holder}, [{"$set": self._until()}]
            )
        return result.matched_count > 0

    async def try_acquire(self) -> Row:
        """Take the lease if it is free or has run out; return its document as it is then."""
        free = {
            "$or": [
                {"$eq": [{"$ifNull": ["$holder", None]}, None]},
                {"$lte": ["$expires_at", "$$NOW"]},
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
                {"_id": self._name}, [stage], upsert=True, return_document=ReturnDocument.AFTER
            )
        if lease is None:
            raise errors.Internal("the server returned no document for an upsert")
        return lease

    async def release(self) -> None:
        """Give it back, if it is still ours."""
        with translated():
            await self._leases.update_one(
                {"_id": self._name, "holder": self.holder}, {"$set": {"holder": None}}
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


async def holder_of(database: AsyncDatabase[Row], collection: str, name: str) -> str | None:
    """Return who holds a lease now; None when nobody does."""
    in_force = {"$expr": {"$gt": ["$expires_at", "$$NOW"]}}
    with translated():
        lease = await database.get_collection(collection).find_one({"_id": name, **in_force})
    return None if lease is None else lease["holder"]
