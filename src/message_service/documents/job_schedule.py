"""The collection `job_schedules`: one document per periodic job."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from message_service.documents.fields import Count, JobId, Moment, Name, StoredDocument, TenantId
from message_service.documents.job import Key


class CatchUp(StrEnum):
    """What becomes of the times at which no worker ran.

    `skip`: nothing. `latest`: one job for all of them. `all`: one job for each.
    """

    SKIP = "skip"
    LATEST = "latest"
    ALL = "all"


class JobSchedule(StoredDocument):
    """One periodic job.

    Attributes:
        tenant_id: The tenant.
        name: Its name.
        cron: The cron expression.
        time_zone: The zone in which the expression is meant.
        job: The fields of its jobs, as for `enqueue`.
        catch_up: What becomes of missed times.
        paused: Whether it enqueues nothing.
        next_at: The next time; absent while it is paused.
        last_at: The last time for which a job was enqueued.
        last_job_id: That job.
        fired: How many jobs were enqueued.
        created_at: When it was set first.
        updated_at: When it was changed last.
    """

    tenant_id: TenantId
    name: Key
    cron: Name
    time_zone: Name
    job: dict[str, Any]
    catch_up: CatchUp = CatchUp.LATEST
    paused: bool = False
    next_at: Moment | None = None
    last_at: Moment | None = None
    last_job_id: JobId | None = None
    fired: Count = 0
    created_at: Moment
    updated_at: Moment

    class Settings:
        """Beanie's settings."""

        name = "job_schedules"
