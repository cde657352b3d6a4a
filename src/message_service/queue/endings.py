"""Writes the outcomes of jobs, many in one round trip, each behind its fence."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from message_service import errors
from message_service.catalogue.queries.processing_queue import QUEUE_BY_OBJECT_IDS, QUEUE_HELD
from message_service.database.encoding import encoded_size
from message_service.database.store import Store
from message_service.database.unlocked import hurried
from message_service.documents.job import JobStatus
from message_service.documents.row import Row
from message_service.queue import job_updates
from message_service.queue.job_updates import Pipeline
from message_service.stopping import end_tasks

_LOG = logging.getLogger(__name__)
_MOST = 500
_MOST_BYTES = 4_000_000
_RETRY_PAUSE = 0.2
_ONE_TRY = 2.0
_ALONE_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Completion:
    """The outcome of a job that is done; many of them are written with one update."""

    result: Mapping[str, Any] | None

    @property
    def size(self) -> int:
        """The bytes of the result."""
        return 0 if self.result is None else encoded_size("result", self.result)


@dataclass(slots=True)
class _Ending:
    job: Row
    update: Pipeline | Completion
    written: asyncio.Future[bool]

    @property
    def claim_id(self) -> str:
        claim: str = self.job["lease"]["claim_id"]
        return claim


class Endings:
    """Gathers the outcomes that come while a round trip is in flight, and sends them together.

    Args:
        store: The database.
        patience: Seconds an outcome is tried again while the database cannot be reached; then the
            job is left to the end of its lease.
    """

    def __init__(self, store: Store, patience: float) -> None:
        self._store = store
        self._patience = patience
        self._waiting: list[_Ending] = []
        self._sending: asyncio.Task[None] | None = None
        self._alone: set[asyncio.Task[None]] = set()
        self._few = asyncio.Semaphore(_ALONE_AT_ONCE)

    def write(self, job: Row, update: Pipeline | Completion) -> asyncio.Future[bool]:
        """Write an outcome; the result says whether the claim was still good.

        Args:
            job: The job as claimed.
            update: The outcome.

        Raises:
            Unavailable: It could not be written in time.
            MessageServiceError: The server refuses it.
        """
        written: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Ending(job, update, written))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_all())
        return written

    async def close(self) -> None:
        """Give up what is not written; the leases end by themselves."""
        sending = () if self._sending is None else (self._sending,)
        await end_tasks((*sending, *self._alone))
        _settle(self._waiting, errors.Unavailable("the worker ended before it was written"))

    async def _send_all(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
                await self._send(batch, asyncio.get_running_loop().time() + self._patience)
        finally:
            self._sending = None

    def _send_apart(self, batch: list[_Ending], deadline: float) -> None:
        """Send each outcome by itself, so that one that has to wait holds up no other."""
        for ending in batch:
            task = asyncio.create_task(self._send_alone(ending, deadline))
            self._alone.add(task)
            task.add_done_callback(self._alone.discard)

    async def _send_alone(self, ending: _Ending, deadline: float) -> None:
        try:
            async with self._few:
                await self._send([ending], deadline)
        finally:
            _settle([ending], errors.Unavailable("the worker ended before it was written"))

    async def _send(self, batch: list[_Ending], deadline: float) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                with hurried(_ONE_TRY):
                    written = await self._write(batch)
            except errors.Unavailable as error:
                # The server is slow, or somebody's transaction holds a job of them.
                if len(batch) > 1 and loop.time() - began >= _ONE_TRY:
                    self._send_apart(batch, deadline)
                    return
                if loop.time() >= deadline:
                    _settle(batch, error)
                    return
                await asyncio.sleep(_RETRY_PAUSE)
            except errors.MessageServiceError as error:
                if len(batch) == 1:
                    _settle(batch, error)
                    return
                self._send_apart(batch, deadline)
                return
            except BaseException:
                _settle(batch, errors.Unavailable("writing the outcome was interrupted"))
                raise
            else:
                for ending in batch:
                    if not ending.written.done():
                        ending.written.set_result(ending.job["_id"] in written)
                return

    async def _write(self, batch: list[_Ending]) -> set[Any]:
        """Write outcomes; return the `_id`s of the jobs whose claim was still good."""
        ids = [ending.job["_id"] for ending in batch]
        found = await self._store.update_groups(QUEUE_HELD, _groups(batch))
        if found == len(batch):
            return set(ids)
        # Some are not ours any longer, or were written by a try whose answer was lost.
        rows = await self._store.aggregate_everywhere(QUEUE_BY_OBJECT_IDS, ids=ids)
        now = {row["_id"]: row for row in rows}
        return {
            ending.job["_id"]
            for ending in batch
            if (row := now.get(ending.job["_id"])) is not None
            and row.get("lease", {}).get("claim_id") == ending.claim_id
            and row["status"] != JobStatus.PROCESSING
        }


def _groups(batch: list[_Ending]) -> list[tuple[dict[str, Any], Pipeline]]:
    """Return the updates of a batch: one for all completed jobs of a claim, one for each other."""
    groups: list[tuple[dict[str, Any], Pipeline]] = []
    done: dict[str, list[tuple[Any, Completion]]] = {}
    for ending in batch:
        job_id, update = ending.job["_id"], ending.update
        if isinstance(update, Completion):
            done.setdefault(ending.claim_id, []).append((job_id, update))
        else:
            groups.append(({"ids": [job_id], "claim_ids": [ending.claim_id]}, update))
    for claim_id, several in done.items():
        for part in _of_a_size(several):
            ids = [job_id for job_id, _ in part]
            together = job_updates.completed_together(ids, [each.result for _, each in part])
            groups.append(({"ids": ids, "claim_ids": [claim_id]}, together))
    return groups


def _of_a_size(several: list[tuple[Any, Completion]]) -> Iterator[list[tuple[Any, Completion]]]:
    """Yield parts whose results fit into one command together."""
    part: list[tuple[Any, Completion]] = []
    total = 0
    for job_id, completion in several:
        size = completion.size
        if part and total + size > _MOST_BYTES:
            yield part
            part, total = [], 0
        part.append((job_id, completion))
        total += size
    yield part


def _settle(batch: list[_Ending], error: errors.MessageServiceError) -> None:
    for ending in batch:
        if not ending.written.done():
            ending.written.set_exception(error)
            ending.written.exception()  # whoever waited may be gone
