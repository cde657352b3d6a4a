"""One tenant's scores of replies: the calls callers make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

from message_service import errors
from message_service.arguments import check_flag
from message_service.database.scope import Scope
from message_service.documents.job import Priority
from message_service.documents.message import MessageStatus
from message_service.documents.row import Row
from message_service.documents.validation import checked
from message_service.generation.quality.evaluating import is_reply, job_of
from message_service.generation.quality.evaluator import ScoreField
from message_service.generation.quality.judging import JUDGEMENT, JudgeOptions, job_config
from message_service.generation.reply_request import Resolved
from message_service.generation.shared import GenerationRuntime
from message_service.messages.read_message import read_message
from message_service.queue.jobs import Jobs


@dataclass(frozen=True, slots=True)
class StoredScore:
    """A score as it is stored with a message.

    Attributes:
        field: The field of `quality_metadata`.
        value: 0 to 1.
        evaluator: Who made it; None for a score that the caller gave.
        version: The evaluator's version.
    """

    field: ScoreField
    value: float
    evaluator: str | None
    version: str | None


class Quality:
    """Has the replies of one tenant scored, and reads the scores.

    Args:
        shared: What the process shares for replies.
        scope: The tenant's scope.
        jobs: The tenant's jobs.
    """

    def __init__(self, shared: GenerationRuntime, scope: Scope, jobs: Jobs) -> None:
        self._shared = shared
        self._scope = scope
        self._jobs = jobs

    async def evaluate(
        self,
        conversation_id: str,
        message_id: str,
        *,
        judge: bool = False,
        priority: Priority | str | None = None,
        **options: Any,
    ) -> str:
        """Have a reply scored by its text, and by a model if wanted; a worker does it.

        Asked again while that is not done, it is done once; the options of the first call hold.

        Args:
            conversation_id: The conversation.
            message_id: The reply.
            judge: Whether a model is asked for grades too. That costs tokens, which are not
                counted among those of the message.
            priority: Of the jobs.
            **options: With `judge`, any field of `JudgeOptions`: `llm_provider`, `model`,
                `max_tokens`, `context_tokens`, `timeout_seconds`, `fallbacks`.

        Returns:
            The id of the job, for `jobs.wait`; with `judge`, that of the model's judgement.

        Raises:
            InvalidInput: An option is unknown or wrong, or given without `judge`.
            NotFound: No such message in this tenant.
            Conflict: It is not an assistant's message, or is deleted.
        """
        config = self._config(options) if check_flag("judge", judge) else None
        if config is None and options:
            raise errors.InvalidInput(
                sorted(options)[0], "is an option of the judge", "Give judge=True, or leave it out"
            )
        stored = await read_message(self._scope, conversation_id, message_id)
        if not is_reply(stored) or stored["status"] == MessageStatus.DELETED:
            raise errors.Conflict(
                f"message {message_id!r} is not an assistant's, or is deleted; "
                "only replies are scored"
            )
        common: Row = {"user_id": stored["user_id"]}
        if priority is not None:
            common["priority"] = priority
        evaluation = await self._jobs.enqueue(**job_of(conversation_id, message_id), **common)
        if config is None:
            return evaluation.job_id
        judgement = await self._jobs.enqueue(
            **job_of(conversation_id, message_id, JUDGEMENT),
            **common,
            config=config,
        )
        return judgement.job_id

    async def scores(self, conversation_id: str, message_id: str) -> list[StoredScore]:
        """Return the scores that are stored with a message, each with who made it.

        Raises:
            NotFound: No such message in this tenant.
        """
        stored = await read_message(self._scope, conversation_id, message_id)
        quality: Row = stored.get("quality_metadata") or {}
        evaluated_by: dict[str, str] = quality.get("evaluated_by") or {}
        found: list[StoredScore] = []
        for field in get_args(ScoreField):
            if quality.get(field) is not None:
                evaluator, _, version = evaluated_by.get(field, "").rpartition("/")
                found.append(StoredScore(field, quality[field], evaluator or None, version or None))
        return found

    def _config(self, options: dict[str, Any]) -> dict[str, Any]:
        given = checked(JudgeOptions, options)
        settings, endpoints = self._shared.runtime.settings, self._shared.endpoints
        return job_config(given, Resolved(given.reply_options(), settings, endpoints))
