"""Claims jobs in batches.

A claim reads the ids of the next jobs from the index, takes those that are still free with one
update, and reads what it got; a single job comes with its update. Several workers would read the
same ids; so each takes a random one of several stretches, as long as others are in its way. Alone,
it takes jobs in their exact order.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random as pseudo
from collections.abc import Callable, Sequence
from typing import Any

from message_service import errors
from message_service.catalogue.queries.processing_queue import (
    QUEUE_CLAIM,
    QUEUE_CLAIMABLE,
    QUEUE_CLAIMED,
)
from message_service.database.store import Store
from message_service.documents.row import Row
from message_service.queue import job_updates

_WIDEST = 64

_PATIENCE = 1.0
"""Seconds a claim may take, before it looks for jobs that a transaction holds."""

_LOCKED_FOR = 5.0
"""Seconds until such a job is tried again."""

_UNDISTURBED = 24
"""Claims in a row that nobody was in the way of, before a worker tries fewer stretches again."""

_LOG = logging.getLogger(__name__)


class Claiming:
    """Claims jobs for one worker.

    Args:
        store: The database.
        worker_id: The worker's name, unique.
        node: The machine's name.
        lease: Seconds a claim holds without renewal.
        random: Source of random bytes.
    """

    def __init__(
        self,
        store: Store,
        worker_id: str,
        node: str,
        lease: float,
        random: Callable[[int], bytes],
    ) -> None:
        self._store = store
        self._worker_id = worker_id
        self._node = node
        self._lease_ms = int(lease * 1000)
        self._choice = pseudo.Random(int.from_bytes(random(8)))  # noqa: S311 - only spreads load
        self._width = 1
        self._undisturbed = 0
        self._claims = 0
        self._avoided: dict[Any, float] = {}
        self._unanswered: tuple[list[Any], str] | None = None
        self._exhausted = False

    @property
    def exhausted(self) -> bool:
        """Whether the last claim has seen all jobs there were: what comes later is announced."""
        return self._exhausted

    async def claim(self, queues: Sequence[str], most: int) -> list[Row]:
        """Claim up to `most` jobs of these queues; return them as they are now.

        Raises:
            Unavailable: The database cannot be reached. What was claimed nevertheless is returned
                by the next call.
        """
        self._exhausted = False
        if self._unanswered is not None:
            return await self._claimed(*self._unanswered)
        # Each takes one of so many stretches; most claims find one that nobody else has.
        skip = most * self._choice.randrange(self._width) if self._width > 1 else 0
        now = asyncio.get_running_loop().time()
        self._avoided = {job: until for job, until in self._avoided.items() if until > now}
        limit = most + len(self._avoided)
        rows = await self._store.find_everywhere(
            QUEUE_CLAIMABLE, limit=limit, skip=skip, queues=queues
        )
        if skip and len(rows) < limit:  # the jobs do not reach that far
            self._width = max(self._width // 2, 1)
            skip = 0
            rows = await self._store.find_everywhere(QUEUE_CLAIMABLE, limit=limit, queues=queues)
        ids = [row["_id"] for row in rows if row["_id"] not in self._avoided][:most]
        self._exhausted = not skip and len(rows) < limit
        if not ids:
            self._width = 1
            return []
        self._claims += 1
        claim_id = f"{self._worker_id}#{self._claims}"
        if len(ids) == 1:
            row = await self._take_one(ids[0], claim_id)
            self._adapt(1, 0 if row is None else 1)
            return [] if row is None else [row]
        taken = await self._take(ids, claim_id)
        self._adapt(len(ids), taken)
        return [] if taken == 0 else await self._claimed(ids, claim_id)

    def _adapt(self, wanted: int, taken: int | None) -> None:
        """Spread the claims when others are in the way, and less when they are not."""
        if taken is not None and taken < wanted / 2:
            self._width = min(self._width * 2, _WIDEST)
            self._undisturbed = 0
        elif taken == wanted:
            self._undisturbed += 1
            if self._undisturbed % _UNDISTURBED == 0:
                self._width = max(self._width // 2, 1)

    async def _take_one(self, job: Any, claim_id: str) -> Row | None:
        """Claim a job if it is free, and return it; see `_take`."""
        update = job_updates.claimed(claim_id, self._worker_id, self._node, self._lease_ms)
        try:
            row, late = await self._store.take_unlocked(
                QUEUE_CLAIM, update, ids=[job], seconds=_PATIENCE
            )
        except errors.Unavailable:
            self._unanswered = ([job], claim_id)
            raise
        except errors.DocumentRefused as error:
            self._avoid_refused(job, error)
            return None
        if late:
            self._avoided[job] = asyncio.get_running_loop().time() + _LOCKED_FOR
            # It may have been claimed all the same.
            return next(iter(await self._claimed([job], claim_id)), None)
        return row

    def _avoid_refused(self, job: Any, error: errors.DocumentRefused) -> None:
        _LOG.error("a job cannot be claimed: %s (_id %s)", error.code, job)
        self._avoided[job] = math.inf

    async def _take(self, ids: list[Any], claim_id: str) -> int | None:
        """Claim those of these jobs that are free; return how many, or None if that is not known.

        Neither a job whose document the server's validator refuses nor one that somebody's
        transaction holds must hold up the others.
        """
        update = job_updates.claimed(claim_id, self._worker_id, self._node, self._lease_ms)
        try:
            taken = await self._store.update_unlocked(
                QUEUE_CLAIM, update, ids=ids, seconds=_PATIENCE
            )
        except errors.Unavailable:
            self._unanswered = (ids, claim_id)
            raise
        except errors.DocumentRefused as error:
            if len(ids) == 1:
                self._avoid_refused(ids[0], error)
                return None
        else:
            until = asyncio.get_running_loop().time() + _LOCKED_FOR
            self._avoided.update(dict.fromkeys(taken.locked, until))
            return taken.count
        for each in ids:
            await self._take([each], claim_id)
        return None

    async def _claimed(self, ids: list[Any], claim_id: str) -> list[Row]:
        self._unanswered = (ids, claim_id)
        rows = await self._store.find_everywhere(QUEUE_CLAIMED, ids=ids, claim_id=claim_id)
        self._unanswered = None
        place = {job_id: number for number, job_id in enumerate(ids)}
        return sorted(rows, key=lambda row: place[row["_id"]])
