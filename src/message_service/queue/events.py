"""The changes of jobs' states, as they happen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from message_service.database.changes import changes
from message_service.database.scope import Scope
from message_service.documents.job import JobStatus
from message_service.documents.row import Row

_STATUS = "updateDescription.updatedFields.status"


@dataclass(frozen=True, slots=True)
class JobEvent:
    """A job came into a state.

    Attributes:
        job_id: The job.
        job_type: Its type.
        queue: Its queue.
        status: The state.
        attempt: How many attempts were made, the present one included.
        reason: Why it ended without being completed.
        at: When, by the server's clock.
    """

    job_id: str
    job_type: str
    queue: str
    status: JobStatus
    attempt: int
    reason: str | None
    at: datetime

    def to_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return asdict(self)


async def job_events(scope: Scope, job_id: str | None) -> AsyncIterator[JobEvent]:
    """Yield the changes of the states of a tenant's jobs from now on.

    Each is told with the job as it is when the change is read: of changes that follow one another
    closely, the earlier one can be told with the figures of the later one.
    """
    match: Row = {
        "fullDocument.tenant_id": scope.tenant_id,
        "$or": [{"operationType": "insert"}, {_STATUS: {"$exists": True}}],
    }
    if job_id is not None:
        match["fullDocument.job_id"] = job_id
    async for event in changes(scope.database, "processing_queue", match, comment="jobs.events"):
        document: Row | None = event.get("fullDocument")
        if document is None:
            continue  # deleted since
        changed: Row = event.get("updateDescription", {}).get("updatedFields", {})
        status = JobStatus(changed.get("status", document["status"]))
        same = status == document["status"]
        yield JobEvent(
            job_id=document["job_id"],
            job_type=document["job_type"],
            queue=document["queue_metadata"]["queue_name"],
            status=status,
            attempt=document["execution"]["attempts"],
            reason=document["execution"].get("reason") if same else None,
            at=event.get("wallTime", document["updated_at"]),
        )
