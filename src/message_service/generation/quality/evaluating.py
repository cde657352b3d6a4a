"""The job `quality_evaluation`: scores a reply by its text, and stores the scores with the message.

A score is part of what search ranks by and analytics counts, so it is stored like any other change
of a message: with a new revision, and with the marks of the followers (`messages.guarded_change`).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from message_service import errors
from message_service.catalogue.queries.messages import MESSAGE_BY_ID
from message_service.database.scope import Scope
from message_service.database.transaction import Transaction
from message_service.documents.job import JobType
from message_service.documents.message import MessageStatus, MessageType, Role
from message_service.documents.row import Row
from message_service.enrichment.lemmas import dictionaries_read
from message_service.generation.quality.evaluator import Evaluator, Judged, Score, judge_all
from message_service.generation.quality.local import EVALUATORS
from message_service.messages.guarded_change import GuardedChange
from message_service.messages.history import HistoryReader
from message_service.messages.read_message import read_message
from message_service.messages.rows import StoredMessage
from message_service.messages.runtime import Runtime
from message_service.queue.running_job import GiveUp, RetryIn, RunningJob, Withdraw

EVALUATION: Final = JobType.QUALITY_EVALUATION.value
"""The job type."""

DELETED = "message_deleted"
NOT_A_REPLY = "not_a_reply"
CHANGING = "message_changing"
"""Reasons of jobs that store no scores."""

_ROUNDS = 5
"""How often a message that changes meanwhile is judged again before the job waits."""

_EARLIER = 3
_LOOKED_BACK = 20
_READABLE = (MessageStatus.ACTIVE, MessageStatus.ARCHIVED, MessageStatus.FLAGGED)

Judge = Callable[[Judged], Awaitable[Sequence[Score]]]
"""Returns the scores of a reply."""

IsOurs = Callable[[str], bool]
"""Whether a score of this evaluator ("evaluator/version") may be replaced or removed."""


class Evaluating:
    """Scores replies by their text, of all tenants.

    Args:
        runtime: What the process shares.
        evaluators: The evaluators that are asked.
    """

    def __init__(self, runtime: Runtime, evaluators: Sequence[Evaluator] = EVALUATORS) -> None:
        self._runtime = runtime
        self._evaluators = evaluators
        self._names = frozenset(evaluator.name for evaluator in evaluators)

    async def __call__(self, job: RunningJob, tenant: object) -> None:
        """Score one reply; the handler of the job type."""
        del tenant  # the job names it
        await store_scores(self._runtime, job, self._judge, self._is_ours)

    async def _judge(self, judged: Judged) -> Sequence[Score]:
        if not judged.answer.strip() and not judged.refusal:
            return []  # only tool calls, or a file: there is no text to be judged
        await dictionaries_read()
        scores: list[Score] = []
        for evaluator in self._evaluators:
            # On this thread, because stemming is not thread-safe.
            scores += judge_all(judged, [evaluator])
            await asyncio.sleep(0)  # a long text must not hold up other tasks for all evaluators
        return scores

    def _is_ours(self, evaluated_by: str) -> bool:
        return evaluated_by.rpartition("/")[0] in self._names


def job_of(conversation_id: str, message_id: str, job_type: str = EVALUATION) -> Row:
    """Return the fields of the job that judges a message, for `Jobs.enqueue`.

    While such a job of the message is live, a second one is not stored.
    """
    named = hashlib.sha256(f"{conversation_id}\x1f{message_id}".encode()).hexdigest()[:40]
    return {
        "job_type": job_type,
        "conversation_id": conversation_id,
        "message_id": message_id,
        "dedupe_key": f"{job_type}:{named}",
    }


async def store_scores(
    runtime: Runtime,
    job: RunningJob,
    judge: Judge,
    is_ours: IsOurs,
    beside: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Judge the message of a job, store the scores with it, and complete the job.

    What is stored belongs to the text that was judged: if the message has changed meanwhile, it is
    read again, and judged again unless it says the same as before.

    Args:
        runtime: What the process shares.
        job: The job.
        judge: Returns the scores.
        is_ours: Which stored scores may be replaced, or removed if there is none any longer.
        beside: What the job's result tells besides; `judge` may add to it.

    Raises:
        GiveUp: There is no such reply.
        Withdraw: It is deleted.
        RetryIn: It changes all the time.
    """
    conversation_id, message_id = job.conversation_id, job.message_id
    if conversation_id is None or message_id is None:
        raise GiveUp("the job has no conversation_id and message_id", "invalid_input")
    scope = runtime.scope(job.tenant_id)
    judged: Judged | None = None
    scores: Sequence[Score] = ()
    revision = 0

    async def decide(stored: Row) -> Row | None:
        return revised(stored, scores, is_ours, runtime.clock.now())

    async def write(transaction: Transaction) -> None:
        change = GuardedChange(scope.within(transaction), runtime.clock)
        await change.make(conversation_id, message_id, revision, decide)

    for _ in range(_ROUNDS):
        try:
            revision, said = await _read(runtime, scope, conversation_id, message_id)
            if said != judged:
                scores, judged = await judge(said), said
            found = {score.field: score.value for score in scores}
            await job.commit(write, {"revision": revision, "scores": found, **beside})
        except errors.VersionConflict:
            continue
        except (errors.NotFound, errors.InvalidInput) as error:
            raise GiveUp(error.message, error.code) from None
        else:
            return
    raise RetryIn(1.0, f"message {message_id} is being changed all the time", CHANGING)


