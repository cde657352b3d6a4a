"""One tenant's messages: the calls callers make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from message_service import errors
from message_service.catalogue import queries
from message_service.clock import Clock, check_datetime
from message_service.database.store import Scope
from message_service.documents.message import MessageStatus, MessageVersion, Role
from message_service.ids import IdFactory, IdKind, check_id
from message_service.messages.appender import (
    Appended,
    Appender,
    Outcome,
    duplicate_or_conflict,
)
from message_service.messages.branches import Branches, BranchInfo
from message_service.messages.changes import MessageChanges
from message_service.messages.context import MAX_MESSAGES, ContextReader, ContextWindow
from message_service.messages.conversation_state import ConversationState, ConversationStates
from message_service.messages.cursors import CursorSigner
from message_service.messages.history import Direction, HistoryReader, check_limit
from message_service.messages.incoming import NewMessage, Prepared, check_new_message, prepare
from message_service.messages.numbering import Completeness, Numbering
from message_service.messages.rows import Page, Row, StoredMessage

MAX_SEARCH_CHARACTERS = 1_000


class Messages:
    """Append, read and change messages.

    Reading and changing are told in `HistoryReader`, `ContextReader`, `MessageChanges` and
    `Numbering`; this class is their common face.
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
        self._history = HistoryReader(scope, states, signer, staleness)
        self._context = ContextReader(scope, states)
        self._changes = MessageChanges(scope, clock)
        self._branches = Branches(scope, states, clock, new_id)
        self._numbering = Numbering(scope, clock, new_id)

    async def append(
        self, conversation_id: str, role: Role | str, text: str, **fields: Any
    ) -> Appended:
        """Append one message, durably, with the next number of its conversation.

        Args:
            conversation_id: An existing conversation.
            role: user, assistant, system or tool.
            text: 1 to 50,000 characters.
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
        [outcome] = await self._append(conversation_id, [message])
        if isinstance(outcome, errors.MessageServiceError):
            raise outcome
        return outcome

    async def append_many(
        self, conversation_id: str, messages: Sequence[Mapping[str, Any] | NewMessage]
    ) -> list[Outcome]:
        """Append messages of one conversation in order.

        All are checked before any is written. Then each has its own result, in order: an
        `Appended`, or the error it met (an idempotency conflict, say), which does not stop the
        others.

        Args:
            conversation_id: An existing conversation.
            messages: `NewMessage` fields, each with `role` and `text`. A message may name an
                earlier one of the list as its parent.

        Raises:
            InvalidInput: A message is wrong; the field begins with its place (`messages.3.text`).
                Nothing was written.
            NotFound: As for `append`. Nothing was written.
        """
        checked: list[NewMessage] = []
        for place, values in enumerate(messages):
            try:
                checked.append(check_new_message(values))
            except errors.InvalidInput as error:
                raise _placed(error, place) from None
        return await self._append(conversation_id, checked)

    async def history(
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
    ) -> Page:
        """Return one page of a conversation; see `HistoryReader.page`."""
        return await self._history.page(
            conversation_id,
            branch=branch,
            direction=direction,
            limit=limit,
            cursor=cursor,
            after=after,
            before=before,
            statuses=statuses,
            full=full,
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
    ) -> Page:
        """Return the messages around one; see `HistoryReader.around`."""
        return await self._history.around(
            conversation_id,
            message_id,
            before=before,
            after=after,
            branch=branch,
            statuses=statuses,
            full=full,
        )

    async def by_user(
        self,
        user_id: str,
        *,
        limit: int = 50,
        cursor: str | None = None,
        since: datetime | None = None,
    ) -> Page:
        """Return a user's messages, newest first; see `HistoryReader.by_user`."""
        return await self._history.by_user(user_id, limit=limit, cursor=cursor, since=since)

    async def get(self, conversation_id: str, message_id: str) -> StoredMessage:
        """Return one whole message, whatever its status; see `HistoryReader.get`."""
        return await self._history.get(conversation_id, message_id)

    async def context(
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
        """Return the prompt window of a branch; see `ContextReader.window`."""
        return await self._context.window(
            conversation_id,
            token_budget=token_budget,
            branch=branch,
            max_messages=max_messages,
            step=step,
            include_pinned=include_pinned,
            include_summary=include_summary,
        )

    async def edit(
        self,
        conversation_id: str,
        message_id: str,
        text: str,
        *,
        expected_revision: int | None = None,
        edited_by: str | None = None,
        language: str | None = None,
        token_count: int | None = None,
        tokenizer: str | None = None,
    ) -> StoredMessage:
        """Replace a message's text, keeping the old one; see `MessageChanges.edit`."""
        return await self._changes.edit(
            conversation_id,
            message_id,
            text,
            expected_revision=expected_revision,
            edited_by=edited_by,
            language=language,
            token_count=token_count,
            tokenizer=tokenizer,
        )

    async def versions(self, conversation_id: str, message_id: str) -> list[MessageVersion]:
        """Return what a message said before; see `MessageChanges.versions`."""
        return await self._changes.versions(conversation_id, message_id)

    async def delete(
        self, conversation_id: str, message_id: str, *, expected_revision: int | None = None
    ) -> StoredMessage:
        """Hide a message; see `MessageChanges.delete`."""
        return await self._changes.delete(
            conversation_id, message_id, expected_revision=expected_revision
        )

    async def undelete(
        self, conversation_id: str, message_id: str, *, expected_revision: int | None = None
    ) -> StoredMessage:
        """Show a deleted message again; see `MessageChanges.undelete`."""
        return await self._changes.undelete(
            conversation_id, message_id, expected_revision=expected_revision
        )

    async def feedback(
        self,
        conversation_id: str,
        message_id: str,
        rating: str | int,
        *,
        comment: str | None = None,
        tags: Sequence[str] | None = None,
        given_by: str | None = None,
    ) -> StoredMessage:
        """Record what the reader thought; see `MessageChanges.feedback`."""
        return await self._changes.feedback(
            conversation_id, message_id, rating, comment=comment, tags=tags, given_by=given_by
        )

    async def pin(
        self, conversation_id: str, message_id: str, *, pinned: bool = True
    ) -> StoredMessage:
        """Pin or unpin a message; see `MessageChanges.pin`."""
        return await self._changes.pin(conversation_id, message_id, pinned=pinned)

    async def branch(
        self,
        conversation_id: str,
        from_message_id: str | None,
        *,
        name: str | None = None,
        title: str | None = None,
    ) -> BranchInfo:
        """Start a branch after a message; see `Branches.create`."""
        return await self._branches.create(conversation_id, from_message_id, name=name, title=title)

    async def branches(self, conversation_id: str) -> list[BranchInfo]:
        """Return a conversation's branches; see `Branches.list`."""
        return await self._branches.list(conversation_id)

    async def check(self, conversation_id: str) -> Completeness:
        """Prove that a conversation is complete; see `Numbering.check`."""
        return await self._numbering.check(conversation_id)

    async def close_holes(self, conversation_id: str, *, reason: str) -> int:
        """Close holes with tombstones; see `Numbering.close_holes`."""
        return await self._numbering.close_holes(conversation_id, reason=reason)

    async def with_same_text(self, conversation_id: str, content_hash: str) -> list[Row]:
        """Return the messages of a conversation with this content hash (duplicate detection).

        A report: two messages may rightly say the same. Idempotency is `client_msg_id`.
        """
        check_id(IdKind.CONVERSATION, "conversation_id", conversation_id)
        if not isinstance(content_hash, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise errors.InvalidInput("content_hash", "is not a string", "Give 'sha256:...'")
        return await self._scope.find(
            queries.DUPLICATES, conversation_id=conversation_id, content_hash=content_hash
        )

    async def matching(
        self, user_id: str, words: str, *, since: datetime, limit: int = 10
    ) -> list[StoredMessage]:
        """Return a user's messages holding any of these words, best match first.

        The source design's text query, scoped. `raw["score"]` is the text score.

        Args:
            user_id: The user.
            words: Words, `"phrases"` and `-exclusions`, up to 1,000 characters.
            since: Only messages said at or after this moment.
            limit: Most messages, 1 to 1,000.

        Raises:
            InvalidInput: An argument is wrong.
        """
        check_id(IdKind.USER, "user_id", user_id)
        check_limit(limit)
        if not isinstance(words, str) or not words.strip() or len(words) > MAX_SEARCH_CHARACTERS:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise errors.InvalidInput(
                "words", "are empty or too many", f"Use 1 to {MAX_SEARCH_CHARACTERS} characters"
            )
        rows = await self._scope.find(
            queries.USER_TEXT_SEARCH,
            limit=limit,
            user_id=user_id,
            words=words,
            since=check_datetime("since", since),
        )
        return [StoredMessage(row) for row in rows]

    async def tokens_by_user(self, user_id: str, *, since: datetime, until: datetime) -> list[Row]:
        """Return a user's tokens and cost by provider and model over a period (end excluded).

        The source design's aggregation; reads the messages of the period.

        Raises:
            InvalidInput: An argument is wrong, or the dates are reversed.
        """
        check_id(IdKind.USER, "user_id", user_id)
        start, end = _period(since, until)
        return await self._scope.aggregate(
            queries.USER_TOKENS, user_id=user_id, since=start, until=end
        )

    async def daily_stats(self, *, since: datetime, until: datetime) -> list[Row]:
        """Return messages, tokens, cost, users and conversations by UTC day, latest first.

        As the view `daily_message_stats`, for this tenant and any period (end excluded).

        Raises:
            InvalidInput: The dates are naive or reversed.
        """
        start, end = _period(since, until)
        return await self._scope.aggregate(queries.DAILY_STATS, since=start, until=end)

    async def _append(self, conversation_id: str, messages: Sequence[NewMessage]) -> list[Outcome]:
        check_id(IdKind.CONVERSATION, "conversation_id", conversation_id)
        if not messages:
            return []
        state = await self._states.get(self._scope.tenant_id, conversation_id)
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
                    )
                )
            except errors.InvalidInput as error:
                raise (error if len(messages) == 1 else _placed(error, place)) from None
        await self._check_branches(state, prepared)
        await self._check_references(conversation_id, prepared)
        if len(prepared) == 1:
            return await self._appender.append(state, prepared)
        return await self._append_new(state, prepared)

    async def _append_new(
        self, state: ConversationState, prepared: Sequence[Prepared]
    ) -> list[Outcome]:
        """Append a list, sorting out beforehand what is stored already.

        The unique index would find the duplicates too, but one round trip each.
        """
        keys = [item.client_msg_id for item in prepared if item.client_msg_id is not None]
        stored: dict[str, Row] = {}
        if keys and state.tail > 0:
            rows = await self._scope.find(
                queries.MESSAGES_BY_CLIENT_IDS,
                conversation_id=state.conversation_id,
                client_msg_ids=keys,
            )
            stored = {row["client_metadata"]["client_msg_id"]: row for row in rows}
        fresh = [item for item in prepared if item.client_msg_id not in stored]
        written = iter(await self._appender.append(state, fresh) if fresh else [])
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

    async def _check_references(self, conversation_id: str, prepared: Sequence[Prepared]) -> None:
        """Refuse a parent that does not exist: links never dangle."""
        coming: set[str] = set()
        wanted: dict[str, None] = {}
        for item in prepared:
            wanted.update((ref, None) for ref in item.references if ref not in coming)
            coming.add(item.document["message_id"])
        if not wanted:
            return
        rows = await self._scope.find(
            queries.MESSAGES_BY_IDS, conversation_id=conversation_id, message_ids=list(wanted)
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
