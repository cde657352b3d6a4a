"""The steps of a message on its way through the queue: received, queued, processing, completed.

They are written to the message by the job that processes it, each behind the job's fence. The
moments are the job's own; the durations are derived from them here and nowhere else.
"""

from __future__ import annotations

from typing import Any

from message_service.queue.job_updates import Pipeline
from message_service.queue.running_job import RunningJob

_RECEIVED = {"$ifNull": ["$timestamps.received_at", "$timestamps.created_at"]}


def begun(job: RunningJob) -> Pipeline:
    """A worker begins to process the message."""
    queued, started = job.created_at, job.started_at
    return [
        {
            "$set": {
                "timestamps.received_at": _RECEIVED,
                "timestamps.queued_at": queued,
                "timestamps.processing_started_at": started,
                "processing_metadata.worker_id": {"$literal": job.worker_id},
                "processing_metadata.processing_node": {"$literal": job.processing_node},
                "processing_metadata.queue_time_ms": _between(queued, started),
                "processing_metadata.retry_count": job.attempt - 1,
                "processing_metadata.error_count": job.failures,
            }
        }
    ]


def completed(job: RunningJob) -> Pipeline:
    """The message is processed; written within the job's `commit`."""
    ended = job.completed_at
    return [
        *begun(job),
        {"$set": {"timestamps.processed_at": ended, "timestamps.completed_at": ended}},
        {
            "$set": {
                "processing_metadata.processing_time_ms": _between(job.started_at, ended),
                "processing_metadata.total_latency_ms": _between("$timestamps.received_at", ended),
            }
        },
    ]


def _between(start: Any, end: Any) -> dict[str, Any]:
    """Return the whole milliseconds between two moments; clocks that differ make it 0."""
    return {"$max": [0, {"$toLong": {"$subtract": [end, start]}}]}
