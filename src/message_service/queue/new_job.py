"""The fields a caller may give for a new job."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from message_service import errors
from message_service.database.free_form import check_free_form
from message_service.documents.fields import ConversationId, JobId, MessageId, SaidAt, UserId
from message_service.documents.job import (
    JobConfig,
    JobTypeName,
    Key,
    OnFailedDependency,
    Priority,
    QueueName,
)
from message_service.documents.validation import checked

MAX_CONFIG_BYTES = 1_000_000
"""Most bytes of a job's parameters, or of its result, as BSON."""

MOST_DEPENDENCIES = 1_000
MOST_ATTEMPTS = 1_000

_CLOCKS_DIFFER = timedelta(minutes=1)


class OnDuplicate(StrEnum):
    """What becomes of a job whose dedupe key a live job has.

    `reject` keeps the live job. `replace` cancels it, also when it runs, and stores the new one.
    `keep_latest` gives the waiting job the new parameters; beside one that runs, the new job waits
    until that has ended.
    """

    REJECT = "reject"
    REPLACE = "replace"
    KEEP_LATEST = "keep_latest"


class NewJob(BaseModel):
    """A new job as given by the caller; only `job_type` is required.

    What is left out is taken from the declaration of the job type.

    Attributes:
        config: The parameters for the handler (`job_config`); `timeout_seconds` in it is how long
            one attempt may take.
        queue: The queue; workers listen on some or all of them.
        priority: Jobs of a higher priority run first, unless the others wait long.
        job_id: An id of the caller's own; with the same one twice, the second is refused.
        message_id: The message it belongs to; needs `conversation_id`.
        scheduled_for: When it may run first.
        expires_at: When it is too late to begin; then it fails.
        max_attempts: How often it is tried.
        retry_delay_seconds: The delay before the second attempt; it doubles with each.
        depends_on: Jobs that must end first; they must exist.
        on_failed_dependency: What to do when one of them does not complete: fail too, be
            cancelled (skip), or run nevertheless.
        dedupe_key: At most one live job of a tenant has it.
        on_duplicate: What to do when one has it already.
        lane: Jobs of one lane run in order, one at a time.
    """

    model_config = ConfigDict(extra="forbid")

    job_type: JobTypeName
    config: dict[str, Any] = Field(default_factory=dict)
    queue: QueueName | None = None
    priority: Priority | None = None
    job_id: JobId | None = None
    message_id: MessageId | None = None
    conversation_id: ConversationId | None = None
    user_id: UserId | None = None
    scheduled_for: SaidAt | None = None
    expires_at: SaidAt | None = None
    max_attempts: Annotated[int, Field(ge=1, le=MOST_ATTEMPTS, strict=True)] | None = None
    retry_delay_seconds: Annotated[float, Field(ge=0, le=3_600)] | None = None
    depends_on: Annotated[list[JobId], Field(max_length=MOST_DEPENDENCIES)] = Field(
        default_factory=list
    )
    on_failed_dependency: OnFailedDependency = OnFailedDependency.FAIL
    dedupe_key: Key | None = None
    on_duplicate: OnDuplicate = OnDuplicate.REJECT
    lane: Key | None = None


def check_new_job(values: Mapping[str, Any] | NewJob, now: datetime) -> NewJob:
    """Return a caller's values as a checked job.

    Raises:
        InvalidInput: A field is unknown, missing, out of range, or contradicts another.
    """
    job = values if isinstance(values, NewJob) else checked(NewJob, values)
    if job.config:
        check_free_form("config", job.config, most=MAX_CONFIG_BYTES)
        try:
            checked(JobConfig, job.config)
        except errors.InvalidInput as error:
            raise errors.InvalidInput(f"config.{error.field}", error.problem, error.fix) from None
    if job.message_id is not None and job.conversation_id is None:
        raise errors.InvalidInput(
            "conversation_id", "is missing", "Give the conversation of message_id"
        )
    _check_times(job, now)
    if job.job_id is not None and job.job_id in job.depends_on:
        raise errors.InvalidInput("depends_on", "names the job itself", "Leave it out")
    if job.depends_on and job.on_duplicate is OnDuplicate.KEEP_LATEST:
        raise errors.InvalidInput(
            "depends_on",
            "cannot be given with keep_latest",
            "Leave it out, or use another on_duplicate: the job may have to wait for a running one",
        )
    return job


def _check_times(job: NewJob, now: datetime) -> None:
    if job.scheduled_for is not None and job.scheduled_for < now - _CLOCKS_DIFFER:
        raise errors.InvalidInput(
            "scheduled_for", "is in the past", "Leave it out to run the job at once"
        )
    if job.expires_at is None:
        return
    if job.expires_at <= now:
        raise errors.InvalidInput("expires_at", "is in the past", "Give a later moment")
    if job.scheduled_for is not None and job.expires_at <= job.scheduled_for:
        raise errors.InvalidInput(
            "expires_at", "is not after scheduled_for", "Give a moment after scheduled_for"
        )
