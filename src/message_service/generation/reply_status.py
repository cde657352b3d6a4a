"""How a reply stands, as its job tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from message_service.documents.job import Job, JobStatus


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply that was asked for.

    Attributes:
        reply_id: The reply: its job.
        conversation_id: The conversation.
        branch: The branch it is appended to.
        message_id: The id its message will have.
        duplicate: Whether it had been asked for before.
    """

    reply_id: str
    conversation_id: str
    branch: str
    message_id: str
    duplicate: bool


@dataclass(frozen=True, slots=True)
class ReplyStatus:
    """How a reply stands.

    Attributes:
        reply_id: The reply.
        status: pending, processing, completed, failed or cancelled.
        message_id: The message, once it is stored.
        finish_reason: Why the reply ended: what the model says (`stop`, `length`,
            `content_filter`, `tool_calls`), `cancelled` or `interrupted`.
        provider: Who gave it.
        model: The model that gave it.
        reason: Why there is no reply, or none yet: a stable name.
        problem: The same in words.
    """

    reply_id: str
    status: JobStatus
    message_id: str | None = None
    finish_reason: str | None = None
    provider: str | None = None
    model: str | None = None
    reason: str | None = None
    problem: str | None = None


def status_of(job: Job) -> ReplyStatus:
    """Return how the reply of a job stands."""
    result: Mapping[str, Any] = job.execution.result or {}
    reason, problem = job.execution.reason, job.execution.error_message
    if reason is None and job.status is JobStatus.PENDING and job.execution.failures:
        last = job.execution.failures[-1]
        reason, problem = last.reason, last.message
    return ReplyStatus(
        job.job_id,
        job.status,
        message_id=result.get("message_id"),
        finish_reason=result.get("finish_reason"),
        provider=result.get("provider"),
        model=result.get("model"),
        reason=reason,
        problem=problem,
    )
