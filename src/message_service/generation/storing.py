"""Stores a reply: message, usage, cost, log and end of the job, together and once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from message_service import errors
from message_service.database.scope import Scope
from message_service.database.transaction import Transaction
from message_service.documents.message import Role
from message_service.documents.reply_entry import EntryKind
from message_service.generation.draft import Draft
from message_service.generation.prompt.building import Prompt
from message_service.generation.provider import Sampling
from message_service.generation.reply_log import ReplyLog
from message_service.generation.reply_request import ReplyKind, ReplyOrder
from message_service.generation.wanted import check_still_wanted
from message_service.messages.appends import Appends
from message_service.messages.known_conversations import KnownConversations
from message_service.messages.outcomes import Appended
from message_service.queue.running_job import RunningJob

CANCELLED = "cancelled"
INTERRUPTED = "interrupted"
"""Finish reasons of replies that the model did not end: stopped by a client, or broken off."""


@dataclass(frozen=True, slots=True)
class FinishedReply:
    """A reply to store.

    Attributes:
        draft: What was said.
        finish_reason: Why it ended.
        prompt: What the model was sent; None when the worker that sent it is gone.
        sampling: How the model chose its words.
        answered_at: When the provider had ended.
        quality: Its scores (`quality_metadata`).
    """

    draft: Draft
    finish_reason: str
    prompt: Prompt | None
    sampling: Sampling
    answered_at: datetime
    quality: Mapping[str, Any] | None = None


class ReplyStore:
    """Stores the replies of one tenant.

    Args:
        scope: The tenant's scope.
        known: The remembered conversations.
        appends: Appends to the tenant's conversations.
    """

    def __init__(self, scope: Scope, known: KnownConversations, appends: Appends) -> None:
        self._scope = scope
        self._known = known
        self._appends = appends

    async def store(
        self,
        job: RunningJob,
        conversation_id: str,
        order: ReplyOrder,
        log: ReplyLog,
        finished: FinishedReply,
    ) -> None:
        """Store a reply and complete its job, in one transaction.

        Raises:
            Withdraw: It is not wanted any longer.
            LeaseLost: Another worker has the job, or writes its log.
            MessageServiceError: It could not be stored.
        """
        while True:
            try:
                await self._commit(job, conversation_id, order, log, finished)
            except _LogWentOn:
                if not await log.catch_up():
                    continue  # what was there is gone again, with a primary
                if not log.stopped:
                    raise errors.LeaseLost(job.job_id) from None
                finished = _stopped(finished, log)
            except errors.InvalidInput as error:
                if not error.field.startswith("usage") or finished.draft.usage is None:
                    raise
                # What the provider reports makes no sense: that is a visible state of the usage.
                finished.draft.usage = None
            else:
                return

    async def _commit(
        self,
        job: RunningJob,
        conversation_id: str,
        order: ReplyOrder,
        log: ReplyLog,
        finished: FinishedReply,
    ) -> None:
        end = log.entry(
            EntryKind.END,
            message_id=order.reply_message_id,
            finish_reason=finished.finish_reason,
        )

        async def write(transaction: Transaction) -> None:
            within = self._scope.within(transaction)
            tail = await check_still_wanted(within, self._known, conversation_id, order)
            await self._append(job, conversation_id, order, finished, transaction, tail)
            if not await _inserted(within, end):
                raise _LogWentOn

        await job.commit(
            write,
            {
                "message_id": order.reply_message_id,
                "finish_reason": finished.finish_reason,
                "provider": finished.draft.provider,
                "model": finished.draft.model,
            },
        )

    async def _append(
        self,
        job: RunningJob,
        conversation_id: str,
        order: ReplyOrder,
        finished: FinishedReply,
        transaction: Transaction,
        tail: int,
    ) -> Appended:
        draft = finished.draft
        parts = draft.parts()
        context = {} if finished.prompt is None else finished.prompt.context_metadata()
        return await self._appends.append_checked(
            conversation_id,
            Role.ASSISTANT,
            draft.text if parts is None else "",
            within=transaction,
            tail=tail,
            **({} if parts is None else {"parts": parts}),
            message_id=order.reply_message_id,
            branch=order.branch,
            **_relations(order),
            llm_metadata=_llm_metadata(finished),
            usage=dict(draft.usage or {}),
            **({"context_metadata": context} if context else {}),
            **({} if finished.quality is None else {"quality_metadata": finished.quality}),
            processing_metadata=_processing(job, draft),
            stations=_stations(job, finished),
        )


class _LogWentOn(Exception):
    """The next number of the log is taken."""


async def _inserted(within: Scope, entry: Mapping[str, Any]) -> bool:
    try:
        return await within.insert_one("reply_entries", dict(entry), comment="reply_entries.end")
    except errors.AlreadyExists:
        return False


def _relations(order: ReplyOrder) -> dict[str, str]:
    parent = order.parent_message_id
    if parent is None:
        return {}
    if order.kind is ReplyKind.CONTINUATION:
        return {"parent_message_id": parent, "continues_message_id": parent}
    return {"parent_message_id": parent, "reply_to_message_id": parent}


def _llm_metadata(finished: FinishedReply) -> dict[str, Any]:
    draft, sampling = finished.draft, finished.sampling
    values: dict[str, Any] = {
        "provider": draft.provider,
        "model": draft.model,
        "temperature": sampling.temperature,
        "max_tokens": sampling.max_tokens,
        "top_p": sampling.top_p,
        "frequency_penalty": sampling.frequency_penalty,
        "presence_penalty": sampling.presence_penalty,
        "stop_sequences": list(sampling.stop_sequences) or None,
        "request_id": draft.request_id,
        "finish_reason": finished.finish_reason,
    }
    return {name: value for name, value in values.items() if value not in (None, "")}


def _processing(job: RunningJob, draft: Draft) -> dict[str, Any]:
    values: dict[str, Any] = {
        "queue_time_ms": max(0, _milliseconds((job.started_at - job.created_at).total_seconds())),
        "llm_processing_time_ms": _milliseconds(draft.seconds),
        "retry_count": job.attempt - 1,
        "error_count": draft.attempt - 1,
        "worker_id": job.worker_id,
        "processing_node": job.processing_node,
    }
    if draft.first_token_seconds is not None:
        values["time_to_first_token_ms"] = _milliseconds(draft.first_token_seconds)
    return values


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _stations(job: RunningJob, finished: FinishedReply) -> dict[str, datetime]:
    return {
        "queued_at": job.created_at,
        "processing_started_at": job.started_at,
        "llm_response_at": finished.answered_at,
        **({} if job.completed_at is None else {"completed_at": job.completed_at}),
    }


def _stopped(finished: FinishedReply, log: ReplyLog) -> FinishedReply:
    """Return a reply that a client has stopped: exactly what followers have seen of it."""
    draft = said_so_far(log, finished.draft)
    return FinishedReply(draft, CANCELLED, finished.prompt, finished.sampling, finished.answered_at)


def said_so_far(log: ReplyLog, draft: Draft) -> Draft:
    """Return what the log says, as a draft.

    Args:
        log: The log.
        draft: Whose provider, model, times and usage it has.
    """
    said = Draft(draft.provider, draft.model, draft.attempt)
    said.request_id = draft.request_id
    said.text = log.said[EntryKind.TEXT]
    said.reasoning = log.said[EntryKind.REASONING]
    said.refusal = log.said[EntryKind.REFUSAL]
    said.signature, said.encrypted = draft.signature, draft.encrypted
    said.first_token_seconds, said.seconds = draft.first_token_seconds, draft.seconds
    said.usage = draft.usage
    return said
