"""The lease that lets one apply work at a time.

If two applies ever overlap, nothing is lost: every step of an apply is idempotent, and the holder
renews its lease before each step.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from pymongo.asynchronous.database import AsyncDatabase

from message_service import errors
from message_service.database.lease import Lease, holder_of
from message_service.documents.row import Row
from message_service.loops.kept_lease import KeptLease

DEFAULT_LEASE = 30.0
"""Seconds a holder may be silent."""

DEFAULT_WAIT = 3_600.0
"""Seconds to wait for another holder; index builds take long."""

NAME = "apply_lock"
_POLL = 0.25


class ApplyLease:
    """The lease of one apply.

    Args:
        database: The database.
        holder: The name of the holder; unique to this apply.
        seconds: How long it lasts without renewal.
    """

    def __init__(self, database: AsyncDatabase[Row], holder: str, seconds: float) -> None:
        self.lease = KeptLease(Lease(database, NAME, holder, seconds))

    async def renew(self) -> None:
        """Make sure it is still held, and hold it for its full length again.

        Raises:
            CatalogueError: It expired, and another apply may be at work.
        """
        if not await self.lease.renew():
            raise errors.CatalogueError(
                "this apply was silent for longer than its lease and has lost it; run it again",
                holder=self.lease.lease.holder,
            )


@asynccontextmanager
async def held(
    database: AsyncDatabase[Row],
    holder: str,
    *,
    lease: float = DEFAULT_LEASE,
    wait: float = DEFAULT_WAIT,
) -> AsyncGenerator[ApplyLease]:
    """Hold the lease while the block runs.

    Args:
        database: The database.
        holder: The name of the holder; shown to applies that wait.
        lease: Seconds the lease lasts without renewal.
        wait: Seconds to wait for another holder.

    Raises:
        CatalogueError: Another holder did not finish in `wait` seconds.
    """
    ours = ApplyLease(database, holder, lease)
    await _acquire(ours.lease, wait)
    try:
        yield ours
    finally:
        await ours.lease.release()


async def _acquire(ours: KeptLease, wait: float) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait
    while not await ours.hold():
        if loop.time() >= deadline:
            raise errors.CatalogueError(
                f"another apply is at work: {ours.seen['holder']}, since "
                f"{ours.seen['acquired_at'].isoformat()}",
                holder=ours.seen["holder"],
            )
        await asyncio.sleep(_POLL)


async def holder(database: AsyncDatabase[Row]) -> str | None:
    """Return the present holder; None when there is none."""
    return await holder_of(database, NAME)
