"""The lease that lets one apply work at a time.

It is one document, taken and renewed by the server's clock. A holder that dies stops renewing, and
the lease ends by itself. Should two ever overlap (a holder frozen for longer than its lease and
then thawed), nothing is lost: every step of an apply can be repeated, and the holder asks for its
lease before each.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from pymongo import ReturnDocument
from pymongo.asynchronous.database import AsyncDatabase

from message_service import errors
from message_service.catalogue.schema_state import COLLECTION
from message_service.database.client import Row
from message_service.database.translate import translated

DEFAULT_LEASE = 30.0
"""Seconds a holder may be silent."""

DEFAULT_WAIT = 3_600.0
"""Seconds to wait for another holder; index builds take long."""

_ID = "apply_lock"
_POLL = 0.25


class Lease:
    """A lease that is held.

    Args:
        database: Where.
        holder: Who holds it; unique to this apply.
        seconds: How long it lasts without renewal.
    """

    def __init__(self, database: AsyncDatabase[Row], holder: str, seconds: float) -> None:
        self._locks = database.get_collection(COLLECTION)
        self.holder = holder
        self._seconds = seconds

    async def renew(self) -> None:
        """Make sure it is still held, and hold it for its full length again.

        Raises:
            CatalogueError: It ran out and somebody else may work now.
        """
        with translated():
            result = await self._locks.update_one(
                {"_id": _ID, "holder": self.holder}, [{"$set": self._until()}]
            )
        if result.matched_count == 0:
            raise errors.CatalogueError(
                "this apply was silent for longer than its lease and has lost it; run it again",
                holder=self.holder,
            )

    async def try_acquire(self) -> Row:
        """Take the lease if it is free or has run out; return the lock as it is then."""
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
            lock = await self._locks.find_one_and_update(
                {"_id": _ID}, [stage], upsert=True, return_document=ReturnDocument.AFTER
            )
        if lock is None:
            raise errors.Internal("the server returned no document for an upsert")
        return lock

    async def release(self) -> None:
        """Give it back, if it is still ours."""
        with translated():
            await self._locks.update_one(
                {"_id": _ID, "holder": self.holder}, {"$set": {"holder": None}}
            )

    async def keep(self) -> None:
        """Renew it for as long as this runs; ends when it is lost."""
        while True:
            await asyncio.sleep(self._seconds / 3)
            try:
                await self.renew()
            except errors.Unavailable:
                continue  # a failover; `renew` before the next step decides
            except errors.CatalogueError:
                return  # lost: the next step's `renew` will say so where it is heard

    def _until(self) -> dict[str, Any]:
        return {
            "expires_at": {
                "$dateAdd": {
                    "startDate": "$$NOW",
                    "unit": "millisecond",
                    "amount": int(self._seconds * 1000),
                }
            }
        }


@asynccontextmanager
async def held(
    database: AsyncDatabase[Row],
    holder: str,
    *,
    lease: float = DEFAULT_LEASE,
    wait: float = DEFAULT_WAIT,
) -> AsyncGenerator[Lease]:
    """Hold the lease while the block runs.

    Args:
        database: Where.
        holder: Who asks; shown to those who wait.
        lease: Seconds the lease lasts without renewal.
        wait: Seconds to wait for another holder.

    Raises:
        CatalogueError: Another holder did not finish in `wait` seconds.
    """
    ours = Lease(database, holder, lease)
    await _acquire(ours, wait)
    keeper = asyncio.create_task(ours.keep())
    try:
        yield ours
    finally:
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)
        # If it cannot be given back now, it runs out by itself.
        with contextlib.suppress(errors.Unavailable):
            await ours.release()


async def _acquire(ours: Lease, wait: float) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait
    while (lock := await ours.try_acquire())["holder"] != ours.holder:
        if loop.time() >= deadline:
            raise errors.CatalogueError(
                f"another apply is at work: {lock['holder']}, since "
                f"{lock['acquired_at'].isoformat()}",
                holder=lock["holder"],
            )
        await asyncio.sleep(_POLL)


async def holder(database: AsyncDatabase[Row]) -> str | None:
    """Return who holds the lease now; None when nobody does."""
    in_force = {"$expr": {"$gt": ["$expires_at", "$$NOW"]}}
    with translated():
        lock = await database.get_collection(COLLECTION).find_one({"_id": _ID, **in_force})
    return None if lock is None else lock["holder"]
