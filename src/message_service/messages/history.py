"""Reading messages: pages of a conversation, messages around one, and a user's messages.

Pages are keyset pages on the sequence number, which orders a conversation without ties. So writers
between two pages can neither repeat nor hide a message, and a late page costs as much as the first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from message_service import errors
from message_service.arguments import check_flag, check_sequence
from message_service.catalogue.queries.messages import (
    BRANCH_BACKWARD,
    BRANCH_FORWARD,
    CONVERSATION_BACKWARD,
    CONVERSATION_FORWARD,
    USER_PAGE,
    Segment,
)
from message_service.clock import check_datetime, epoch_milliseconds, from_epoch_milliseconds
from message_service.database.encoding import object_id
from message_service.database.scope import Scope
from message_service.documents.message import MessageStatus
from message_service.documents.row import Row
from message_service.ids import IdKind, check_branch, check_id
from message_service.messages.known_conversations import FULL_SPAN, KnownConversation
from message_service.messages.read_message import read_message
from message_service.messages.rows import StoredMessage
from message_service.messages.runtime import Runtime
from message_service.paging.cursors import Cursors
from message_service.paging.page import Page, check_limit

ALL_BRANCHES = "*"
"""Stands for every branch of a conversation together."""

Direction = Literal["forward", "backward"]

_SEGMENTS_AT_ONCE = 32


class HistoryReader:
    """Reads one tenant's messages in order.

    Args:
        runtime: What the process shares.
        scope: The tenant's scope.
    """

    def __init__(self, runtime: Runtime, scope: Scope) -> None:
        self._scope = scope
        self._known = runtime.known
        self._signer = runtime.signer
        self._staleness = runtime.settings.conversation_staleness

    async def page(
        self,
        conversation_id: str,
        *,
        branch: str | None = None,
        direction: Direction = "forward",
        limit: int = 50,
        cursor: str | None = None,
        after: int | None = None,
        before: int | None = None,
        statuses: Sequence[MessageStatus | str] = (MessageStatus.ACTIVE,),
        full: bool = False,
    ) -> Page[StoredMessage]:
        """Return one page of a conversation.

        Args:
            conversation_id: The conversation.
            branch: A branch (with the messages it shares with its parents); None for the active
                branch, `"*"` for all branches together.
            direction: Oldest first or newest first.
            limit: Most messages, 1 to 1,000.
            cursor: From an earlier page of the same listing.
            after: Only numbers above this one.
            before: Only numbers below this one.
            statuses: Which messages to show.
            full: Whole documents instead of the fields a page shows.

        Raises:
            NotFound: No such conversation or branch in this tenant.
            InvalidCursor: The cursor was altered or is another listing's.
            InvalidInput: Another argument is wrong.
        """
        check_id(IdKind.CONVERSATION, "conversation_id", conversation_id)
        check_limit(limit)
        check_flag("full", full)
        if not isinstance(direction, str) or direction not in ("forward", "backward"):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise errors.InvalidInput(
                "direction", "is not a direction", "Use 'forward' or 'backward'"
            )
        shown = check_statuses(statuses)
        _check_branch(branch)
        state = await self._known.get(
            self._scope.tenant_id,
            conversation_id,
            branch=None if branch == ALL_BRANCHES else branch,
            max_age=self._staleness if branch is None else None,
        )
        chosen = branch or state.active_branch
        above = _bound("after", after, 0)
        below = _bound("before", before, FULL_SPAN)
        listing = self._listing(conversation_id, chosen, shown, direction)
        if cursor is not None:
            position: int = listing.position(cursor)[0]
            if direction == "forward":
                above = max(above, position)
            else:
                below = min(below, position)
        rows = await self._read(state, chosen, direction, above, below, shown, limit + 1, full)
        items = [StoredMessage(row) for row in rows[:limit]]
        unmoved = above if direction == "forward" else below
        resume = listing.at(items[-1].sequence_number if items else unmoved)
        opposite: Direction = "backward" if direction == "forward" else "forward"
        return Page(
            items,
            next=resume if len(rows) > limit else None,
            resume=resume,
            previous=self._listing(conversation_id, chosen, shown, opposite).at(
                items[0].sequence_number if items else unmoved
            ),
        )

    async def around(
        self,
        conversation_id: str,
        message_id: str,
        *,
        before: int = 25,
        after: int = 25,
        branch: str | None = None,
        statuses: Sequence[MessageStatus | str] = (MessageStatus.ACTIVE,),
        full: bool = False,
    ) -> Page[StoredMessage]:
        """Return the messages around one, oldest first; `next` and `previous` go on from there.

        Args:
            conversation_id: The conversation.
            message_id: The message in the middle (shown whatever its status).
            before: Most messages before it, up to 1,000.
            after: Most messages after it, up to 1,000.
            branch: The branch to show; None for the branch of the message.
            statuses: Which neighbours to show.
            full: Whole documents instead of the fields a page shows.

        Raises:
            NotFound: No such conversation or message in this tenant.
        """
        check_limit(before, "before", lowest=0)
        check_limit(after, "after", lowest=0)
        check_flag("full", full)
        shown = check_statuses(statuses)
        _check_branch(branch)
        middle = await self.get(conversation_id, message_id)
        chosen = branch or middle.branch
        state = await self._known.get(
            self._scope.tenant_id,
            conversation_id,
            branch=None if chosen == ALL_BRANCHES else chosen,
        )
        number = middle.sequence_number

        async def side(direction: Direction, count: int) -> list[Row]:
            above, below = (number, FULL_SPAN) if direction == "forward" else (0, number)
            return await self._read(state, chosen, direction, above, below, shown, count + 1, full)

        earlier, later = await asyncio.gather(side("backward", before), side("forward", after))
        shown_rows = [*reversed(earlier[:before]), middle.raw, *later[:after]]
        items = [StoredMessage(row) for row in shown_rows]
        forward = self._listing(conversation_id, chosen, shown, "forward")
        backward = self._listing(conversation_id, chosen, shown, "backward")
        resume = forward.at(items[-1].sequence_number)
        return Page(
            items,
            next=resume if len(later) > after else None,
            resume=resume,
            previous=backward.at(items[0].sequence_number),
        )

    async def get(self, conversation_id: str, message_id: str) -> StoredMessage:
        """Return one whole message, whatever its status.

        Raises:
            NotFound: No such message in this tenant's conversation.
        """
        return StoredMessage(await read_message(self._scope, conversation_id, message_id))

    async def by_user(
        self,
        user_id: str,
        *,
        limit: int = 50,
        cursor: str | None = None,
        since: datetime | None = None,
        include_hidden: bool = False,
    ) -> Page[StoredMessage]:
        """Return a user's messages over all conversations, newest first, deleted ones left out.

        Args:
            user_id: The user.
            limit: Most messages, 1 to 1,000.
            cursor: From an earlier page of the same listing.
            since: Only messages said at or after this moment.
            include_hidden: Also hidden messages.

        Raises:
            InvalidCursor: The cursor was altered or is another listing's.
            InvalidInput: Another argument is wrong.
        """
        check_id(IdKind.USER, "user_id", user_id)
        check_limit(limit)
        check_flag("include_hidden", include_hidden)
        oldest = None if since is None else check_datetime("since", since)
        listing = self._signer.of(
            "by_user",
            self._scope.tenant_id,
            user_id,
            None if oldest is None else oldest.isoformat(),
            *(["hidden"] if include_hidden else ()),
        )
        before: tuple[datetime, object] | None = None
        if cursor is not None:
            milliseconds, tie = listing.position(cursor)
            if milliseconds is not None:
                before = (from_epoch_milliseconds(milliseconds), object_id(tie))
        rows = await self._scope.find(
            USER_PAGE,
            limit=limit + 1,
            user_id=user_id,
            before=before,
            since=oldest,
            left_out=["deleted"] if include_hidden else ["deleted", "hidden"],
        )
        items = [StoredMessage(row) for row in rows[:limit]]
        if items:
            last = items[-1]
            resume = listing.at(epoch_milliseconds(last.created_at), str(last.raw["_id"]))
        else:
            resume = cursor or listing.at(None, None)
        return Page(items, next=resume if len(rows) > limit else None, resume=resume)

    async def _read(
        self,
        state: KnownConversation,
        branch: str,
        direction: Direction,
        above: int,
        below: int,
        statuses: Sequence[str],
        limit: int,
        full: bool,
    ) -> list[Row]:
        """Read up to `limit` messages numbered strictly between `above` and `below`."""
        if branch == ALL_BRANCHES:
            query = CONVERSATION_FORWARD if direction == "forward" else CONVERSATION_BACKWARD
            return await self._scope.find(
                query,
                limit=limit,
                whole=full,
                conversation_id=state.conversation_id,
                above=above,
                below=below,
                statuses=statuses,
            )
        query = BRANCH_FORWARD if direction == "forward" else BRANCH_BACKWARD
        segments = clip(state.segments(branch), above, below)
        if direction == "forward":
            segments.reverse()
        rows: list[Row] = []
        # A branch of very many stretches is read some stretches at a time.
        for start in range(0, len(segments), _SEGMENTS_AT_ONCE):
            rows += await self._scope.find(
                query,
                limit=limit - len(rows),
                whole=full,
                conversation_id=state.conversation_id,
                segments=segments[start : start + _SEGMENTS_AT_ONCE],
                statuses=statuses,
            )
            if len(rows) >= limit:
                break
        return rows

    def _listing(
        self, conversation_id: str, branch: str, statuses: Sequence[str], direction: Direction
    ) -> Cursors:
        return self._signer.of(
            "history", self._scope.tenant_id, conversation_id, branch, statuses, direction
        )


def clip(segments: Sequence[Segment], above: int, below: int) -> list[Segment]:
    """Return the parts of a branch's stretches strictly between two numbers."""
    clipped: list[Segment] = []
    for name, start, up_to in segments:
        low, high = max(start, above), min(up_to, below - 1)
        if high > low:
            clipped.append((name, low, high))
    return clipped


def check_statuses(statuses: Sequence[MessageStatus | str]) -> list[str]:
    """Return statuses as stored, each once, in order.

    Raises:
        InvalidInput: None is given, or one is not a status.
    """
    known = [status.value for status in MessageStatus]
    given = check_sequence("statuses", statuses)
    if not given or not all(isinstance(status, str) and status in known for status in given):
        raise errors.InvalidInput(
            "statuses", "are not message statuses", f"Use some of: {', '.join(known)}"
        )
    return sorted({str(status) for status in given})


def _check_branch(branch: str | None) -> None:
    if branch is not None and not (isinstance(branch, str) and branch == ALL_BRANCHES):  # pyright: ignore[reportUnnecessaryIsInstance]
        check_branch("branch", branch)


def _bound(field: str, given: int | None, default: int) -> int:
    if given is None:
        return default
    if isinstance(given, bool) or not isinstance(given, int) or given < 0:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise errors.InvalidInput(field, "is not a sequence number", "Use a whole number from 0 up")
    return min(given, FULL_SPAN)
