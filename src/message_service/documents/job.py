"""The collection `processing_queue`: one document per job."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, StringConstraints

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

JOB_TYPE_PATTERN = r"[a-z][a-z0-9_.-]{0,63}"
QUEUE_PATTERN = r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}"

JobTypeName = Annotated[str, StringConstraints(pattern=rf"^{JOB_TYPE_PATTERN}$")]
"""A job type: one of `JobType`, or one that the application registers."""

QueueName = Annotated[str, StringConstraints(pattern=rf"^{QUEUE_PATTERN}$")]

Key = Annotated[str, StringConstraints(min_length=1, max_length=128)]
"""The name of a lane, or what jobs are deduplicated by."""

MOST_FAILURES = 10
"""Failed attempts a job remembers, the last ones."""


class JobType(StrEnum):
    """The job types of the service itself."""

    MESSAGE_PROCESSING = "message_processing"
    LLM_GENERATION = "llm_generation"
    ANALYTICS_COMPUTATION = "analytics_computation"
    CONTEXT_SUMMARY = "context_summary"
    QUALITY_EVALUATION = "quality_evaluation"
    QUALITY_JUDGEMENT = "quality_judgement"


class Priority(StrEnum):
    """The four priorities of the source design; `rank` is stored too, for sorting."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    URGENT = "urgent"

    @property
    def rank(self) -> int:
        """0 for low to 3 for urgent; sorted as strings, the names would be in the wrong order."""
        return _RANKS[self.value]


_RANKS = {priority.value: rank for rank, priority in enumerate(Priority)}


class JobStatus(StrEnum):
    """The state of a job."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


LIVE = (JobStatus.PENDING.value, JobStatus.PROCESSING.value)
ENDED = (JobStatus.COMPLETED.value, JobStatus.FAILED.value, JobStatus.CANCELLED.value)
"""The statuses before and after the end of a job."""


class OnFailedDependency(StrEnum):
    """What becomes of a job when one that it depends on is failed or cancelled."""

    FAIL = "fail"
    SKIP = "skip"
    RUN = "run"


class JobConfig(OpenEmbedded):
    """The parameters for the worker; a type of the application's own has its own."""

    llm_provider: Name | None = None
    model: Name | None = None
    temperature: Annotated[float, Field(ge=0)] | None = None
    max_tokens: Count | None = None
    context_window_size: Count | None = None
    timeout_seconds: Annotated[float, Field(gt=0)] | None = None


class Failure(Embedded):
    """One attempt that did not complete the job.

    `reason` is a stable name such as "handler_error", "timeout" or "worker_lost".
    """

    attempt: Count
    at: Moment
    reason: Name
    message: Note | None = None
    worker_id: Name | None = None


class Execution(Embedded):
    """The progress and outcome of a job.

    `attempts` is counted when a worker takes the job, so an attempt that kills its worker counts.
    `reason` says why an ended job did not complete.
    """

    attempts: Count = 0
    max_attempts: Count = 3
    worker_id: Name | None = None
    processing_node: Name | None = None
    started_at: Moment | None = None
    completed_at: Moment | None = None
    processing_time_ms: Milliseconds | None = None
    error_message: Note | None = None
    reason: Name | None = None
    result: dict[str, Any] | None = None
    failures: Annotated[list[Failure], Field(max_length=MOST_FAILURES)] | None = None


class QueueMetadata(Embedded):
    """The queue of a job, and when the job may run."""

    queue_name: QueueName
    scheduled_for: Moment
    expires_at: Moment | None = None
    retry_after: Moment | None = None
    retry_delay_seconds: Annotated[float, Field(ge=0)] | None = None
    depends_on: Annotated[list[JobId], Field(max_length=1_000)] | None = None
    on_failed_dependency: OnFailedDependency | None = None
    dedupe_key: Key | None = None
    lane: Key | None = None
    lane_number: Count | None = None


class JobLease(Embedded):
    """Who may write a job's outcome: whoever claimed it last, while the lease is in force.

    `token` is the fencing token; it grows with each claim. `claim_id` names the claim, and stays
    after the end, so that a worker whose answer was lost can recognise its own write.
    """

    claim_id: Name
    token: Count
    until: Moment | None = None


class Job(StoredDocument):
    """One unit of asynchronous work.

    The fields from `claim_order` on are the queue's own:

    Attributes:
        priority_rank: The rank of the priority; absent until the queue has adopted a job that
            another program has stored.
        claim_order: Present while the job can be claimed; the earliest is claimed first.
        attention_at: When the sweep has to look at the job (see `queue.sweep`).
        has_turn: Whether the job is the one of its lane that may run.
        has_dependents: Whether other jobs wait, or waited, for it.
        blocked_by: The jobs it still waits for.
        cancel_requested_at: When the running job was asked to stop.
        replaced_by: The job with the same dedupe key that was put in its place.
    """

    tenant_id: TenantId
    job_id: JobId
    message_id: MessageId | None = None
    conversation_id: ConversationId | None = None
    user_id: UserId | None = None
    job_type: JobTypeName
    priority: Priority = Priority.NORMAL
    priority_rank: Count | None = None
    status: JobStatus = JobStatus.PENDING
    job_config: JobConfig | None = None
    execution: Execution = Field(default_factory=Execution)
    queue_metadata: QueueMetadata
    created_at: Moment
    updated_at: Moment
    claim_order: Moment | None = None
    attention_at: Moment | None = None
    lease: JobLease | None = None
    has_turn: bool | None = None
    has_dependents: bool | None = None
    blocked_by: list[JobId] | None = None
    cancel_requested_at: Moment | None = None
    replaced_by: JobId | None = None

    class Settings:
        """Beanie's settings."""

        name = "processing_queue"
