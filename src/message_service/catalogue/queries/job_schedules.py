"""The queries on `job_schedules`."""

from __future__ import annotations

from message_service.catalogue.queries.parts import THEN, equal
from message_service.database.query import Filter, Query

_ALL = "one loop serves every tenant"


def _due() -> Filter:
    return {"$expr": {"$lte": ["$next_at", "$$NOW"]}}


SCHEDULES_DUE = Query(
    name="job_schedules.due",
    collection="job_schedules",
    purpose="The schedules whose time has come, with the server's time",
    index="idx_job_schedule_due",
    build=_due,
    example={},
    stages=({"$sort": {"next_at": 1}}, {"$limit": 100}, {"$set": {"now": "$$NOW"}}),
    all_tenants=_ALL,
)

SCHEDULES = Query(
    name="job_schedules.all",
    collection="job_schedules",
    purpose="The schedules of a tenant",
    index="idx_job_schedule_unique",
    build=dict,
    example={},
    sort=(("name", 1),),
)

SCHEDULE = Query(
    name="job_schedules.one",
    collection="job_schedules",
    purpose="One schedule",
    index="idx_job_schedule_unique",
    build=equal("name"),
    example={"name": "nightly"},
)

SCHEDULE_AT = Query(
    name="job_schedules.at",
    collection="job_schedules",
    purpose="A schedule, if nobody has fired or changed it since it was read",
    index="idx_job_schedule_unique",
    build=equal("name", "next_at", "updated_at"),
    example={"name": "nightly", "next_at": THEN, "updated_at": THEN},
    examined_slack=1,
)
