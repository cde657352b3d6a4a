"""The job `llm_generation`: asks a model, lets everybody follow, and stores the reply once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Protocol

from pydantic import ValidationError

from message_service import errors
from message_service.database.scope import Scope
from message_service.documents.reply_entry import EntryKind
from message_service.documents.row import Row
from message_service.generation.draft import Draft
from message_service.generation.prompt.building import Prompt, PromptBuilder
from message_service.generation.provider import ModelRequest
from message_service.generation.quality.at_once import quality_of
from message_service.generation.reply_log import ReplyLog, Stopped
from message_service.generation.reply_request import OnInterruption, ReplyOrder, Resolved
from message_service.generation.shared import GenerationRuntime
from message_service.generation.storing import (
    CANCELLED,
    INTERRUPTED,
    FinishedReply,
    ReplyStore,
    said_so_far,
)
from message_service.generation.summarising import summary_job
from message_service.generation.wanted import GONE, check_wanted, superseded
from message_service.messages.appends import Appends
from message_service.messages.context import ContextReader
from message_service.queue.jobs import Jobs
from message_service.queue.running_job import GiveUp, RetryIn, RunningJob, Snooze, Withdraw
from message_service.stopping import end_tasks

STOPPED = "stopped"
"""The reason of a reply that was stopped before it said anything."""

_DATABASE_PAUSE = 1.0
"""Seconds to the next attempt when the database could not be reached."""

_LOOK_EVERY = 2.0
"""Seconds between two looks whether a reply that is being said is still wanted."""


class HasJobs(Protocol):
    """What handlers get of a tenant, as far as replies need it."""

    @property
    def jobs(self) -> Jobs:
        """The tenant's jobs."""
        ...


class Replying:
    """Makes replies, of all tenants.

    Args:
        shared: What the process shares.
    """

    def __init__(self, shared: GenerationRuntime) -> None:
        self._shared = shared

    async def __call__(self, job: RunningJob, tenant: HasJobs) -> None:
        """Make one reply; the handler of the job type."""
        if job.conversation_id is None:
            raise GiveUp("the job has no conversation_id", "invalid_input")
        try:
            order = ReplyOrder.model_validate(job.config)
            resolved = Resolved(order, self._shared.runtime.settings, self._shared.endpoints)
        except (ValidationError, errors.InvalidInput) as error:
            said = error.message if isinstance(error, errors.InvalidInput) else _places(error)
            raise GiveUp(said, "invalid_input") from None
        scope = self._shared.runtime.scope(job.tenant_id)
        try:
            reply = _Reply(self._shared, scope, job, job.conversation_id, order, resolved)
            await reply.make()
            await reply.follow_up(tenant.jobs)
        except errors.ProviderFailed as failure:
            if failure.retryable and failure.retry_after is not None:
                raise RetryIn(failure.retry_after, failure.message, failure.reason) from None
            raise GiveUp(failure.message, failure.reason) from None
        except errors.Unavailable as error:
            # The database, not the reply: no attempt is used up by that.
            raise Snooze(_DATABASE_PAUSE, error.message) from None
        except errors.NotFound as gone:
            raise Withdraw(GONE, gone.message) from None
        except (
            errors.InvalidInput,
            errors.ContextBudgetTooSmall,
            errors.ConversationClosed,
            errors.Unsupported,
        ) as error:
            raise GiveUp(error.message, error.code) from None


