"""The collection `processing_queue`: its indexes."""

from __future__ import annotations

from message_service.catalogue.collections.parts import TENANT
from message_service.catalogue.model import Collection, Index
from message_service.documents import Job
from message_service.documents.job import ENDED, LIVE

_LIVE = {"status": {"$in": [*LIVE]}}

QUEUE = Collection(
    name="processing_queue",
    document=Job,
    purpose="asynchronous work",
    shard_key=None,
    indexes=(
        Index(
            "idx_job_id_unique",
            (("tenant_id", 1), ("job_id", 1)),
            "one job by id",
            unique=True,
            added=True,
        ),
        Index(
            "idx_queue_processing",
            (("queue_metadata.queue_name", 1), ("claim_order", 1), ("_id", 1)),
            "what to claim next",
            partial={"claim_order": {"$exists": True}},
            correction="holds only jobs that can run, in the order of rank and age; as strings, "
            "'high' sorts last",
        ),
        Index(
            "idx_queue_message",
            (("tenant_id", 1), ("conversation_id", 1), ("message_id", 1)),
            "the jobs of one message",
            partial={"message_id": {"$exists": True}},
            correction=TENANT,
        ),
        Index(
            "idx_queue_ttl",
            (("updated_at", 1),),
            "removes ended jobs after seven days",
            expire_after_seconds=604_800,
            partial={"status": {"$in": [*ENDED]}},
        ),
        Index(
            "idx_queue_attention",
            (("attention_at", 1),),
            "what the sweep looks at: leases, schedules, expiry, ends that others wait for",
            partial={"attention_at": {"$exists": True}},
            added=True,
        ),
        Index(
            "idx_queue_lane",
            (("tenant_id", 1), ("queue_metadata.lane", 1), ("queue_metadata.lane_number", 1)),
            "the live jobs of a lane, in order",
            unique=True,
            partial={"queue_metadata.lane_number": {"$exists": True}, **_LIVE},
            added=True,
        ),
        Index(
            "idx_queue_lane_turn",
            (("tenant_id", 1), ("queue_metadata.lane", 1)),
            "one job of a lane has its turn",
            unique=True,
            partial={"has_turn": True},
            added=True,
        ),
        Index(
            "idx_queue_dedupe",
            (("tenant_id", 1), ("queue_metadata.dedupe_key", 1)),
            "one live job by dedupe key",
            unique=True,
            partial={"queue_metadata.dedupe_key": {"$exists": True}, **_LIVE},
            added=True,
        ),
        Index(
            "idx_queue_dependents",
            (("tenant_id", 1), ("blocked_by", 1)),
            "the jobs that wait for a job",
            partial={"blocked_by": {"$exists": True}},
            added=True,
        ),
        Index(
            "idx_queue_listing",
            (
                ("tenant_id", 1),
                ("status", 1),
                ("job_id", 1),
                ("queue_metadata.queue_name", 1),
                ("job_type", 1),
            ),
            "jobs by state, and their counts",
            added=True,
        ),
    ),
)
