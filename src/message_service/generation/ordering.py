"""Asks for replies: finds what a reply answers, and stores its job, once."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from typing import Any

from message_service import errors
from message_service.arguments import check_text_argument
from message_service.catalogue.queries.conversations import CONVERSATION_BY_ID
from message_service.catalogue.queries.jobs import JOB_BY_ID
from message_service.database.scope import Scope
from message_service.documents.conversation import MAIN_BRANCH
from message_service.documents.fields import MAX_NAME
from message_service.documents.job import JobType, Priority
from message_service.documents.message import Role
from message_service.documents.validation import checked
from message_service.generation.endpoints import Endpoints
from message_service.generation.reply_request import (
    ReplyKind,
    ReplyOptions,
    ReplyOrder,
    Resolved,
    check_options,
)
from message_service.generation.reply_status import Reply
from message_service.generation.wanted import Answered, last_of_branch
from message_service.ids import IdKind, check_branch, check_id
from message_service.messages.runtime import Runtime
from message_service.queue.enqueuing import EnqueueOutcome
from message_service.queue.jobs import Jobs

_PAUSE = 0.02


class Ordering:
    """Asks for the replies of one tenant.

    Args:
        runtime: What the process shares.
        scope: The tenant's scope.
        endpoints: The providers.
        jobs: The tenant's jobs.
    """

    def __init__(self, runtime: Runtime, scope: Scope, endpoints: Endpoints, jobs: Jobs) -> None:
        self._runtime = runtime
        self._scope = scope
        self._endpoints = endpoints
        self._jobs = jobs

    def resolved(self, given: Mapping[str, Any]) -> tuple[ReplyOptions, Resolved]:
        """Return a client's options, checked, and with the settings in what they leave out.

        Raises:
            InvalidInput: One is unknown or wrong.
        """
        options = check_options(given)
        return options, Resolved(options, self._runtime.settings, self._endpoints)

    async def branch(self, conversation_id: str, branch: str | None) -> tuple[str, str]:
        """Return the branch a reply goes to, and the conversation's user.

        Raises:
            NotFound: No such conversation in this tenant.
        """
        check_id(IdKind.CONVERSATION, "conversation_id", conversation_id)
        row = await self._scope.find_one(CONVERSATION_BY_ID, conversation_id=conversation_id)
        if row is None:
            raise errors.NotFound("conversation", conversation_id)
        chosen = row["active_branch"] if branch is None else check_branch("branch", branch)
        return chosen, row["user_id"]

    async def end(
        self, conversation_id: str, branch: str | None
    ) -> tuple[str, str, Answered | None]:
        """Return the branch a reply goes to, the conversation's user, and what it answers.

        Raises:
            NotFound: No such conversation or branch in this tenant.
        """
        check_id(IdKind.CONVERSATION, "conversation_id", conversation_id)
        likely = MAIN_BRANCH if branch is None else check_branch("branch", branch)
        (chosen, user_id), last = await asyncio.gather(
            self.branch(conversation_id, branch), self._last(conversation_id, likely)
        )
        if chosen != likely:
            last = await self._last(conversation_id, chosen)
        return chosen, user_id, last

    async def known(self, conversation_id: str, request_id: str | None) -> Reply | None:
        """Return the reply that was asked for under a request id before, if there is one."""
        if request_id is None:
            return None
        check_id(IdKind.CONVERSATION, "conversation_id", conversation_id)
        check_text_argument("request_id", request_id, most=MAX_NAME)
        job_id = self._job_id(conversation_id, request_id)
        if await self._scope.find_one(JOB_BY_ID, job_id=job_id) is None:
            return None
        return await self._stored(conversation_id, job_id)

    async def order(
        self,
        conversation_id: str,
        branch: str,
        user_id: str,
        parent: Answered | None,
        kind: ReplyKind,
        options: ReplyOptions,
        resolved: Resolved,
        *,
        request_id: str | None,
        priority: Priority | str | None,
    ) -> Reply:
        """Store the job of a reply, unless it is stored already.

        Raises:
            Conflict: The branch does not end with what such a reply follows.
            InvalidInput: The priority is none.
        """
        try:
            _check_place(parent, kind)
        except errors.Conflict:
            # Repeated while the first call's reply was made: after `known` had found nothing.
            if (made := await self.known(conversation_id, request_id)) is not None:
                return made
            raise
        digest = None if parent is None else parent.digest
        order = checked(
            ReplyOrder,
            {
                **options.model_dump(exclude_none=True),
                "kind": kind,
                "branch": branch,
                "parent_message_id": None if parent is None else parent.message_id,
                "parent_digest": digest,
                "reply_message_id": self._runtime.ids.new(IdKind.MESSAGE),
                "timeout_seconds": resolved.attempt_seconds,
                "answer_seconds": resolved.patience.total,
            },
        )
        follows = "" if parent is None else f"{parent.message_id} {digest}"
        fields: dict[str, Any] = {
            "conversation_id": conversation_id,
            "user_id": user_id,
            "dedupe_key": "reply:" + _digest(conversation_id, branch, follows, kind.value),
        }
        if parent is not None:
            fields["message_id"] = parent.message_id
        if priority is not None:
            fields["priority"] = priority
        if request_id is not None:
            fields["job_id"] = self._job_id(conversation_id, request_id)
        config = order.model_dump(mode="json", exclude_none=True)
        try:
            enqueued = await self._jobs.enqueue(JobType.LLM_GENERATION.value, config, **fields)
        except errors.AlreadyExists:
            return await self._stored(conversation_id, fields["job_id"])
        if enqueued.outcome is EnqueueOutcome.DUPLICATE:
            return await self._stored(conversation_id, enqueued.job_id)
        return Reply(
            enqueued.job_id, conversation_id, branch, order.reply_message_id, duplicate=False
        )

    async def _last(self, conversation_id: str, branch: str) -> Answered | None:
        return await last_of_branch(self._scope, self._runtime.known, conversation_id, branch)

    async def _stored(self, conversation_id: str, job_id: str) -> Reply:
        """Return a reply that another call has just stored, once a majority has it.

        Raises:
            Unavailable: No majority has it in time; ask again.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._runtime.settings.write_deadline
        while True:
            try:
                job = await self._jobs.get(job_id)
            except errors.NotFound:
                if loop.time() > deadline:
                    raise errors.Unavailable(f"reply {job_id!r} is not stored yet") from None
                await asyncio.sleep(_PAUSE)
            else:
                return self._reply(job.job_id, conversation_id, dict(job.job_config or {}))

    def _job_id(self, conversation_id: str, request_id: str) -> str:
        named = _digest(self._scope.tenant_id, conversation_id, request_id)
        return f"{IdKind.JOB.value}_{named}"

    def _reply(self, job_id: str, conversation_id: str, config: Mapping[str, Any]) -> Reply:
        return Reply(
            job_id,
            conversation_id,
            config.get("branch", ""),
            config.get("reply_message_id", ""),
            duplicate=True,
        )


def _check_place(parent: Answered | None, kind: ReplyKind) -> None:
    if kind is ReplyKind.CONTINUATION:
        if parent is None or parent.role != Role.ASSISTANT:
            raise errors.Conflict("the branch does not end with a reply that could be continued")
    elif parent is not None and parent.role == Role.ASSISTANT:
        raise errors.Conflict(
            "the branch ends with a reply already; regenerate or continue it",
            message_id=parent.message_id,
        )


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:40]