def revised(stored: Row, scores: Sequence[Score], is_ours: IsOurs, now: datetime) -> Row | None:
    """Return the update that stores scores with a message; None when they are stored already.

    Args:
        stored: The message as judged.
        scores: The scores of this evaluation.
        is_ours: Which stored scores it may replace or remove; all others stay as they are.
        now: The present moment.
    """
    quality: Row = stored.get("quality_metadata") or {}
    before: dict[str, str] = quality.get("evaluated_by") or {}
    new = {
        score.field: score
        for score in scores
        if quality.get(score.field) is None or is_ours(before.get(score.field, ""))
    }
    gone = [field for field, by in before.items() if is_ours(by) and field not in new]
    if not new and not gone:
        return None
    by = {field: name for field, name in before.items() if field not in gone}
    by |= {field: f"{score.evaluator}/{score.version}" for field, score in new.items()}
    same = by == before and all(quality.get(field) == new[field].value for field in new)
    if same and quality.get("evaluated_revision") == stored["revision"] - 1:
        return None  # the last change of the message was this evaluation
    values: Row = {field: score.value for field, score in new.items()}
    if by:
        values |= {"evaluated_by": by, "evaluated_revision": stored["revision"]}
    else:
        gone += ["evaluated_by", "evaluated_revision"]
    update: Row = {
        "$set": {
            **{f"quality_metadata.{name}": value for name, value in values.items()},
            "timestamps.last_modified_at": now,
        }
    }
    if gone:
        update["$unset"] = {f"quality_metadata.{name}": "" for name in gone}
    return update


async def _read(
    runtime: Runtime, scope: Scope, conversation_id: str, message_id: str
) -> tuple[int, Judged]:
    """Return a message's revision, and what is judged of it."""
    stored = await read_message(scope, conversation_id, message_id)
    if stored["status"] == MessageStatus.DELETED:
        raise Withdraw(DELETED, "the message is deleted")
    if not is_reply(stored):
        raise GiveUp(f"message {message_id} is not an assistant's", NOT_A_REPLY)
    page = await HistoryReader(runtime, scope).page(
        conversation_id,
        branch=stored["relationships"]["conversation_branch"],
        direction="backward",
        before=stored["sequence_number"],
        limit=_LOOKED_BACK,
        statuses=_READABLE,
    )
    replies = (each.text for each in page.items if each.role == Role.ASSISTANT and each.text)
    content: Row = stored["content"]
    llm: Row = stored.get("llm_metadata") or {}
    judged = Judged(
        question=await _question(scope, stored, page.items),
        answer=content["text"],
        language=content.get("detected_language"),
        earlier=tuple(text for text, _ in zip(replies, range(_EARLIER), strict=False)),
        refusal=any(part["type"] == "refusal" for part in content.get("parts") or ()),
        finish_reason=llm.get("finish_reason"),
    )
    return stored["revision"], judged


def is_reply(stored: Row) -> bool:
    """Whether a stored message is one that can be judged."""
    return stored["role"] == Role.ASSISTANT and stored["message_type"] != MessageType.TOMBSTONE


async def _question(scope: Scope, reply: Row, before: Sequence[StoredMessage]) -> str:
    """Return what a reply answers; empty when it answers nothing that may be read."""
    relations: dict[str, Any] = reply["relationships"]
    named = relations.get("reply_to_message_id") or relations.get("parent_message_id")
    if named is not None:
        row = await scope.find_one(
            MESSAGE_BY_ID, conversation_id=reply["conversation_id"], message_id=named
        )
        if row is not None and row["role"] == Role.USER:
            return row["content"]["text"] if row["status"] in _READABLE else ""
    # It continues a reply, goes on after a tool, or names nothing: the user's last word counts.
    return next((message.text for message in before if message.role == Role.USER), "")
