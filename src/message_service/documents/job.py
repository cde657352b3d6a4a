"""The collection `processing_queue`: one document per job."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from message_service.documents.fields import (
    ConversationId,
    Count,
    Embedded,
    JobId,
    MessageId,
    Milliseconds,
    Moment,
    Name,
    Note,
    OpenEmbedded,
    StoredDocument,
    TenantId,
    UserId,
)


class JobType(StrEnum):
    """The kind of work a job does."""

    MESSAGE_PROCESSING = "message_processing"
    LLM_GENERATION = "llm_generation"
    ANALYTICS_COMPUTATION = "analytics_computation"


class Priority(StrEnum):
    """The four priorities of the source design; `rank` is stored too, for sorting."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    URGENT = "urgent"

    @property
    def rank(self) -> int:
        """0 for low to 3 for urgent; sorted as strings, the names would be in the wrong order."""
        return list(Priority).index(self)


class JobStatus(StrEnum):
    """The state of a job."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class JobConfig(OpenEmbedded):
    """The parameters for the worker."""

    llm_provider: Name | None = None
    model: Name | None = None
    temperature: Annotated[float, Field(ge=0)] | None = None
    max_tokens: Count | None = None
    context_window_size: Count | None = None
    timeout_seconds: Annotated[float, Field(gt=0)] | None = None


class Execution(Embedded):
    """The progress and outcome of a job."""

    attempts: Count = 0
    max_attempts: Count = 3
    worker_id: Name | None = None
    started_at: Moment | None = None
    completed_at: Moment | None = None
    processing_time_ms: Milliseconds | None = None
    error_message: Note | None = None
    result: dict[str, Any] | None = None


class QueueMetadata(Embedded):
    """The queue of a job, and when the job may run."""

    queue_name: Name
    scheduled_for: Moment
    expires_at: Moment | None = None
    retry_after: Moment | None = None
    depends_on: Annotated[list[JobId], Field(max_length=1_000)] | None = None


class Job(StoredDocument):
    """One unit of asynchronous work."""

    tenant_id: TenantId
    job_id: JobId
    message_id: MessageId | None = None
    conversation_id: ConversationId
    user_id: UserId | None = None
    job_type: JobType
    priority: Priority = Priority.NORMAL
    priority_rank: Count = 1
    status: JobStatus = JobStatus.PENDING
    job_config: JobConfig | None = None
    execution: Execution = Field(default_factory=Execution)
    queue_metadata: QueueMetadata
    created_at: Moment
    updated_at: Moment

    class Settings:
        """Beanie's settings."""

        name = "processing_queue"
