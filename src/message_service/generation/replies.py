"""One tenant's replies: the calls callers make."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from message_service import errors
from message_service.arguments import check_number, check_whole_number
from message_service.catalogue.queries.reply_entries import LAST_ENTRY
from message_service.database.scope import Scope
from message_service.documents.job import ENDED, Job, JobStatus, JobType, Priority
from message_service.documents.reply_entry import EntryKind
from message_service.generation.alternatives import Alternative, Alternatives
from message_service.generation.following import ReplyEvent, follow
from message_service.generation.ordering import Ordering
from message_service.generation.prompt.building import Prompt, PromptBuilder
from message_service.generation.reply_request import ReplyKind
from message_service.generation.reply_status import Reply, ReplyStatus, status_of
from message_service.generation.replying import STOPPED
from message_service.generation.shared import GenerationRuntime
from message_service.generation.wanted import Answered
from message_service.ids import IdKind, check_id
from message_service.messages.context import ContextReader
from message_service.queue.jobs import Jobs
from message_service.queue.registry import MOST_SECONDS

_ATTEMPTS = 250
_PAUSE = 0.02
_OFFSETS = 2**62
_SWIPES = 1_000


class Replies:
    """Asks for replies of a model, and follows them.

    Args:
        shared: What the process shares for replies.
        scope: The tenant's scope.
        jobs: The tenant's jobs.
        alternatives: The branches with other replies.
    """

    def __init__(
        self, shared: GenerationRuntime, scope: Scope, jobs: Jobs, alternatives: Alternatives
    ) -> None:
        self._shared = shared
        self._scope = scope
        self._jobs = jobs
        self._alternatives = alternatives
        self._ordering = Ordering(shared.runtime, scope, shared.endpoints, jobs)

    async def request(
        self,
        conversation_id: str,
        *,
        branch: str | None = None,
        request_id: str | None = None,
        priority: Priority | str | None = None,
        **options: Any,
    ) -> Reply:
        """Ask for a reply to the last message of a branch; a worker makes it.

        While it is not made, asking again returns the same reply. It is cancelled when that
        message is edited or deleted, or another one follows it.

        Args:
            conversation_id: The conversation.
            branch: The branch; None for the active one.
            request_id: The client's name of this request: repeated with it, the call returns the
                same reply, also when it has been made (for seven days).
            priority: Of the job.
            **options: Any field of `ReplyOptions`, for example `llm_provider`, `model`,
                `temperature`, `max_tokens`, `fallbacks`, `on_interruption`.

        Raises:
            InvalidInput: An option is unknown or wrong.
            NotFound: No such conversation or branch in this tenant.
            Conflict: The branch ends with a reply already.
        """
        return await self._ask(
            conversation_id, branch, ReplyKind.ANSWER, request_id, priority, options
        )

    async def continue_(
        self,
        conversation_id: str,
        *,
        branch: str | None = None,
        request_id: str | None = None,
        priority: Priority | str | None = None,
        **options: Any,
    ) -> Reply:
        """Ask a model to go on with the last reply of a branch.

        What it says is a message of its own that continues the reply (`continuations.joined`
        reads both as one).

        Args:
            conversation_id: The conversation.
            branch: The branch; None for the active one.
            request_id: As for `request`.
            priority: Of the job.
            **options: As for `request`.

        Raises:
            InvalidInput: An option is unknown or wrong.
            NotFound: No such conversation or branch in this tenant.
            Conflict: The branch does not end with a reply.
        """
        return await self._ask(
            conversation_id, branch, ReplyKind.CONTINUATION, request_id, priority, options
        )

    async def regenerate(
        self,
        conversation_id: str,
        message_id: str | None = None,
        *,
        request_id: str | None = None,
        priority: Priority | str | None = None,
        **options: Any,
    ) -> Reply:
        """Ask for another reply in the place of one, on a branch of its own.

        The branch becomes the active one at once. The first reply stays where it is.

        Args:
            conversation_id: The conversation.
            message_id: The reply; None for the last one of the active branch.
            request_id: As for `request`.
            priority: Of the job.
            **options: As for `request`.

        Raises:
            InvalidInput: An option is unknown or wrong.
            NotFound: No such conversation or message in this tenant.
            Conflict: The message is not a reply.
        """
        checked = self._ordering.resolved(options)
        before = await self._ordering.known(conversation_id, request_id)
        if before is not None:
            return before
        active, user_id = await self._ordering.branch(conversation_id, None)
        branch, parent = await self._alternatives.open(
            conversation_id, active, message_id, request_id
        )
        return await self._ordering.order(
            conversation_id,
            branch,
            user_id,
            None if parent is None else Answered.of(parent.raw),
            ReplyKind.ANSWER,
            *checked,
            request_id=request_id,
            priority=priority,
        )

    async def alternatives(
        self, conversation_id: str, message_id: str | None = None
    ) -> list[Alternative]:
        """Return the replies to one message, in the order in which they were asked for.

        Args:
            conversation_id: The conversation.
            message_id: One of the replies; None for the last one of the active branch.

        Raises:
            NotFound: No such conversation or message in this tenant.
            Conflict: The message is not a reply.
        """
        active, _ = await self._ordering.branch(conversation_id, None)
        return await self._alternatives.list(conversation_id, active, message_id)

    async def swipe(self, conversation_id: str, step: int = 1) -> Alternative:
        """Show another of the replies to the same message: make its branch the active one.

        Args:
            conversation_id: The conversation.
            step: How many further; negative for back.

        Raises:
            NotFound: No such conversation in this tenant.
            Conflict: The active branch does not end with a reply, or there is none so far on;
                `regenerate` makes one.
        """
        check_whole_number("step", step, -_SWIPES, _SWIPES)
        active, _ = await self._ordering.branch(conversation_id, None)
        return await self._alternatives.swipe(conversation_id, active, step)

    async def follow(self, reply_id: str, *, after: int = -1) -> AsyncIterator[ReplyEvent]:
        """Yield what happens to a reply, from an offset on, up to its end.

        Any number of followers may follow it, from any process, also when its worker dies: a
        `begin` that is not the first event says that all text before it is void.

        Args:
            reply_id: The reply.
            after: The offset of the last event seen; -1 begins with the first. Events are kept for
                a quarter of an hour.

        Raises:
            NotFound: No such reply; replies are forgotten after seven days (messages are not).
            InvalidInput: An argument is wrong, or what follows the offset is not kept any longer.
        """
        check_whole_number("after", after, -1, _OFFSETS)
        job = await self._job(reply_id)
        async for event in follow(
            self._scope, self._shared.entries, reply_id, str(job.conversation_id), after
        ):
            yield event

    async def get(self, reply_id: str) -> ReplyStatus:
        """Return how a reply stands.

        Raises:
            NotFound: No such reply.
        """
        return status_of(await self._job(reply_id))

    async def wait(self, reply_id: str, timeout: float | None = None) -> ReplyStatus:  # noqa: ASYNC109
        """Return how a reply has ended, once it has.

        Args:
            reply_id: The reply.
            timeout: Most seconds to wait; None waits for as long as it takes.

        Raises:
            NotFound: No such reply.
            Unavailable: It has not ended in time.
        """
        if timeout is not None:
            check_number("timeout", timeout, 0, MOST_SECONDS)
        await self._job(reply_id)
        return status_of(await self._jobs.wait(reply_id, timeout))

    async def cancel(self, reply_id: str) -> ReplyStatus:
        """Stop a reply; what it has said so far is stored, with the finish reason `cancelled`.

        Returns:
            How it stands now: `processing` until its worker has stored what was said; `cancelled`
            when it had said nothing and no worker had it.

        Raises:
            NotFound: No such reply.
            Conflict: It has ended already.
        """
        for _ in range(_ATTEMPTS):
            job = await self._job(reply_id)
            if job.status in ENDED:
                raise errors.Conflict(f"reply {reply_id!r} has ended: it is {job.status.value}")
            last = await self._scope.find_one(
                LAST_ENTRY,
                committed=True,
                conversation_id=str(job.conversation_id),
                reply_id=reply_id,
                after=-1,
            )
            if last is not None and last["kind"] == EntryKind.END:
                raise errors.Conflict(f"reply {reply_id!r} has ended: it is completed")
            stopped = last is not None and last["kind"] == EntryKind.STOP
            if not stopped and not await self._stop(job, -1 if last is None else last["number"]):
                await asyncio.sleep(_PAUSE)
                continue  # it has said more meanwhile
            if last is None and job.status is JobStatus.PENDING:
                await self._jobs.cancel_waiting(reply_id, STOPPED)
            return await self.get(reply_id)
        raise errors.Unavailable(f"reply {reply_id!r} says more all the time; try again")

    async def preview(
        self, conversation_id: str, *, branch: str | None = None, **options: Any
    ) -> Prompt:
        """Return exactly what a model would be sent for a reply, section by section.

        Args:
            conversation_id: The conversation.
            branch: The branch; None for the active one.
            **options: As for `request`.

        Raises:
            InvalidInput: An option is unknown or wrong.
            NotFound: No such conversation or branch in this tenant.
            ContextBudgetTooSmall: What must be in the prompt does not fit; names the section.
        """
        _, resolved = self._ordering.resolved(options)
        chosen, _ = await self._ordering.branch(conversation_id, branch)
        context = ContextReader(self._scope, self._shared.runtime.known)
        return await PromptBuilder(self._scope, context).build(
            conversation_id, chosen, budget=resolved.budget, window_size=resolved.window_size
        )

    async def _ask(
        self,
        conversation_id: str,
        branch: str | None,
        kind: ReplyKind,
        request_id: str | None,
        priority: Priority | str | None,
        options: dict[str, Any],
    ) -> Reply:
        checked = self._ordering.resolved(options)
        before = await self._ordering.known(conversation_id, request_id)
        if before is not None:
            return before
        chosen, user_id, parent = await self._ordering.end(conversation_id, branch)
        return await self._ordering.order(
            conversation_id,
            chosen,
            user_id,
            parent,
            kind,
            *checked,
            request_id=request_id,
            priority=priority,
        )

    async def _stop(self, job: Job, last: int) -> bool:
        return await self._scope.insert_one(
            "reply_entries",
            {
                "conversation_id": job.conversation_id,
                "reply_id": job.job_id,
                "number": last + 1,
                "writer": "client",
                "kind": EntryKind.STOP.value,
                "created_at": self._shared.runtime.clock.now(),
            },
            comment="reply_entries.stop",
        )

    async def _job(self, reply_id: str) -> Job:
        check_id(IdKind.JOB, "reply_id", reply_id)
        try:
            job = await self._jobs.get(reply_id)
        except errors.NotFound:
            raise errors.NotFound("reply", reply_id) from None
        if job.job_type != JobType.LLM_GENERATION or job.conversation_id is None:
            raise errors.NotFound("reply", reply_id)
        return job
