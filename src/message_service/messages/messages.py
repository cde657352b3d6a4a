"""One tenant's messages: the calls callers make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from message_service import errors
from message_service.arguments import (
    check_flag,
    check_instance,
    check_sequence,
    check_text_argument,
    check_whole_number,
)
from message_service.catalogue.queries.messages import (
    DAILY_STATS,
    DUPLICATES,
    MESSAGES_BY_CLIENT_IDS,
    MESSAGES_BY_IDS,
    USER_TOKENS,
)
from message_service.clock import Clock, check_datetime
from message_service.database.scope import Scope
from message_service.database.transaction import Transaction
from message_service.documents.message import Role
from message_service.ids import IdFactory, IdKind, check_id
from message_service.messages.appender import Appender
from message_service.messages.branches import Branches
from message_service.messages.changes import MessageChanges
from message_service.messages.context import ContextReader
from message_service.messages.conversation_state import (
    FULL_SPAN,
    ConversationState,
    ConversationStates,
)
from message_service.messages.history import HistoryReader
from message_service.messages.incoming import Prepared, prepare
from message_service.messages.new_message import NewMessage, check_new_message
from message_service.messages.numbering import Numbering
from message_service.messages.outcomes import Appended, Outcome, duplicate_or_conflict
from message_service.messages.rows import Row
from message_service.paging.cursors import CursorSigner


class Messages:
    """Append, read and change messages.

    Attributes:
        history: Pages of a conversation; see `HistoryReader.page`.
        around: The messages around one; see `HistoryReader.around`.
        by_user: A user's messages, newest first; see `HistoryReader.by_user`.
        get: One whole message; see `HistoryReader.get`.
        context: The prompt window of a branch; see `ContextReader.window`.
        edit: Replace a text, keeping the old one; see `MessageChanges.edit`.
        versions: What a message said before; see `MessageChanges.versions`.
        delete: Hide a message; see `MessageChanges.delete`.
        undelete: Show it again; see `MessageChanges.undelete`.
        feedback: Record what the reader thought; see `MessageChanges.feedback`.
        pin: Pin or unpin a message; see `MessageChanges.pin`.
        branch: Start a branch after a message; see `Branches.create`.
        branches: A conversation's branches; see `Branches.list`.
        check: Prove that a conversation is complete; see `Numbering.check`.
        close_holes: Close holes with tombstones; see `Numbering.close_holes`.
    """

    def __init__(
        self,
        scope: Scope,
        states: ConversationStates,
        appender: Appender,
        signer: CursorSigner,
        clock: Clock,
        new_id: IdFactory,
        *,
        staleness: float,
    ) -> None:
        self._scope = scope
        self._states = states
        self._appender = appender
        self._clock = clock
        self._ids = new_id
        history = HistoryReader(scope, states, signer, staleness)
        self.history = history.page
        self.around = history.around
        self.by_user = history.by_user
        self.get = history.get
        self.context = ContextReader(scope, states).window
        changes = MessageChanges(scope, clock)
        self.edit = changes.edit
        self.versions = changes.versions
        self.delete = changes.delete
        self.undelete = changes.undelete
        self.feedback = changes.feedback
        self.pin = changes.pin
        branches = Branches(scope, states, clock, new_id)
        self.branch = branches.create
        self.branches = branches.list
        numbering = Numbering(scope, clock, new_id)
        self.check = numbering.check
        self.close_holes = numbering.close_holes

    async def append(
        self,
        conversation_id: str,
        role: Role | str,
        text: str,
        *,
        within: Transaction | None = None,
        **fields: Any,
    ) -> Appended:
        """Append one message, durably, with the next number of its conversation.

        Args:
            conversation_id: An existing conversation.
            role: user, assistant, system or tool.
            text: 1 to 50,000 characters.
            within: The transaction it takes part in (`MessageService.transaction`).
            **fields: Any other field of `NewMessage`, for example `client_msg_id`, `branch`,
                `parent_message_id`, `llm_metadata`, `token_usage`, `custom_metadata`.

        Returns:
            What was stored; for a repeated `client_msg_id` with the same content, what was stored
            the first time, marked as duplicate.

        Raises:
            InvalidInput: A field is unknown or wrong (`TextTooLong`, `InvalidId`).
            NotFound: No such conversation, branch or parent message in this tenant.
            IdempotencyConflict: The `client_msg_id` was used with other content.
            AlreadyExists: The `message_id` is taken.
            ConversationClosed: The conversation is archived.
            Unavailable: No answer before the write deadline (`OutcomeUnknown`: it may be stored).
        """
        message = check_new_message({**fields, "role": role, "text": text})
        [outcome] = await self._append(conversation_id, [message], within=within)
        if isinstance(outcome, errors.MessageServiceError):
            raise outcome
        return outcome

    async def append_many(
        self,
        conversation_id: str,
        messages: Sequence[Mapping[str, Any] | NewMessage],
        *,
        backlog: bool = False,
        expected_tail: int | None = None,
        within: Transaction | None = None,
    ) -> list[Outcome]:
        """Append messages of one conversation in order.

        All are checked before any is written. Then each has its own result, in order: an
        `Appended`, or the error it met (an idempotency conflict, say), which does not stop the
        others.

        Args:
            conversation_id: An existing conversation.
            messages: `NewMessage` fields, each with `role` and `text`. A message may name an
                earlier one of the list as its parent.
            backlog: Index them only when nothing a caller is waiting for is due (imports).
            expected_tail: The conversation's highest number as the caller read it. The messages
                come right behind it and one another; from where somebody else has written
                meanwhile they are not stored, and are `VersionConflict`; so are all when the
                conversation does not (or not surely) reach that number.
            within: The transaction they take part in (`MessageService.transaction`). Then none
                has an error of its own: the first one is raised, and ends the transaction.

        Raises:
            InvalidInput: A message is wrong; the field begins with its place (`messages.3.text`).
                Or `expected_tail` is above the highest number. Nothing was written.
            NotFound: As for `append`. Nothing was written.
        """
        check_flag("backlog", backlog)
        if expected_tail is not None:
            check_whole_number("expected_tail", expected_tail, 0, FULL_SPAN)
        checked: list[NewMessage] = []
        for place, values in enumerate(check_sequence("messages", messages)):
            try:
                checked.append(check_new_message(values))
            except errors.InvalidInput as error:
                raise _placed(error, place) from None
        return await self._append(
            conversation_id,
            checked,
            backlog=backlog,
            expected_tail=expected_tail,
            within=within,
        )

    async def with_same_text(self, conversation_id: str, content_hash: str) -> list[Row]:
        """Return the messages of a conversation with this content hash (duplicate detection).

        A report: two messages may rightly say the same. Idempotency is `client_msg_id`.
        """
        check_id(IdKind.CONVERSATION, "conversation_id", conversation_id)
        check_text_argument("content_hash", content_hash, most=128, what="'sha256:...' digest")
        return await self._scope.find(
            DUPLICATES, conversation_id=conversation_id, content_hash=content_hash
        )

    async def tokens_by_user(self, user_id: str, *, since: datetime, until: datetime) -> list[Row]:
        """Return a user's tokens and cost by provider and model over a period (end excluded).

        The source design's aggregation; reads the messages of the period.

        Raises:
            InvalidInput: An argument is wrong, or the dates are reversed.
        """
        check_id(IdKind.USER, "user_id", user_id)
        start, end = _period(since, until)
        return await self._scope.aggregate(USER_TOKENS, user_id=user_id, since=start, until=end)

    async def daily_stats(self, *, since: datetime, until: datetime) -> list[Row]:
        """Return messages, tokens, cost, users and conversations by UTC day, latest first.

        As the view `daily_message_stats`, for this tenant and any period (end excluded).

        Raises:
            InvalidInput: The dates are naive or reversed.
        """
        start, end = _period(since, until)
        return await self._scope.aggregate(DAILY_STATS, since=start, until=end)

    async def _append(
        self,
        conversation_id: str,
        messages: Sequence[NewMessage],
        *,
        backlog: bool = False,
        expected_tail: int | None = None,
        within: Transaction | None = None,
    ) -> list[Outcome]:
        check_id(IdKind.CONVERSATION, "conversation_id", conversation_id)
        if not messages:
            return []
        if within is None:
            scope = self._scope
            state = await self._states.get(scope.tenant_id, conversation_id)
        else:
            check_instance("within", within, Transaction)
            scope = self._scope.within(within)
            state = await self._states.inside(scope, conversation_id)
        if within is None and expected_tail is not None and expected_tail > state.tail:
            await self._states.refresh(state)
            if expected_tail > state.tail:
                # What came behind it would leave a hole. It may just have been read before a
                # majority had it: then it can still be taken back.
                ahead = errors.VersionConflict(
                    f"conversation {conversation_id!r} is known up to number {state.tail} only, "
                    f"not {expected_tail}; read it again",
                    sequence_number=state.tail,
                )
                return [ahead for _ in messages]
        now = self._clock.now()
        prepared: list[Prepared] = []
        for place, message in enumerate(messages):
            try:
                prepared.append(
                    prepare(
                        message,
                        tenant_id=self._scope.tenant_id,
                        conversation_id=conversation_id,
                        owner=state.user_id,
                        character_id=state.character_id,
                        message_id=self._ids.new(IdKind.MESSAGE),
                        now=now,
                        backlog=backlog,
                    )
                )
            except errors.InvalidInput as error:
                raise (error if len(messages) == 1 else _placed(error, place)) from None
        await self._check_branches(state, prepared)
        await _check_references(scope, conversation_id, prepared)
        if within is not None:
            return [
                *await self._appender.append_within(
                    within, scope, state, prepared, after=expected_tail
                )
            ]
        if len(prepared) == 1:
            return await self._appender.append(state, prepared, after=expected_tail)
        return await self._append_new(state, prepared, expected_tail)

    async def _append_new(
        self, state: ConversationState, prepared: Sequence[Prepared], after: int | None
    ) -> list[Outcome]:
        """Append a list, sorting out beforehand what is stored already.

        The unique index would find the duplicates too, but one round trip each.
        """
        keys = [item.client_msg_id for item in prepared if item.client_msg_id is not None]
        stored: dict[str, Row] = {}
        if keys and state.tail > 0:
            rows = await self._scope.find(
                MESSAGES_BY_CLIENT_IDS,
                conversation_id=state.conversation_id,
                client_msg_ids=keys,
            )
            stored = {row["client_metadata"]["client_msg_id"]: row for row in rows}
        fresh = [item for item in prepared if item.client_msg_id not in stored]
        written = iter(await self._appender.append(state, fresh, after=after) if fresh else [])
        return [
            duplicate_or_conflict(item, stored[item.client_msg_id])
            if item.client_msg_id is not None and item.client_msg_id in stored
            else next(written)
            for item in prepared
        ]

    async def _check_branches(self, state: ConversationState, prepared: Sequence[Prepared]) -> None:
        """Refuse a branch that does not exist."""
        for branch in {item.branch for item in prepared if item.branch is not None}:
            await self._states.know_branch(state, branch)
            state.segments(branch)


async def _check_references(
    scope: Scope, conversation_id: str, prepared: Sequence[Prepared]
) -> None:
    """Refuse a parent that does not exist: links never dangle."""
    coming: set[str] = set()
    wanted: dict[str, None] = {}
    for item in prepared:
        wanted.update((ref, None) for ref in item.references if ref not in coming)
        coming.add(item.document["message_id"])
    if not wanted:
        return
    rows = await scope.find(
        MESSAGES_BY_IDS, conversation_id=conversation_id, message_ids=list(wanted)
    )
    found = {row["message_id"] for row in rows}
    for reference in wanted:
        if reference not in found:
            raise errors.NotFound("message", reference)


def _placed(error: errors.InvalidInput, place: int) -> errors.InvalidInput:
    """Name the message of a list that an error is about."""
    return type(error)(f"messages.{place}.{error.field}", error.problem, error.fix)


def _period(since: datetime, until: datetime) -> tuple[datetime, datetime]:
    start, end = check_datetime("since", since), check_datetime("until", until)
    if end < start:
        raise errors.InvalidInput("until", "lies before since", "Swap the two dates")
    return start, end
