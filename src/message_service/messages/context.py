"""The prompt window: the newest messages of a branch that fit a token budget.

Two reads: first the token counts, newest first, from the index alone (no document is read), then
exactly the messages of the window. Other processes may write between the two reads; so messages
newer than the counted ones are not read, and the messages read are fitted to the budget again. The
beginning of the window is chosen so that it rarely moves while the conversation grows (see
`window_start`): the prompt's prefix stays the same bytes from turn to turn, and a provider's prompt
cache hits.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial

from message_service import errors
from message_service.arguments import check_flag, check_whole_number
from message_service.catalogue.queries.conversations import CONVERSATION_BY_ID
from message_service.catalogue.queries.messages import (
    PINNED,
    WINDOW_MESSAGES,
    WINDOW_TOKENS,
    Segment,
)
from message_service.database.scope import Scope
from message_service.documents.message import MessageStatus
from message_service.documents.row import Row
from message_service.enrichment.text_statistics import TOKENIZER
from message_service.ids import IdKind, check_branch, check_id
from message_service.messages import integrity
from message_service.messages.history import clip
from message_service.messages.known_conversations import FULL_SPAN, KnownConversations
from message_service.messages.rows import StoredMessage
from message_service.messages.window_start import Fitting

MESSAGE_OVERHEAD = 4
"""Tokens a chat template adds to each message (role and separators), as commonly counted."""

MAX_MESSAGES = 5_000
"""Most messages a window may hold."""

_SEGMENTS_AT_ONCE = 32
_LIKELY_TOKENS = 40
_ACTIVE = (MessageStatus.ACTIVE.value,)


@dataclass(frozen=True, slots=True)
class ContextWindow:
    """The messages to send to a model.

    Attributes:
        messages: Pinned messages that lie before the window, then the window, each in order.
        summary: Summary of the messages before the window, if one is stored and asked for.
        pinned: How many of `messages` are pinned messages from before the window.
        token_count: Tokens of messages and summary, overheads included.
        tokenizer: The counter the token counts come from; "mixed" when there are several.
        budget: The budget given.
        first_sequence: Number of the window's first message; 0 when it is empty.
        last_sequence: Number of its last.
        left_out: Whether the branch has older messages outside the window.
        digest: Digest of the exact contents, to tell one window from another.
    """

    messages: list[StoredMessage]
    summary: str | None
    pinned: int
    token_count: int
    tokenizer: str
    budget: int
    first_sequence: int
    last_sequence: int
    left_out: bool
    digest: str


class ContextReader:
    """Builds prompt windows for one tenant.

    Args:
        scope: The tenant's scope.
        known: The remembered conversations.
    """

    def __init__(self, scope: Scope, known: KnownConversations) -> None:
        self._scope = scope
        self._known = known

    async def window(
        self,
        conversation_id: str,
        *,
        token_budget: int,
        branch: str | None = None,
        max_messages: int = MAX_MESSAGES,
        step: int | None = None,
        include_pinned: bool = True,
        include_summary: bool = True,
    ) -> ContextWindow:
        """Return the prompt window of a branch.

        Args:
            conversation_id: The conversation.
            token_budget: Most tokens, overhead of 4 a message included.
            branch: The branch; None for the active one.
            max_messages: Most messages of the window, 1 to 5,000.
            step: The window begins right after a multiple of this number; larger steps keep the
                prefix longer and the window shorter. None gives up to an eighth of the messages
                that fit (in small windows up to eight, but no more than a third), 1 none.
            include_pinned: Keep pinned messages of the branch that lie before the window.
            include_summary: Keep the branch's stored summary.

        Raises:
            NotFound: No such conversation or branch in this tenant.
            ContextBudgetTooSmall: The newest message, with pins and summary, is over the budget.
            InvalidInput: An argument is out of range.
        """
        check_id(IdKind.CONVERSATION, "conversation_id", conversation_id)
        check_whole_number("token_budget", token_budget, 1, 2**31)
        check_whole_number("max_messages", max_messages, 1, MAX_MESSAGES)
        if step is not None:
            check_whole_number("step", step, 1, MAX_MESSAGES)
        check_flag("include_pinned", include_pinned)
        check_flag("include_summary", include_summary)
        if branch is not None:
            check_branch("branch", branch)
        state, conversation, pins = await asyncio.gather(
            self._known.get(self._scope.tenant_id, conversation_id, branch=branch),
            self._scope.find_one(CONVERSATION_BY_ID, conversation_id=conversation_id),
            self._pins(conversation_id, wanted=include_pinned),
        )
        if conversation is None:
            raise errors.NotFound("conversation", conversation_id)
        chosen = branch or conversation["active_branch"]
        await self._known.know_branch(state, chosen)
        segments = state.segments(chosen)
        summary = _summary(conversation, chosen) if include_summary else None
        pinned = {row["sequence_number"]: row for row in pins if _on_branch(row, segments)}
        limits = partial(
            Fitting,
            token_budget,
            max_messages,
            step=step,
            other=0 if summary is None else summary["token_count"] + MESSAGE_OVERHEAD,
        )
        counted = limits(pinned={number: _cost(row) for number, row in pinned.items()})
        async for number, tokens in self._counts(conversation_id, segments, token_budget):
            if not counted.take(number, tokens + MESSAGE_OVERHEAD):
                break
        _check_room(counted, token_budget)
        start = counted.start()
        read = clip(segments, start - 1, counted.newest + 1)
        rows = await self._rows(conversation_id, read) if start else []
        # A message edited or undeleted since it was counted may need more room now.
        fresh = {row["sequence_number"]: _cost(row) for row in rows}
        fitted = limits(
            pinned={number: max(_cost(row), fresh.get(number, 0)) for number, row in pinned.items()}
        )
        if not all(fitted.take(number, fresh[number]) for number in reversed(fresh)):
            start = fitted.start()
        _check_room(fitted, token_budget)
        return _window(
            [row for row in rows if row["sequence_number"] >= start],
            [row for number, row in pinned.items() if number < start or not rows],
            summary,
            token_budget,
            left_out=counted.full or fitted.full,
        )

    async def _pins(self, conversation_id: str, *, wanted: bool) -> list[Row]:
        if not wanted:
            return []
        return await self._scope.find(PINNED, conversation_id=conversation_id)

    async def _counts(
        self, conversation_id: str, segments: Sequence[Segment], budget: int
    ) -> AsyncIterator[tuple[int, int]]:
        """Yield numbers and token counts, newest first, in reads sized by the budget."""
        chunk = min(max(64, budget // _LIKELY_TOKENS), 2_000)
        below = FULL_SPAN
        while left := clip(segments, 0, below)[:_SEGMENTS_AT_ONCE]:
            rows = await self._scope.find(
                WINDOW_TOKENS,
                limit=chunk,
                conversation_id=conversation_id,
                segments=left,
                statuses=_ACTIVE,
            )
            for row in rows:
                yield row["sequence_number"], row["content"]["token_count"]
            # Fewer rows than the limit: these stretches were read to their beginning.
            below = rows[-1]["sequence_number"] if len(rows) == chunk else left[-1][1] + 1

    async def _rows(self, conversation_id: str, segments: Sequence[Segment]) -> list[Row]:
        rows: list[Row] = []
        ascending = list(reversed(segments))
        for start in range(0, len(ascending), _SEGMENTS_AT_ONCE):
            rows += await self._scope.find(
                WINDOW_MESSAGES,
                conversation_id=conversation_id,
                segments=ascending[start : start + _SEGMENTS_AT_ONCE],
                statuses=_ACTIVE,
            )
        return rows


def _check_room(fitting: Fitting, budget: int) -> None:
    if fitting.too_small:
        raise errors.ContextBudgetTooSmall(
            f"token_budget: {budget} tokens do not hold the newest message"
            + (
                f" beside {fitting.reserved} of pinned messages and summary"
                if fitting.reserved
                else ""
            )
            + ". Raise it, or leave out pins and summary",
            field="token_budget",
        )


def _on_branch(row: Row, segments: Sequence[Segment]) -> bool:
    branch = row["relationships"]["conversation_branch"]
    number = row["sequence_number"]
    return row["status"] in _ACTIVE and any(
        branch == name and above < number <= up_to for name, above, up_to in segments
    )


def _summary(conversation: Row, branch: str) -> Row | None:
    for summary in conversation.get("summaries", ()):
        if summary["branch"] == branch:
            return summary
    return None


def _cost(row: Row) -> int:
    return row["content"]["token_count"] + MESSAGE_OVERHEAD


def _window(
    rows: Sequence[Row],
    pinned: Sequence[Row],
    summary: Row | None,
    budget: int,
    *,
    left_out: bool,
) -> ContextWindow:
    shown = [*pinned, *rows]
    tokenizers = {row["content"].get("tokenizer", TOKENIZER) for row in shown} or {TOKENIZER}
    tokens = sum(_cost(row) for row in shown)
    if summary is not None:
        tokens += summary["token_count"] + MESSAGE_OVERHEAD
    return ContextWindow(
        messages=[StoredMessage(row) for row in shown],
        summary=None if summary is None else summary["text"],
        pinned=len(pinned),
        token_count=tokens,
        tokenizer=tokenizers.pop() if len(tokenizers) == 1 else "mixed",
        budget=budget,
        first_sequence=rows[0]["sequence_number"] if rows else 0,
        last_sequence=rows[-1]["sequence_number"] if rows else 0,
        left_out=left_out,
        digest=integrity.digest(
            None if summary is None else summary["text"],
            *(f"{row['message_id']}:{row['content']['content_hash']}" for row in shown),
        ),
    )
