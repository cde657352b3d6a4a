"""The queries on the jobs of one tenant."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from message_service.catalogue.queries.parts import CONVERSATION, MESSAGE, equal
from message_service.database.query import Filter, Query
from message_service.documents.job import LIVE

_JOB = "job_000000000000"


JOB_BY_ID = Query(
    name="jobs.by_id",
    collection="processing_queue",
    purpose="One job by id",
    index="idx_job_id_unique",
    build=equal("job_id"),
    example={"job_id": _JOB},
)


def _several(job_ids: Sequence[str]) -> Filter:
    return {"job_id": {"$in": list(job_ids)}}


JOBS_BY_IDS = Query(
    name="jobs.by_ids",
    collection="processing_queue",
    purpose="Several jobs by id",
    index="idx_job_id_unique",
    build=_several,
    example={"job_ids": [_JOB]},
)


def _several_ended(job_ids: Sequence[str], statuses: Sequence[str]) -> Filter:
    return {
        "job_id": {"$in": list(job_ids)},
        "status": {"$in": list(statuses)},
        "attention_at": {"$exists": False},
    }


def _several_in_status(job_ids: Sequence[str], statuses: Sequence[str]) -> Filter:
    return {"job_id": {"$in": list(job_ids)}, "status": {"$in": list(statuses)}}


JOBS_IN_STATUS = Query(
    name="jobs.several_in_status",
    collection="processing_queue",
    purpose="Those of several jobs that are in one of these states",
    index="idx_job_id_unique",
    build=_several_in_status,
    example={"job_ids": [_JOB], "statuses": [*LIVE]},
    examined_slack=1,
)


JOBS_ENDED_BY_IDS = Query(
    name="jobs.ended_by_ids",
    collection="processing_queue",
    purpose="Those of several jobs that have ended, and that nothing waits for",
    index="idx_job_id_unique",
    build=_several_ended,
    example={"job_ids": [_JOB], "statuses": ["failed"]},
    examined_slack=1,
)


def _in_status(job_id: str, statuses: Sequence[str]) -> Filter:
    return {"job_id": job_id, "status": {"$in": list(statuses)}}


JOB_IN_STATUS = Query(
    name="jobs.in_status",
    collection="processing_queue",
    purpose="One job, if it is in one of these states",
    index="idx_job_id_unique",
    build=_in_status,
    example={"job_id": _JOB, "statuses": [*LIVE]},
    examined_slack=1,
)


def _by_key(dedupe_key: str) -> Filter:
    return {"queue_metadata.dedupe_key": dedupe_key, "status": {"$in": [*LIVE]}}


JOB_BY_DEDUPE_KEY = Query(
    name="jobs.by_dedupe_key",
    collection="processing_queue",
    purpose="The live job with a dedupe key",
    index="idx_queue_dedupe",
    build=_by_key,
    example={"dedupe_key": "k"},
)


def _of_message(conversation_id: str, message_id: str) -> Filter:
    return {"conversation_id": conversation_id, "message_id": message_id}


JOBS_OF_MESSAGE = Query(
    name="jobs.of_message",
    collection="processing_queue",
    purpose="The jobs of a message",
    index="idx_queue_message",
    build=_of_message,
    example={"conversation_id": CONVERSATION, "message_id": MESSAGE},
)


def _listed(
    statuses: Sequence[str],
    *,
    before: str | None = None,
    queue: str | None = None,
    job_type: str | None = None,
    reason: str | None = None,
    created_before: datetime | None = None,
    updated_before: datetime | None = None,
) -> Filter:
    chosen: Filter = {"status": {"$in": list(statuses)}}
    if before is not None:
        chosen["job_id"] = {"$lt": before}
    given = {
        "queue_metadata.queue_name": queue,
        "job_type": job_type,
        "execution.reason": reason,
    }
    chosen |= {path: value for path, value in given.items() if value is not None}
    if created_before is not None:
        chosen["created_at"] = {"$lte": created_before}
    if updated_before is not None:
        chosen["updated_at"] = {"$lte": updated_before}
    return chosen


JOBS_LISTED = Query(
    name="jobs.listed",
    collection="processing_queue",
    purpose="Jobs by state, newest first",
    index="idx_queue_listing",
    build=_listed,
    example={"statuses": ["failed"], "before": _JOB},
    sort=(("job_id", -1),),
    examined_slack=1_000_000,  # reasons and dates are not in the key
)


JOB_COUNTS = Query(
    name="jobs.counts",
    collection="processing_queue",
    purpose="How many jobs there are, by queue, type and state; the index alone answers it",
    index="idx_queue_listing",
    build=dict,
    example={},
    stages=(
        {
            "$group": {
                "_id": {
                    "queue": "$queue_metadata.queue_name",
                    "job_type": "$job_type",
                    "status": "$status",
                },
                "count": {"$sum": 1},
            }
        },
        {"$sort": {"_id": 1}},
    ),
)
