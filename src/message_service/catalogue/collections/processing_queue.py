"""The collection `processing_queue`: its indexes."""

from __future__ import annotations

from message_service.catalogue.collections.parts import TENANT
from message_service.catalogue.model import Collection, Index
from message_service.documents import (
    Job,
)

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
            (("status", 1), ("priority_rank", -1), ("queue_metadata.scheduled_for", 1)),
            "what to claim next",
            correction="by rank: as strings, 'high' sorts last",
        ),
        Index(
            "idx_queue_message",
            (("tenant_id", 1), ("conversation_id", 1), ("message_id", 1)),
            "the jobs of one message",
            correction=TENANT,
        ),
        Index(
            "idx_queue_ttl",
            (("updated_at", 1),),
            "removes ended jobs after seven days",
            expire_after_seconds=604_800,
            partial={"status": {"$in": ["completed", "failed", "cancelled"]}},
        ),
    ),
)
