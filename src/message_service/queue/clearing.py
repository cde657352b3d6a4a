"""Many jobs at once: dead ones begin again, ended ones are deleted."""

from __future__ import annotations

from dataclasses import dataclass

from message_service import errors
from message_service.catalogue.queries.jobs import JOB_IN_STATUS, JOBS_ENDED_BY_IDS, JOBS_LISTED
from message_service.clock import Clock
from message_service.database.scope import Scope
from message_service.documents.row import Row
from message_service.queue import job_updates
from message_service.queue.lanes import next_number
from message_service.queue.listing import Chosen
from message_service.queue.ordering import AT_ONCE
from message_service.queue.settling import Settler
from message_service.stopping import StopSignal

_BATCH = 500


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay did.

    Attributes:
        replayed: Jobs that wait again.
        left: Jobs that stay as they are, because a live job has their dedupe key.
        finished: Whether it came to the end.
    """

    replayed: int
    left: int
    finished: bool


@dataclass(frozen=True, slots=True)
class Purged:
    """What a purge did.

    Attributes:
        deleted: Jobs that were deleted.
        finished: Whether it came to the end.
    """

    deleted: int
    finished: bool


class Clearing:
    """Begins jobs of one tenant again, and deletes them.

    Args:
        scope: The tenant's scope.
        clock: The present moment.
        settler: Settles jobs.
    """

    def __init__(self, scope: Scope, clock: Clock, settler: Settler) -> None:
        self._scope = scope
        self._clock = clock
        self._settler = settler

    async def begin_again(self, row: Row) -> bool:
        """Let an ended job wait again, at the end of its lane; False when it was changed.

        Raises:
            Conflict: A live job has its dedupe key, or its place in the lane.
        """
        lane: str | None = row["queue_metadata"].get("lane")
        number = None if lane is None else await next_number(self._scope, lane)
        try:
            changed = await self._scope.update_one(
                JOB_IN_STATUS,
                job_updates.begun_again(AT_ONCE, number),
                job_id=row["job_id"],
                statuses=[row["status"]],
            )
        except errors.AlreadyExists:
            raise errors.Conflict(
                f"job {row['job_id']!r} cannot wait again: a live job has its dedupe key or place"
            ) from None
        return changed

    async def replay(self, which: Chosen, most: int | None, stop: StopSignal) -> Replayed:
        """Let failed jobs wait again, newest first."""
        values = which.values(self._clock)
        replayed = left = 0
        before: str | None = None
        while not stop.requested and (most is None or replayed < most):
            limit = _BATCH if most is None else min(_BATCH, most - replayed)
            rows = await self._scope.find(JOBS_LISTED, limit=limit, before=before, **values)
            if not rows:
                return Replayed(replayed, left, finished=True)
            before = rows[-1]["job_id"]
            begun: list[object] = []
            for row in rows:
                try:
                    if await self.begin_again(row):
                        begun.append(row["_id"])
                except errors.Conflict:
                    left += 1
            replayed += len(begun)
            await self._settler.settle_ids(begun)
        return Replayed(replayed, left, finished=not stop.requested)

    async def purge(self, which: Chosen, stop: StopSignal) -> Purged:
        """Delete ended jobs that nothing waits for any longer."""
        values = which.values(self._clock)
        deleted = 0
        before: str | None = None
        while not stop.requested:
            rows = await self._scope.find(JOBS_LISTED, limit=_BATCH, before=before, **values)
            if not rows:
                return Purged(deleted, finished=True)
            before = rows[-1]["job_id"]
            settled = [row["job_id"] for row in rows if "attention_at" not in row]
            if settled:
                deleted += await self._scope.delete_many(
                    JOBS_ENDED_BY_IDS, job_ids=settled, statuses=which.statuses
                )
        return Purged(deleted, finished=False)
