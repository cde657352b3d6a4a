"""One tenant's periodic jobs: the calls callers make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from message_service import errors
from message_service.arguments import check_text_argument
from message_service.catalogue.queries.job_schedules import SCHEDULE, SCHEDULES
from message_service.database.scope import Scope
from message_service.documents.job_schedule import CatchUp, JobSchedule
from message_service.documents.row import Row
from message_service.queue.cron import check_cron
from message_service.queue.new_job import check_new_job
from message_service.queue.runtime import QueueRuntime
from message_service.reports.zones import zone_of

_LONGEST_NAME = 128
_ONCE = ("job_id", "scheduled_for", "expires_at", "depends_on")
"""Fields of a job that cannot be the same for each of several."""


class Schedules:
    """The periodic jobs of one tenant.

    A worker enqueues a job at each time of a schedule; however many workers there are, once.

    Args:
        queue: What the process shares of the queue.
        scope: The tenant's scope.
    """

    def __init__(self, queue: QueueRuntime, scope: Scope) -> None:
        self._queue = queue
        self._scope = scope

    async def set(
        self,
        name: str,
        cron: str,
        job_type: str,
        config: Mapping[str, Any] | None = None,
        *,
        time_zone: str = "UTC",
        catch_up: CatchUp | str = CatchUp.LATEST,
        **fields: Any,
    ) -> JobSchedule:
        """Set a schedule, in the place of the one of this name if there is one.

        Args:
            name: Its name, up to 128 characters.
            cron: Minute, hour, day, month, weekday; with a sixth field, seconds come first.
            job_type: The type of its jobs.
            config: Their parameters.
            time_zone: The zone the expression is meant in, such as Europe/Berlin.
            catch_up: What becomes of the times at which no worker ran: `skip`, `latest` (one job
                for all of them), `all` (one for each).
            **fields: Other fields of `NewJob`, such as `priority`, `dedupe_key` or `lane`. With
                a `dedupe_key`, a time is passed over while the job of the last one is alive.

        Raises:
            InvalidInput: An argument is wrong, or the expression never comes true.
        """
        check_text_argument("name", name, most=_LONGEST_NAME)
        now = self._queue.clock.now()
        next_at = check_cron(cron, zone_of(time_zone), now)
        if not isinstance(catch_up, str) or catch_up not in set(CatchUp):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise errors.InvalidInput(
                "catch_up", "is not a policy", f"Use one of: {', '.join(CatchUp)}"
            )
        for field in _ONCE:
            if field in fields:
                raise errors.InvalidInput(
                    field, "belongs to one job, not to a schedule", "Leave it out"
                )
        values: dict[str, Any] = {**fields, "job_type": job_type}
        if config is not None:
            values["config"] = config
        job = check_new_job(values, now)
        await self._queue.kind_of(job.job_type)
        stored = job.model_dump(mode="python", exclude_unset=True)
        update: Row = {
            "$set": {
                "cron": cron,
                "time_zone": time_zone,
                "job": {key: _plain(value) for key, value in stored.items()},
                "catch_up": CatchUp(catch_up).value,
                "paused": False,
                "next_at": next_at,
                "updated_at": now,
            },
            "$setOnInsert": {"fired": 0, "created_at": now},
        }
        await self._scope.update_each(SCHEDULE, [({"name": name}, update)], upsert=True)
        return await self.get(name)

    async def get(self, name: str) -> JobSchedule:
        """Return a schedule.

        Raises:
            NotFound: No such schedule.
        """
        return JobSchedule.model_validate(await self._row(name))

    async def list(self) -> list[JobSchedule]:
        """Return every schedule, by name."""
        return [JobSchedule.model_validate(row) for row in await self._scope.find(SCHEDULES)]

    async def pause(self, name: str) -> None:
        """Enqueue nothing until `resume`.

        Raises:
            NotFound: No such schedule.
        """
        await self._row(name)
        changed = {"paused": True, "updated_at": self._queue.clock.now()}
        update = {"$set": changed, "$unset": {"next_at": ""}}
        await self._scope.update_one(SCHEDULE, update, name=name)

    async def resume(self, name: str) -> JobSchedule:
        """Go on from the next time; those in between are not made up for.

        Raises:
            NotFound: No such schedule.
        """
        row = await self._row(name)
        now = self._queue.clock.now()
        next_at = check_cron(row["cron"], zone_of(row["time_zone"]), now)
        changed = {"paused": False, "next_at": next_at, "updated_at": now}
        await self._scope.update_one(SCHEDULE, {"$set": changed}, name=name)
        return await self.get(name)

    async def remove(self, name: str) -> None:
        """Remove a schedule; jobs that are enqueued already stay.

        Raises:
            NotFound: No such schedule.
        """
        await self._row(name)
        await self._scope.delete_many(SCHEDULE, name=name)

    async def _row(self, name: str) -> Row:
        check_text_argument("name", name, most=_LONGEST_NAME)
        row = await self._scope.find_one(SCHEDULE, committed=True, name=name)
        if row is None:
            raise errors.NotFound("schedule", name)
        return row


def _plain(value: object) -> object:
    return str(value) if isinstance(value, str) else value
