"""The prompt window: the newest messages of a branch that fit a token budget.

The token counts are read from the index alone, and then exactly the messages of the window, which
for a small one are read already (see `window_messages`). Other processes may write between the
reads; so messages newer than the counted ones are not taken, and the messages read are fitted to
the budget again. A tool call and its results stand in the window together or not at all (see
`tool_groups`). The beginning of the window is chosen so that it rarely moves while the conversation
grows (see `window_start`): the prompt's prefix stays the same bytes from turn to turn, and a
provider's prompt cache hits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count, takewhile

from message_service import errors
from message_service.arguments import check_flag, check_whole_number
from message_service.catalogue.queries.conversations import CONVERSATION_BY_ID
from message_service.catalogue.queries.prompt_window import MESSAGES_BY_CALL_IDS, PINNED
from message_service.database.scope import Scope
from message_service.documents.conversation import MAIN_BRANCH
from message_service.documents.message import MessageStatus
from message_service.documents.row import Row
from message_service.ids import IdKind, check_branch, check_id
from message_service.messages.known_conversations import KnownConversations
from message_service.messages.tool_groups import ToolGroups, first_whole, together, tool_groups
from message_service.messages.window_messages import Line, WindowMessages
from message_service.messages.window_start import Fitting
from message_service.messages.window_view import (
    MESSAGE_OVERHEAD,
    ContextWindow,
    cost_of,
    shown_window,
)

MAX_MESSAGES = 5_000
"""Most messages a window may hold."""

_OF_CALLS = 1_000
"""Most messages looked at for the ids of calls, which some providers repeat all the time."""

_ACTIVE = MessageStatus.ACTIVE.value
_HIDDEN = MessageStatus.HIDDEN.value


@dataclass(frozen=True, slots=True)
class OpenWindow:
    """What a window is made of, as first read.

    Attributes:
        conversation: The conversation.
        branch: The branch.
        pins: The conversation's pinned messages.
        messages: Reads the messages of the branch.
    """

    conversation: Row
    branch: str
    pins: Sequence[Row]
    messages: WindowMessages


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
        include_hidden: bool = False,
        include_reasoning: bool = False,
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
            include_pinned: Keep pinned messages of the branch that lie before the window, a call
                with its results.
            include_summary: Keep the branch's stored summary.
            include_hidden: Also hidden messages.
            include_reasoning: Keep the reasoning of messages, for providers that want it back.

        Raises:
            NotFound: No such conversation or branch in this tenant.
            ContextBudgetTooSmall: The newest message, with the tool call it answers, pins and
                summary, is over the budget.
            InvalidInput: An argument is out of range.
        """
        check_id(IdKind.CONVERSATION, "conversation_id", conversation_id)
        check_whole_number("token_budget", token_budget, 1, 2**31)
        check_whole_number("max_messages", max_messages, 1, MAX_MESSAGES)
        if step is not None:
            check_whole_number("step", step, 1, MAX_MESSAGES)
        check_flag("include_pinned", include_pinned)
        check_flag("include_summary", include_summary)
        check_flag("include_hidden", include_hidden)
        check_flag("include_reasoning", include_reasoning)
        if branch is not None:
            check_branch("branch", branch)
        opened = await self.open(
            conversation_id,
            branch,
            token_budget=token_budget,
            max_messages=max_messages,
            include_pinned=include_pinned,
            include_hidden=include_hidden,
        )
        return await self.fitted(
            opened,
            token_budget=token_budget,
            max_messages=max_messages,
            step=step,
            include_summary=include_summary,
            include_reasoning=include_reasoning,
        )

    async def open(
        self,
        conversation_id: str,
        branch: str | None,
        *,
        token_budget: int,
        max_messages: int,
        include_pinned: bool = True,
        include_hidden: bool = False,
    ) -> OpenWindow:
        """Return what a window is made of, for `fitted`.

        Args and errors are those of `window`. All is read at once, unless another branch than the
        main one turns out to be the active one.
        """
        statuses = [_ACTIVE, _HIDDEN] if include_hidden else [_ACTIVE]

        async def looked(branch: str) -> WindowMessages:
            segments = await self._known.line(self._scope, conversation_id, branch)
            line = Line(conversation_id, segments, statuses)
            messages = WindowMessages(self._scope, line, token_budget, max_messages)
            await messages.look()
            return messages

        likely = MAIN_BRANCH if branch is None else branch
        conversation, pins, messages = await asyncio.gather(
            self._scope.find_one(CONVERSATION_BY_ID, conversation_id=conversation_id),
            self._pins(conversation_id, wanted=include_pinned),
            looked(likely),
        )
        if conversation is None:
            raise errors.NotFound("conversation", conversation_id)
        chosen: str = conversation["active_branch"] if branch is None else branch
        if chosen != likely:
            messages = await looked(chosen)
        return OpenWindow(conversation, chosen, pins, messages)

    async def fitted(
        self,
        opened: OpenWindow,
        *,
        token_budget: int,
        max_messages: int,
        step: int | None = None,
        include_summary: bool = True,
        include_reasoning: bool = False,
    ) -> ContextWindow:
        """Return the prompt window of a branch that was just read.

        Args and errors are those of `window`; the budget may be smaller than that of `open`.
        """
        messages, line = opened.messages, opened.messages.line
        cost = partial(cost_of, include_reasoning=include_reasoning)
        summary = _summary(opened.conversation, opened.branch) if include_summary else None
        pinned = await self._with_answers(line, [row for row in opened.pins if line.holds(row)])
        limits = partial(
            Fitting,
            token_budget,
            max_messages,
            step=step,
            other=0 if summary is None else summary["token_count"] + MESSAGE_OVERHEAD,
        )
        counted = limits(pinned={number: cost(row) for number, row in pinned.items()})
        async for number, tokens in messages.counts():
            if not counted.take(number, tokens + MESSAGE_OVERHEAD):
                break
        _check_room(counted, token_budget)
        start = counted.start()
        rows = await messages.between(start, counted.newest) if start else []
        # A message edited or undeleted since it was counted may need more room now; its reasoning
        # was not counted.
        fresh = {row["sequence_number"]: cost(row) for row in rows}
        fitted = limits(
            pinned={number: max(cost(row), fresh.get(number, 0)) for number, row in pinned.items()}
        )
        if not all(fitted.take(number, fresh[number]) for number in reversed(fresh)):
            start = fitted.start()
        _check_room(fitted, token_budget)
        window = [row for row in rows if row["sequence_number"] >= start]
        before = [row for number, row in pinned.items() if number < start or not rows]
        full = counted.full or fitted.full
        groups = tool_groups(window)
        cut = await self._cut_off(line, before, window, groups) if full else set[int]()
        if full:
            cut |= set(takewhile(groups.without_beginning.__contains__, count()))
        separated = window[: first_whole(groups, cut)]
        if separated and len(separated) == len(window):
            raise _too_small(token_budget, "the newest message and the tool call it belongs to")
        return shown_window(
            before,
            window[len(separated) :],
            separated,
            summary,
            budget=token_budget,
            left_out=full,
            include_reasoning=include_reasoning,
        )

    async def _with_answers(self, line: Line, pins: Sequence[Row]) -> dict[int, Row]:
        """Return pinned messages by number, with the messages their tool calls belong to."""
        chosen = {row["sequence_number"]: row for row in pins}
        known = dict(chosen)
        asked = set[str]()
        while ids := {*_call_ids(chosen.values())} - asked:
            asked |= ids
            known |= {row["sequence_number"]: row for row in await self._of_calls(line, ids)}
            rows = [known[number] for number in sorted(known)]
            places = {place for place, row in enumerate(rows) if row["sequence_number"] in chosen}
            chosen = {
                rows[place]["sequence_number"]: rows[place]
                for place in sorted(together(tool_groups(rows), places))
            }
        return chosen

    async def _of_calls(self, line: Line, ids: Collection[str]) -> list[Row]:
        """Return the messages of the line that make or answer these calls."""
        rows = await self._scope.find(
            MESSAGES_BY_CALL_IDS,
            limit=_OF_CALLS,
            conversation_id=line.conversation_id,
            call_ids=sorted(ids),
        )
        return [row for row in rows if line.holds(row)]

    async def _cut_off(
        self, line: Line, before: Sequence[Row], window: Sequence[Row], groups: ToolGroups
    ) -> set[int]:
        """Return the places of results whose calls lie before the window and are not shown."""
        ids = {call_id for several in groups.without_call.values() for call_id in several}
        if not ids:
            return set()
        known = {row["sequence_number"]: row for row in await self._of_calls(line, ids)}
        known |= {row["sequence_number"]: row for row in (*before, *window)}
        rows = [known[number] for number in sorted(known)]
        pinned = {row["sequence_number"] for row in before}
        place_of = {window[place]["sequence_number"]: place for place in groups.without_call}
        return {
            place_of[rows[result]["sequence_number"]]
            for call, result in tool_groups(rows).pairs
            if rows[result]["sequence_number"] in place_of
            and rows[call]["sequence_number"] < window[0]["sequence_number"]
            and rows[call]["sequence_number"] not in pinned
        }

    async def _pins(self, conversation_id: str, *, wanted: bool) -> list[Row]:
        if not wanted:
            return []
        return await self._scope.find(PINNED, conversation_id=conversation_id)


def _call_ids(rows: Iterable[Row]) -> Iterator[str]:
    for row in rows:
        yield from row["content"].get("call_ids") or ()


def _check_room(fitting: Fitting, budget: int) -> None:
    if fitting.too_small:
        beside = f" beside {fitting.reserved} of pinned messages and summary"
        raise _too_small(budget, "the newest message" + (beside if fitting.reserved else ""))


def _too_small(budget: int, what: str) -> errors.ContextBudgetTooSmall:
    """Return the error of a budget that does not hold what the window must hold."""
    return errors.ContextBudgetTooSmall(
        f"token_budget: {budget} tokens do not hold {what}. Raise it, or leave out pins and "
        "summary",
        field="token_budget",
    )


def _summary(conversation: Row, branch: str) -> Row | None:
    for summary in conversation.get("summaries", ()):
        if summary["branch"] == branch:
            return summary
    return None
