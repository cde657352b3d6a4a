"""The collection `job_schedules`: its indexes."""

from __future__ import annotations

from message_service.catalogue.model import Collection, Index
from message_service.documents import JobSchedule

JOB_SCHEDULES = Collection(
    name="job_schedules",
    document=JobSchedule,
    purpose="periodic jobs",
    shard_key=None,
    indexes=(
        Index(
            "idx_job_schedule_unique",
            (("tenant_id", 1), ("name", 1)),
            "one schedule by name",
            unique=True,
            added=True,
        ),
        Index(
            "idx_job_schedule_due",
            (("next_at", 1),),
            "the schedules whose time has come",
            partial={"next_at": {"$exists": True}},
            added=True,
        ),
    ),
)
