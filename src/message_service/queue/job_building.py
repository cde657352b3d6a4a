"""Builds the stored document of a new job."""

from __future__ import annotations

from datetime import datetime

from message_service.database.encoding import new_object_id
from message_service.documents.job import JobStatus
from message_service.documents.row import Row
from message_service.ids import IdFactory, IdKind
from message_service.queue.new_job import NewJob
from message_service.queue.ordering import AT_ONCE, claim_order
from message_service.queue.registry import JobKind


class JobBuilder:
    """Builds jobs of one tenant.

    Args:
        tenant_id: The tenant.
        ids: Makes ids.
        ageing: Seconds of waiting that one rank of priority is worth.
    """

    def __init__(self, tenant_id: str, ids: IdFactory, ageing: float) -> None:
        self._tenant_id = tenant_id
        self._ids = ids
        self._ageing = ageing

    def document(self, job: NewJob, kind: JobKind, now: datetime) -> Row:
        """Return the document of a new job."""
        priority = job.priority or kind.priority
        queue: Row = {
            "queue_name": job.queue or kind.queue,
            "scheduled_for": job.scheduled_for or now,
            "retry_delay_seconds": _first(job.retry_delay_seconds, kind.retry_delay_seconds),
        }
        document: Row = {
            "_id": new_object_id(),
            "tenant_id": self._tenant_id,
            "job_id": job.job_id or self._ids.new(IdKind.JOB),
            "job_type": job.job_type,
            "priority": priority.value,
            "priority_rank": priority.rank,
            "status": JobStatus.PENDING.value,
            "execution": {"attempts": 0, "max_attempts": job.max_attempts or kind.max_attempts},
            "queue_metadata": queue,
            "created_at": now,
            "updated_at": now,
        }
        if job.config:
            document["job_config"] = job.config
        for name in ("message_id", "conversation_id", "user_id"):
            if (value := getattr(job, name)) is not None:
                document[name] = value
        if job.expires_at is not None:
            queue["expires_at"] = job.expires_at
        if job.dedupe_key is not None:
            queue["dedupe_key"] = job.dedupe_key
        lane = job.lane
        if lane is None and kind.lane_by_conversation:
            lane = job.conversation_id
        if lane is not None:
            queue["lane"] = lane
        if job.depends_on:
            queue["depends_on"] = queue_depends = list(dict.fromkeys(job.depends_on))
            queue["on_failed_dependency"] = job.on_failed_dependency.value
            document["blocked_by"] = queue_depends
        self._place(document, now)
        return document

    def _place(self, document: Row, now: datetime) -> None:
        """Say whether the job can be claimed, or when the sweep has to look at it."""
        queue: Row = document["queue_metadata"]
        scheduled: datetime = queue["scheduled_for"]
        expires: datetime | None = queue.get("expires_at")
        if "blocked_by" in document:
            document["attention_at"] = AT_ONCE
        elif scheduled > now:
            document["attention_at"] = scheduled
        elif "lane" in queue:
            document["attention_at"] = AT_ONCE
        else:
            rank: int = document["priority_rank"]
            document["claim_order"] = claim_order(scheduled, rank, self._ageing)
            if expires is not None:
                document["attention_at"] = expires

    def give_turn(self, document: Row, *, given: bool) -> None:
        """Say whether a job that could run has the turn of its lane."""
        queue: Row = document["queue_metadata"]
        for name in ("has_turn", "claim_order", "attention_at"):
            document.pop(name, None)
        if not given:
            document["attention_at"] = AT_ONCE
            return
        document["has_turn"] = True
        rank: int = document["priority_rank"]
        document["claim_order"] = claim_order(queue["scheduled_for"], rank, self._ageing)
        if "expires_at" in queue:
            document["attention_at"] = queue["expires_at"]


def _first(given: float | None, default: float) -> float:
    return default if given is None else given
