"""Follows a reply while it is said, from any place, to its end."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from message_service import errors
from message_service.catalogue.queries.jobs import JOB_BY_ID
from message_service.catalogue.queries.reply_entries import ENTRIES_AFTER
from message_service.database.feed import Feed
from message_service.database.scope import Scope
from message_service.documents.job import ENDED, JobStatus
from message_service.documents.row import Row

LOOK_AGAIN = 0.5
"""Seconds between looks at the log when the feed says nothing."""

EventKind = Literal["begin", "text", "reasoning", "refusal", "stop", "end", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class ReplyEvent:
    """One thing that happened to a reply.

    Attributes:
        offset: Its place in the reply; following goes on after it with `after=offset`.
        kind: `begin`: a worker begins; what was said before is void. `text`, `reasoning`,
            `refusal`: a piece. `stop`: a client has stopped the reply. The last one is `end` (the
            reply is stored), `failed` or `cancelled`.
        text: The piece.
        provider: With `begin`: the provider asked.
        model: With `begin`: the model asked.
        message_id: With `end`: the reply's message.
        finish_reason: With `end`: why the reply ended.
        reason: With `failed` and `cancelled`: the stable name of the reason.
        problem: With `failed` and `cancelled`: the reason in words.
    """

    offset: int
    kind: EventKind
    text: str = ""
    provider: str | None = None
    model: str | None = None
    message_id: str | None = None
    finish_reason: str | None = None
    reason: str | None = None
    problem: str | None = None

    @property
    def last(self) -> bool:
        """Whether nothing follows."""
        return self.kind in ("end", "failed", "cancelled")


def key_of(row: Row) -> tuple[str, str]:
    """Return whom an entry is for; the key of the feed."""
    return row["tenant_id"], row["reply_id"]


async def follow(
    scope: Scope, feed: Feed, reply_id: str, conversation_id: str, after: int
) -> AsyncGenerator[ReplyEvent, None]:
    """Yield the events of a reply after an offset, up to its last one.

    Args:
        scope: The tenant's scope.
        feed: Tells of new entries.
        reply_id: The reply.
        conversation_id: Its conversation.
        after: The offset; -1 for all.

    Raises:
        NotFound: The reply is gone.
        InvalidInput: What follows the offset is not kept any longer, and the reply goes on.
    """
    with feed.subscribed((scope.tenant_id, reply_id)) as subscription:
        await feed.ready()
        rows: Sequence[Row] = ()
        while True:
            if not rows or not _follows(rows, after):
                # Whether it has ended first: what is in the log then is all there will be.
                job = await _job(scope, reply_id)
                rows = await scope.find(
                    ENTRIES_AFTER,
                    committed=True,
                    conversation_id=conversation_id,
                    reply_id=reply_id,
                    after=after,
                )
                gone = bool(rows) and rows[0]["number"] > after + 1
                told = not gone and any(row["kind"] == "end" for row in rows)
                if job["status"] in ENDED and not told:
                    for event in (*_pieces(rows, after), _end_of(job, rows, after)):
                        yield event
                    return
                if gone:
                    raise errors.InvalidInput(
                        "after", "lies before what is kept", "Wait for the message instead"
                    )
            for row in rows:
                if row["number"] == after + 1:
                    after = row["number"]
                    event = _event(row)
                    yield event
                    if event.last:
                        return
            rows = await subscription.wait(LOOK_AGAIN)


def _follows(rows: Sequence[Row], after: int) -> bool:
    """Whether entries go on without a gap after an offset, as far as they are new."""
    for row in rows:
        if row["number"] == after + 1:
            after += 1
        elif row["number"] > after:
            return False
    return True


async def _job(scope: Scope, reply_id: str) -> Row:
    row = await scope.find_one(JOB_BY_ID, committed=True, job_id=reply_id)
    if row is None:
        raise errors.NotFound("reply", reply_id)
    return row


def _pieces(rows: Sequence[Row], after: int) -> Sequence[ReplyEvent]:
    """Return what a reply that has ended otherwise has said, as far as it is whole."""
    found: list[ReplyEvent] = []
    for row in rows:
        if row["number"] != after + 1 + len(found):
            return []  # its beginning is not kept any longer: its end says all
        found.append(_event(row))
    return found


def _event(row: Row) -> ReplyEvent:
    return ReplyEvent(
        offset=row["number"],
        kind=row["kind"],
        text=row.get("text") or "",
        provider=row.get("provider"),
        model=row.get("model"),
        message_id=row.get("message_id"),
        finish_reason=row.get("finish_reason"),
    )


def _end_of(job: Row, rows: Sequence[Row], after: int) -> ReplyEvent:
    """Return the last event of a reply whose log does not tell of it."""
    offset = max([after, *(row["number"] for row in rows)])
    execution: Mapping[str, Any] = job["execution"]
    if job["status"] == JobStatus.COMPLETED:
        result: Mapping[str, Any] = execution.get("result") or {}
        return ReplyEvent(
            offset,
            "end",
            message_id=result.get("message_id"),
            finish_reason=result.get("finish_reason"),
        )
    return ReplyEvent(
        offset,
        "cancelled" if job["status"] == JobStatus.CANCELLED else "failed",
        reason=execution.get("reason"),
        problem=execution.get("error_message"),
    )
