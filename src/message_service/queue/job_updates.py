"""The changes of a job's state, as update pipelines.

Every moment is the server's (`$$NOW`), so that the clocks of workers do not matter. Values of
callers and handlers are literals, so they cannot become expressions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from message_service.documents.job import MOST_FAILURES, JobStatus, Priority
from message_service.documents.row import Row
from message_service.queue.ordering import AT_ONCE

Pipeline = list[Mapping[str, Any]]

NOW = "$$NOW"
REMOVE = "$$REMOVE"
_RELEASE_GRACE = 2_000
"""Milliseconds for whoever ends a job to release what waits for it; then the sweep does."""

_ATTEMPTS = 3
_LONGEST_MESSAGE = 1_000
_QUEUE_FIELDS = ("claim_order", "has_turn", "blocked_by", "lease.until")


def _later(milliseconds: int) -> Mapping[str, Any]:
    return {"$dateAdd": {"startDate": NOW, "unit": "millisecond", "amount": milliseconds}}


def _literal(value: object) -> Mapping[str, Any]:
    return {"$literal": value}


def claimed(claim_id: str, worker_id: str, node: str, lease_ms: int) -> Pipeline:
    """A worker takes the job; the attempt counts from here on."""
    until = _later(lease_ms)
    return [
        {
            "$set": {
                "status": JobStatus.PROCESSING.value,
                "execution.attempts": {"$add": [{"$ifNull": ["$execution.attempts", 0]}, 1]},
                "execution.worker_id": _literal(worker_id),
                "execution.processing_node": _literal(node),
                "execution.started_at": NOW,
                "lease": {
                    "claim_id": _literal(claim_id),
                    "token": {"$add": [{"$ifNull": ["$lease.token", 0]}, 1]},
                    "until": until,
                },
                "attention_at": until,
                "updated_at": NOW,
            }
        },
        {
            "$unset": [
                "claim_order",
                "execution.error_message",
                "execution.reason",
                "queue_metadata.retry_after",
            ]
        },
    ]


def renewed(lease_ms: int) -> Pipeline:
    """A worker still works on the job."""
    until = _later(lease_ms)
    return [{"$set": {"lease.until": until, "attention_at": until}}]


def completed(result: Mapping[str, Any] | None) -> Pipeline:
    """The job is done."""
    values: dict[str, Any] = {} if result is None else {"execution.result": _literal(dict(result))}
    return _ended(JobStatus.COMPLETED, values)


def completed_together(ids: Sequence[Any], results: Sequence[Mapping[str, Any] | None]) -> Pipeline:
    """Several jobs are done, each with its own result."""
    if all(result is None for result in results):
        return completed(None)
    several = [None if result is None else dict(result) for result in results]
    place: Mapping[str, Any] = {"$indexOfArray": [_literal([*ids]), "$_id"]}
    own: Mapping[str, Any] = {"$arrayElemAt": [_literal(several), place]}
    # A null would be stored as such: $ifNull lets REMOVE take its place.
    return _ended(JobStatus.COMPLETED, {"execution.result": {"$ifNull": [own, REMOVE]}})


def ended(status: JobStatus, reason: str, message: str | None = None) -> Pipeline:
    """The job ends without being done: failed (the dead letters) or cancelled."""
    values: dict[str, Any] = {"execution.reason": _literal(reason)}
    if message is not None:
        values["execution.error_message"] = _literal(message[:_LONGEST_MESSAGE])
    return _ended(status, values)


def attempt_failed(reason: str, message: str | None, delay_ms: int | None) -> Pipeline:
    """An attempt failed; the job waits for the next one, or it fails when there is none.

    Args:
        reason: Stable name of the reason.
        message: What the handler said.
        delay_ms: Milliseconds before the next attempt; None when there is none.
    """
    noted = _failure_noted(reason, message)
    if delay_ms is None:
        return [*noted, *ended(JobStatus.FAILED, reason, message)]
    return [*noted, *_waits_again(delay_ms)]


def of_lost_worker(update: Pipeline) -> Pipeline:
    """A job whose lease has ended: its claim is void, whatever its worker may still write."""
    return [*update, {"$set": {"lease.claim_id": "void"}}]


def handed_back() -> Pipeline:
    """A worker stops before the job is done: the attempt does not count."""
    return [
        {"$set": {"execution.attempts": {"$subtract": ["$execution.attempts", 1]}}},
        *_waits_again(0),
    ]


def parked(reason: str, message: str, delay_ms: int) -> Pipeline:
    """The job cannot be run now, or not by this worker: the attempt does not count.

    Args:
        reason: Stable name of the reason.
        message: What is missing.
        delay_ms: Milliseconds before the next attempt.
    """
    return [
        {
            "$set": {
                "execution.attempts": {"$subtract": ["$execution.attempts", 1]},
                "execution.reason": _literal(reason),
                "execution.error_message": _literal(message[:_LONGEST_MESSAGE]),
            }
        },
        *_waits_again(delay_ms),
    ]


def ready(claim_order: datetime, expires_at: datetime | None, *, turn: bool = False) -> Pipeline:
    """The job can be claimed."""
    values: dict[str, Any] = {"claim_order": claim_order, "attention_at": expires_at or REMOVE}
    if turn:
        values["has_turn"] = True
    return [{"$set": values}]


def waiting(until: datetime | None) -> Pipeline:
    """The job waits; the sweep looks at it again at that moment, if there is one."""
    return [{"$set": {"attention_at": until or REMOVE}}]


def unblocked(by: str) -> Pipeline:
    """One of the jobs this one waits for need not be waited for any longer."""
    none_left: Mapping[str, Any] = {"$eq": ["$blocked_by", []]}
    return [
        {"$set": {"blocked_by": {"$setDifference": ["$blocked_by", [_literal(by)]]}}},
        {
            "$set": {
                "attention_at": {"$cond": [none_left, NOW, "$attention_at"]},
                "blocked_by": {"$cond": [none_left, REMOVE, "$blocked_by"]},
                "updated_at": NOW,
            }
        },
    ]


def asked_to_stop() -> Pipeline:
    """The running job is to stop; its worker sees it with its next heartbeat."""
    return [{"$set": {"cancel_requested_at": NOW, "updated_at": NOW}}]


def replaced(by: str) -> Pipeline:
    """Another job was put in the place of this one."""
    return [{"$set": {"replaced_by": by}}]


def without_dedupe_key(*, has_dependents: bool) -> Pipeline:
    """The running job leaves its dedupe key to a newer one."""
    values: dict[str, Any] = {"updated_at": NOW}
    if has_dependents:
        values["has_dependents"] = True
    return [{"$set": values}, {"$unset": ["queue_metadata.dedupe_key"]}]


def given_again(document: Row) -> Pipeline:
    """The waiting job gets the parameters, priority and schedule of a newer one."""
    queue: Row = document["queue_metadata"]
    values: dict[str, Any] = {
        "job_config": _literal(document["job_config"]) if "job_config" in document else REMOVE,
        "priority": document["priority"],
        "priority_rank": document["priority_rank"],
        "queue_metadata.scheduled_for": queue["scheduled_for"],
        "queue_metadata.expires_at": queue.get("expires_at", REMOVE),
        "created_at": document["created_at"],
        "attention_at": AT_ONCE,
        "updated_at": NOW,
    }
    for name in ("message_id", "conversation_id", "user_id"):
        values[name] = document.get(name, REMOVE)
    return [{"$set": values}, {"$unset": ["claim_order"]}]


def adopted(rank: int, lane_number: int | None, blocked_by: Sequence[str]) -> Pipeline:
    """A job that another program has stored gets what the queue needs."""
    values: dict[str, Any] = {
        "status": JobStatus.PENDING.value,
        "priority": {"$ifNull": ["$priority", Priority.NORMAL.value]},
        "priority_rank": rank,
        "execution.attempts": 0,
        "execution.max_attempts": {"$ifNull": ["$execution.max_attempts", _ATTEMPTS]},
        "attention_at": AT_ONCE,
        "updated_at": NOW,
    }
    if lane_number is not None:
        values["queue_metadata.lane_number"] = lane_number
    if blocked_by:
        values["blocked_by"] = [*blocked_by]
    return [{"$set": values}, {"$unset": ["claim_order"]}]


def set_aside(reason: str, message: str, delay_ms: int) -> Pipeline:
    """The job could not be settled; it is looked at again later."""
    return [
        {
            "$set": {
                "execution.reason": _literal(reason),
                "execution.error_message": _literal(message),
                "attention_at": _later(delay_ms),
                "updated_at": NOW,
            }
        }
    ]


def begun_again(attention_at: datetime, lane_number: int | None) -> Pipeline:
    """An ended job waits again, with all its attempts."""
    values: dict[str, Any] = {
        "status": JobStatus.PENDING.value,
        "execution.attempts": 0,
        "attention_at": attention_at,
        "updated_at": NOW,
    }
    if lane_number is not None:
        values["queue_metadata.lane_number"] = lane_number
    return [
        {"$set": values},
        {
            "$unset": [
                "execution.completed_at",
                "execution.error_message",
                "execution.processing_time_ms",
                "execution.reason",
                "execution.result",
                "execution.started_at",
                "queue_metadata.expires_at",
                "queue_metadata.retry_after",
                "cancel_requested_at",
                "replaced_by",
            ]
        },
    ]


def _ended(status: JobStatus, values: Mapping[str, Any]) -> Pipeline:
    started = {"$eq": [{"$type": "$execution.started_at"}, "date"]}
    others_wait: Sequence[Mapping[str, Any]] = (
        {"$eq": [{"$type": "$queue_metadata.lane"}, "string"]},
        {"$eq": ["$has_dependents", True]},
    )
    return [
        {
            "$set": {
                "status": status.value,
                "execution.completed_at": NOW,
                "execution.processing_time_ms": {
                    "$cond": [
                        started,
                        {"$max": [0, {"$subtract": [NOW, "$execution.started_at"]}]},
                        REMOVE,
                    ]
                },
                "attention_at": {"$cond": [{"$or": others_wait}, _later(_RELEASE_GRACE), REMOVE]},
                "updated_at": NOW,
                **values,
            }
        },
        {"$unset": [*_QUEUE_FIELDS]},
    ]


def _waits_again(delay_ms: int) -> Pipeline:
    moment = _later(delay_ms)
    return [
        {
            "$set": {
                "status": JobStatus.PENDING.value,
                "queue_metadata.retry_after": moment,
                # Who may wait for long expires meanwhile; without expires_at, $min ignores it.
                "attention_at": {"$min": [moment, "$queue_metadata.expires_at"]},
                "updated_at": NOW,
            }
        },
        {"$unset": ["lease.until"]},
    ]


def _failure_noted(reason: str, message: str | None) -> Pipeline:
    failure: dict[str, Any] = {
        "attempt": "$execution.attempts",
        "at": NOW,
        "reason": _literal(reason),
        "worker_id": "$execution.worker_id",
    }
    if message is not None:
        failure["message"] = _literal(message[:_LONGEST_MESSAGE])
    before: Mapping[str, Any] = {"$ifNull": ["$execution.failures", []]}
    kept: Mapping[str, Any] = {"$slice": [{"$concatArrays": [before, [failure]]}, -MOST_FAILURES]}
    return [{"$set": {"execution.failures": kept}}]