class _Reply:
    """One attempt at one reply."""

    def __init__(
        self,
        shared: GenerationRuntime,
        scope: Scope,
        job: RunningJob,
        conversation_id: str,
        order: ReplyOrder,
        resolved: Resolved,
    ) -> None:
        self._shared = shared
        self._runtime = shared.runtime
        self._scope = scope
        self._job = job
        self._conversation_id = conversation_id
        self._order = order
        self._resolved = resolved
        self._log = ReplyLog(
            scope,
            shared.writer,
            self._runtime.clock,
            conversation_id,
            job.job_id,
            f"{job.worker_id}#{job.token}",
        )
        self._draft = Draft(resolved.choices[0].provider, resolved.choices[0].model, 1)
        self._prompt: Prompt | None = None

    async def make(self) -> None:
        """Make the reply, or say why there is none."""
        key = (self._scope.tenant_id, self._job.job_id)
        with self._shared.stops.subscribed(key) as stops:
            if self._job.token > 1:  # else nobody has written but a client that stops it
                await self._log.read()
            if self._log.stopped:
                await self._store_stopped()
                return
            if self._log.begun and self._keeps and any(self._log.said.values()):
                await self._store(said_so_far(self._log, self._draft), INTERRUPTED)
                return
            await self._build()
            await self._say(stops.wait)

    async def follow_up(self, jobs: Jobs) -> None:
        """Have summarised what has fallen out of the window; the next reply looks again."""
        if self._prompt is None or not self._job.committed:
            return
        due = summary_job(
            self._conversation_id, self._order.branch, self._prompt, self._order, self._resolved
        )
        if due is not None:
            with contextlib.suppress(errors.MessageServiceError):
                await jobs.enqueue(**due)

    @property
    def _keeps(self) -> bool:
        return self._order.on_interruption is OnInterruption.KEEP

    async def _build(self) -> None:
        context = ContextReader(self._scope, self._runtime.known)
        self._prompt = await PromptBuilder(self._scope, context).build(
            self._conversation_id,
            self._order.branch,
            budget=self._resolved.budget,
            window_size=self._resolved.window_size,
        )
        answers = self._prompt.answers
        if answers != (self._order.parent_message_id, self._order.parent_digest):
            await check_wanted(self._scope, self._runtime.known, self._conversation_id, self._order)
            raise superseded()
        if not self._prompt.turns:
            raise errors.InvalidInput(
                "conversation_id", "says nothing a model could answer", "Append a message first"
            )

    async def _say(self, stopped_by: Callable[[float], Awaitable[list[Row]]]) -> None:
        """Ask, and let others follow; end early when the reply is not wanted any longer."""
        asking = asyncio.create_task(self._ask())
        watching = asyncio.create_task(self._watch(stopped_by))
        try:
            await asyncio.wait((asking, watching), return_when=asyncio.FIRST_COMPLETED)
        finally:
            await end_tasks((asking, watching))
        try:
            if asking.done() and not asking.cancelled():
                asking.result()
            else:
                watching.result()
        except Stopped:
            await self._log.read()
            await self._store_stopped()
            return
        except errors.ProviderFailed:
            if not (self._keeps and any(self._log.said.values())):
                raise
            await self._store(said_so_far(self._log, self._draft), INTERRUPTED)
            return
        await self._store(self._draft, self._draft.finish_reason or "stop")

    async def _ask(self) -> None:
        if self._prompt is None:
            raise RuntimeError("the prompt is built first")
        request = ModelRequest(
            "", self._prompt.turns, self._resolved.sampling, self._resolved.tools
        )
        answer: AsyncGenerator[Draft, None] = self._shared.calling.run(
            self._resolved.choices, request, self._resolved.patience
        )
        async with aclosing(answer):
            async for draft in answer:
                if draft is not self._draft or not self._log.begun:
                    if self._keeps and any(self._log.said.values()):
                        # A try broke off, and another one has begun: what was said is kept.
                        raise _broken_off(self._draft)
                    self._draft = draft
                    await self._log.begin(draft.provider, draft.model)
                await self._follow(draft)
        await self._follow(self._draft)

    async def _follow(self, draft: Draft) -> None:
        """Write what the draft says beyond the log."""
        for kind, text in (
            (EntryKind.REASONING, draft.reasoning),
            (EntryKind.TEXT, draft.text),
            (EntryKind.REFUSAL, draft.refusal),
        ):
            new = text[len(self._log.said[kind]) :]
            if new:
                await self._log.add(kind, new)

    async def _watch(self, stopped_by: Callable[[float], Awaitable[list[Row]]]) -> None:
        """Return never; raise `Stopped` or `Withdraw`."""
        with contextlib.suppress(errors.MessageServiceError):
            # Storing needs it, and is not kept waiting for it then.
            await self._runtime.known.renew(self._scope.tenant_id, self._conversation_id)
        while True:
            if await stopped_by(_LOOK_EVERY):
                raise Stopped
            await check_wanted(self._scope, self._runtime.known, self._conversation_id, self._order)

    async def _store_stopped(self) -> None:
        if not any(text.strip() for text in self._log.said.values()):
            raise Withdraw(STOPPED, "it was stopped before it said anything")
        await self._store(said_so_far(self._log, self._draft), CANCELLED)

    async def _store(self, draft: Draft, finish_reason: str) -> None:
        answered_at = self._runtime.clock.now()
        quality = None
        if self._runtime.settings.llm_evaluate:
            quality = await quality_of(draft, finish_reason, self._prompt)
        appends = Appends(self._runtime, self._scope)
        store = ReplyStore(self._scope, self._runtime.known, appends)
        await store.store(
            self._job,
            self._conversation_id,
            self._order,
            self._log,
            FinishedReply(
                draft,
                finish_reason,
                self._prompt,
                self._resolved.sampling,
                answered_at,
                quality,
            ),
        )


def _broken_off(draft: Draft) -> errors.ProviderFailed:
    return errors.ProviderFailed(
        f"{draft.provider} ({draft.model}): the answer broke off",
        "cut_off",
        provider=draft.provider,
        model=draft.model,
    )


def _places(error: ValidationError) -> str:
    found = error.errors(include_input=False, include_url=False, include_context=False)
    return "job_config: " + "; ".join(
        f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in found[:3]
    )
