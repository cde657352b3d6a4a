"""The queries on `processing_queue`.

Workers serve every tenant; their queries are declared so. What has a `_id` in its filter comes from
one of the workers' own queries.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from message_service.database.query import Filter, Query
from message_service.documents.job import LIVE, JobStatus

_ALL = "workers serve every tenant"
_JOB = "job_000000000000"
_QUEUE = "message_processing"
_NEVER = datetime(9999, 12, 31, tzinfo=UTC)
_NOT_LATER = {"$expr": {"$lte": ["$attention_at", "$$NOW"]}}


def _claimable(queues: Sequence[str]) -> Filter:
    # With a bound instead of $exists, the index alone answers it.
    return {"queue_metadata.queue_name": {"$in": list(queues)}, "claim_order": {"$lt": _NEVER}}


def _these(ids: Sequence[Any]) -> Filter:
    return {"_id": {"$in": list(ids)}}


def _these_claimable(ids: Sequence[Any]) -> Filter:
    return {"_id": {"$in": list(ids)}, "claim_order": {"$exists": True}}


def _these_claimed(ids: Sequence[Any], claim_id: str) -> Filter:
    return {"_id": {"$in": list(ids)}, "lease.claim_id": claim_id}


def _held(ids: Sequence[Any], claim_ids: Sequence[str]) -> Filter:
    return {
        "_id": {"$in": list(ids)},
        "lease.claim_id": {"$in": list(claim_ids)},
        "status": JobStatus.PROCESSING.value,
    }


def _claim(id: Any, claim_id: str) -> Filter:  # noqa: A002
    return {"_id": id, "lease.claim_id": claim_id, "status": JobStatus.PROCESSING.value}


QUEUE_CLAIMABLE = Query(
    name="queue.claimable",
    collection="processing_queue",
    purpose="The jobs to claim next; the index alone answers it",
    index="idx_queue_processing",
    build=_claimable,
    example={"queues": [_QUEUE]},
    sort=(("claim_order", 1), ("_id", 1)),
    projection={"_id": 1},
    all_tenants=_ALL,
)


QUEUE_CLAIM = Query(
    name="queue.claim",
    collection="processing_queue",
    purpose="Jobs that nobody has claimed meanwhile",
    index="_id_",
    build=_these_claimable,
    example={"ids": []},
    all_tenants=_ALL,
)


QUEUE_CLAIMED = Query(
    name="queue.claimed",
    collection="processing_queue",
    purpose="The jobs that a claim got",
    index="_id_",
    build=_these_claimed,
    example={"ids": [], "claim_id": "c"},
    all_tenants=_ALL,
)


QUEUE_HELD = Query(
    name="queue.held",
    collection="processing_queue",
    purpose="The jobs a worker still holds",
    index="_id_",
    build=_held,
    example={"ids": [], "claim_ids": ["c"]},
    projection={"lease.claim_id": 1, "cancel_requested_at": 1},
    all_tenants=_ALL,
)


QUEUE_BY_OBJECT_IDS = Query(
    name="queue.by_object_ids",
    collection="processing_queue",
    purpose="Jobs as they are now, with the server's time",
    index="_id_",
    build=_these,
    example={"ids": []},
    stages=({"$set": {"now": "$$NOW"}},),
    all_tenants=_ALL,
)


JOB_OF_CLAIM = Query(
    name="queue.of_claim",
    collection="processing_queue",
    purpose="A job, if this claim still holds it: the fence before every write of its outcome",
    index="_id_",
    build=_claim,
    example={"id": None, "claim_id": "c"},
)


def _due() -> Filter:
    return dict(_NOT_LATER)


QUEUE_ATTENTION = Query(
    name="queue.attention",
    collection="processing_queue",
    purpose="The jobs the sweep has to look at, with the server's time",
    index="idx_queue_attention",
    build=_due,
    example={},
    stages=({"$sort": {"attention_at": 1}}, {"$limit": 500}, {"$set": {"now": "$$NOW"}}),
    all_tenants=_ALL,
)


QUEUE_NEXT_ATTENTION = Query(
    name="queue.next_attention",
    collection="processing_queue",
    purpose="When the sweep has to look next; the index alone answers it",
    index="idx_queue_attention",
    build=lambda: {"attention_at": {"$lt": _NEVER}},
    example={},
    stages=(
        {"$sort": {"attention_at": 1}},
        {"$limit": 1},
        {
            "$project": {
                "_id": 0,
                "wait": {"$subtract": ["$attention_at", "$$NOW"]},
            }
        },
    ),
    all_tenants=_ALL,
    examined_slack=1,
)


def _as_seen(
    id: Any,  # noqa: A002
    status: str,
    attention_at: datetime | None,
    claim_id: str | None,
    blocked_by: Sequence[str] | None,
) -> Filter:
    return {
        "_id": id,
        "status": status,
        "attention_at": attention_at,
        "lease.claim_id": claim_id,
        "blocked_by": None if blocked_by is None else list(blocked_by),
    }


JOB_AS_SEEN = Query(
    name="queue.as_seen",
    collection="processing_queue",
    purpose="A job, if nobody has moved it since it was read",
    index="_id_",
    build=_as_seen,
    example={
        "id": None,
        "status": "pending",
        "attention_at": None,
        "claim_id": None,
        "blocked_by": None,
    },
)


def _lane(lane: str, beyond: int = -1) -> Filter:
    return {
        "queue_metadata.lane": lane,
        "queue_metadata.lane_number": {"$gt": beyond},
        "status": {"$in": [*LIVE]},
    }


LANE_IN_ORDER = Query(
    name="queue.lane",
    collection="processing_queue",
    purpose="The live jobs of a lane, in order",
    index="idx_queue_lane",
    build=_lane,
    example={"lane": "conv_000000000000"},
    sort=(("queue_metadata.lane_number", 1),),
    projection={
        "tenant_id": 1,
        "job_id": 1,
        "status": 1,
        "attention_at": 1,
        "has_turn": 1,
        "blocked_by": 1,
        "priority_rank": 1,
        "created_at": 1,
        "queue_metadata": 1,
        "lease": 1,
        "now": "$$NOW",
    },
)


LANE_END = Query(
    name="queue.lane_end",
    collection="processing_queue",
    purpose="The last live job of a lane",
    index="idx_queue_lane",
    build=_lane,
    example={"lane": "conv_000000000000"},
    sort=(("queue_metadata.lane_number", -1),),
    projection={"_id": 0, "queue_metadata.lane_number": 1},
)


def _turn(lane: str) -> Filter:
    return {"queue_metadata.lane": lane, "has_turn": True}


LANE_TURN = Query(
    name="queue.lane_turn",
    collection="processing_queue",
    purpose="The job of a lane that has its turn",
    index="idx_queue_lane_turn",
    build=_turn,
    example={"lane": "conv_000000000000"},
    projection={"_id": 0, "job_id": 1, "status": 1, "lease.until": 1},
)


def _dependents(job_id: str) -> Filter:
    return {"blocked_by": job_id}


JOB_DEPENDENTS = Query(
    name="queue.dependents",
    collection="processing_queue",
    purpose="The jobs that wait for a job",
    index="idx_queue_dependents",
    build=_dependents,
    example={"job_id": _JOB},
)


def _still_blocked(job_ids: Sequence[str], by: str) -> Filter:
    return {"job_id": {"$in": list(job_ids)}, "blocked_by": by}


JOBS_BLOCKED = Query(
    name="queue.blocked",
    collection="processing_queue",
    purpose="Jobs, if they still wait for another one",
    index="idx_job_id_unique",
    build=_still_blocked,
    example={"job_ids": [_JOB], "by": _JOB},
    examined_slack=1,
)


def _claimable_in(queue: str, before: datetime | None = None) -> Filter:
    return {
        "queue_metadata.queue_name": queue,
        "claim_order": {"$lt": _NEVER if before is None else before},
    }


JOBS_BEFORE = Query(
    name="queue.before",
    collection="processing_queue",
    purpose="How many jobs of a queue are claimed before a place; the index alone answers it",
    index="idx_queue_processing",
    build=_claimable_in,
    example={"queue": _QUEUE},
    stages=({"$limit": 10_001}, {"$count": "count"}),
    all_tenants="a queue holds the jobs of every tenant",
)
