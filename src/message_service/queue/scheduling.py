"""The loop that enqueues periodic jobs when their time has come.

Job and schedule change in one transaction, guarded by the time as read: of several schedulers, one
stores the job. The job's id is derived from the schedule and its time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from message_service import errors
from message_service.catalogue.queries.job_schedules import SCHEDULE_AT, SCHEDULES_DUE
from message_service.clock import epoch_milliseconds
from message_service.database.store import Store
from message_service.database.transaction import Transaction
from message_service.documents.job_schedule import CatchUp
from message_service.documents.row import Row
from message_service.ids import IdKind, derived_id
from message_service.loops.loop import Loop, Poll
from message_service.queue.cron import last_time, next_time
from message_service.queue.enqueuing import Enqueued, Enqueuing
from message_service.queue.new_job import NewJob
from message_service.queue.registry import JobKind
from message_service.reports.zones import zone_of

_LOG = logging.getLogger(__name__)
_PUNCTUAL = timedelta(minutes=1)
"""A time that is not longer ago has not been missed."""

_MOST_MADE_UP = 1_000
"""Jobs of one step for one schedule; the next step goes on."""


class Scheduling(Loop):
    """Enqueues the periodic jobs of all tenants.

    Args:
        store: The database.
        enqueuing_of: Returns what stores jobs of a tenant.
        kind_of: Returns a job type as this process knows it; None when it does not.
        poll: Seconds between looks.
    """

    name = "job_scheduling"

    def __init__(
        self,
        store: Store,
        enqueuing_of: Callable[[str], Enqueuing],
        kind_of: Callable[[str], JobKind | None],
        *,
        poll: float,
    ) -> None:
        self._store = store
        self._enqueuing_of = enqueuing_of
        self._kind_of = kind_of
        self._enqueued = 0
        self.wake = Poll(poll)

    async def step(self) -> bool:
        """Enqueue what is due; False when nothing was."""
        due = await self._store.aggregate_everywhere(SCHEDULES_DUE)
        for schedule in due:
            await self._fire(schedule)
        return bool(due)

    def figures(self) -> dict[str, int]:
        """Return how many jobs were enqueued."""
        return {"enqueued": self._enqueued}

    async def _fire(self, schedule: Row) -> None:
        times, following = _times(schedule)
        try:
            stored = await self._store.transaction(
                lambda transaction: self._enqueue(transaction, schedule, times, following)
            )
        except errors.AlreadyExists:
            # The schedule was set anew, to a time it has had already.
            stored = await self._store.transaction(
                lambda transaction: self._enqueue(transaction, schedule, [], following)
            )
        except errors.MessageServiceError as error:
            if isinstance(error, errors.Unavailable):
                raise
            _LOG.error("schedule %s: %s", schedule["name"], error.code)
            return
        self._enqueued += stored

    async def _enqueue(
        self,
        transaction: Transaction,
        schedule: Row,
        times: list[datetime],
        following: datetime | None,
    ) -> int:
        jobs = [self._job(schedule, time) for time in times]
        update: Row = {"$inc": {"fired": len(jobs)}}
        if following is None:
            update["$unset"] = {"next_at": ""}
        else:
            update["$set"] = {"next_at": following}
        if jobs:
            last = {"last_at": times[-1], "last_job_id": jobs[-1].job_id}
            update["$set"] = update.get("$set", {}) | last
        scope = self._store.within(transaction).scope(schedule["tenant_id"])
        moved = await scope.update_one(
            SCHEDULE_AT,
            update,
            name=schedule["name"],
            next_at=schedule["next_at"],
            updated_at=schedule["updated_at"],
        )
        if not moved or not jobs:
            return 0
        job_type: str = schedule["job"]["job_type"]
        kind = self._kind_of(job_type) or JobKind(job_type, queue=job_type)
        outcomes = await self._enqueuing_of(schedule["tenant_id"]).enqueue(
            [(job, kind) for job in jobs], transaction
        )
        return sum(1 for each in outcomes if isinstance(each, Enqueued))

    def _job(self, schedule: Row, time: datetime) -> NewJob:
        job_id = derived_id(
            IdKind.JOB, schedule["tenant_id"], schedule["name"], str(epoch_milliseconds(time))
        )
        return NewJob.model_validate({**schedule["job"], "job_id": job_id, "scheduled_for": time})


def _times(schedule: Row) -> tuple[list[datetime], datetime | None]:
    """Return the times to enqueue a job for, and the next time after them."""
    zone = zone_of(schedule["time_zone"])
    cron: str = schedule["cron"]
    now: datetime = schedule["now"]
    first: datetime = schedule["next_at"]
    if schedule["catch_up"] != CatchUp.ALL:
        latest = max(first, last_time(cron, zone, now) or first)
        missed = schedule["catch_up"] == CatchUp.SKIP and now - latest > _PUNCTUAL
        return [] if missed else [latest], next_time(cron, zone, now)
    times: list[datetime] = []
    moment: datetime | None = first
    while moment is not None and moment <= now and len(times) < _MOST_MADE_UP:
        times.append(moment)
        moment = next_time(cron, zone, moment)
    return times, moment
