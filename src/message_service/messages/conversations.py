"""Conversations: create, list, get, change."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from message_service import errors
from message_service.arguments import (
    check_finite,
    check_flag,
    check_mapping,
    check_revision,
    check_text_argument,
)
from message_service.catalogue.queries.conversation_summaries import SUMMARY_VERSIONS
from message_service.catalogue.queries.conversations import (
    CONVERSATION_AT_REVISION,
    CONVERSATION_BY_ID,
    CONVERSATIONS_BY_CHARACTER,
    CONVERSATIONS_BY_USER,
    CONVERSATIONS_RECENT,
)
from message_service.catalogue.queries.messages import CONVERSATION_LAST
from message_service.clock import check_datetime, epoch_milliseconds, from_epoch_milliseconds
from message_service.database.free_form import check_free_form
from message_service.database.scope import Scope
from message_service.database.transaction import Transaction
from message_service.documents.conversation import (
    MAIN_BRANCH,
    Conversation,
    ConversationState,
    PromptSettings,
)
from message_service.documents.conversation_summary import ConversationSummary
from message_service.documents.fields import MAX_TEXT_CODE_POINTS
from message_service.documents.validation import checked
from message_service.enrichment import text_statistics
from message_service.ids import IdKind, check_branch, check_id
from message_service.messages.branch_summaries import NewSummary, put_summary
from message_service.messages.incoming import Prepared
from message_service.messages.numbering import tombstone
from message_service.messages.runtime import Runtime
from message_service.paging.page import Page, check_limit

_ATTEMPTS = 10
_NOT_GIVEN: Any = object()


class Conversations:
    """One tenant's conversations.

    Args:
        runtime: What the process shares.
        scope: The tenant's scope.
    """

    def __init__(self, runtime: Runtime, scope: Scope) -> None:
        self._scope = scope
        self._known = runtime.known
        self._appender = runtime.appender
        self._summaries = runtime.summaries
        self._signer = runtime.signer
        self._clock = runtime.clock
        self._ids = runtime.ids

    async def create(
        self,
        user_id: str,
        *,
        conversation_id: str | None = None,
        character_id: str | None = None,
        title: str | None = None,
        custom_metadata: Mapping[str, Any] | None = None,
        created_at: datetime | None = None,
        exist_ok: bool = False,
    ) -> Conversation:
        """Create a conversation.

        Args:
            user_id: Its owner.
            conversation_id: Its id; generated when not given.
            character_id: The character of the conversation.
            title: Up to 500 characters.
            custom_metadata: The application's own fields, up to 16 kB.
            created_at: When it began, if not now.
            exist_ok: Return the stored one when the id is taken by a conversation of this user.

        Raises:
            AlreadyExists: The id is taken.
            InvalidInput: A value is wrong.
        """
        check_flag("exist_ok", exist_ok)
        if created_at is not None:
            created_at = check_datetime("created_at", created_at)
        _check_custom(custom_metadata)
        now = self._clock.now()
        conversation = checked(
            Conversation,
            {
                "tenant_id": self._scope.tenant_id,
                "conversation_id": (
                    self._ids.new(IdKind.CONVERSATION)
                    if conversation_id is None
                    else conversation_id
                ),
                "user_id": user_id,
                "character_id": character_id,
                "title": title,
                "custom_metadata": None if custom_metadata is None else dict(custom_metadata),
                "created_at": created_at or now,
                "updated_at": now,
                "last_activity_at": created_at or now,
            },
        )
        inserted = await self._scope.insert_one(
            "conversations", conversation.to_bson(), comment="conversations.create"
        )
        if inserted:
            return conversation
        if exist_ok:
            stored = await self.get(conversation.conversation_id)
            if stored.user_id == user_id:
                return stored
        raise errors.AlreadyExists(
            f"conversation {conversation.conversation_id!r} exists already",
            conversation_id=conversation.conversation_id,
        )

    async def get(self, conversation_id: str) -> Conversation:
        """Return a conversation, with last number and last message read from the messages.

        Raises:
            NotFound: No such conversation in this tenant.
        """
        check_id(IdKind.CONVERSATION, "conversation_id", conversation_id)
        await self._summaries.settle(self._scope.tenant_id, conversation_id)
        row, last = await asyncio.gather(
            self._scope.find_one(CONVERSATION_BY_ID, conversation_id=conversation_id),
            self._scope.find_one(CONVERSATION_LAST, conversation_id=conversation_id),
        )
        if row is None:
            raise errors.NotFound("conversation", conversation_id)
        if last is not None and last["sequence_number"] > row["last_sequence_number"]:
            # The process that appended it is about to record it, or died before it could.
            state = await self._known.get(self._scope.tenant_id, conversation_id)
            self._summaries.note(state, last)
            await self._summaries.settle(self._scope.tenant_id, conversation_id)
            row = await self._scope.find_one(CONVERSATION_BY_ID, conversation_id=conversation_id)
            if row is None:
                raise errors.NotFound("conversation", conversation_id)
        return Conversation.model_validate(row)

    async def list(
        self,
        *,
        user_id: str | None = None,
        character_id: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Conversation]:
        """Return conversations, latest activity first.

        Args:
            user_id: Only this user's.
            character_id: Only this character's; not together with `user_id`.
            limit: Most conversations, 1 to 1,000.
            cursor: From an earlier page of the same listing.

        Raises:
            InvalidCursor: The cursor was altered or is another listing's.
            InvalidInput: Another argument is wrong.
        """
        check_limit(limit)
        query, subject = CONVERSATIONS_RECENT, dict[str, Any]()
        if user_id is not None and character_id is not None:
            raise errors.InvalidInput(
                "character_id", "cannot be combined with user_id", "Give one of the two"
            )
        if user_id is not None:
            subject["user_id"] = check_id(IdKind.USER, "user_id", user_id)
            query = CONVERSATIONS_BY_USER
        if character_id is not None:
            subject["character_id"] = check_id(IdKind.CHARACTER, "character_id", character_id)
            query = CONVERSATIONS_BY_CHARACTER
        listing = self._signer.of("conversations", self._scope.tenant_id, user_id, character_id)
        before: tuple[datetime, str] | None = None
        if cursor is not None:
            milliseconds, tie = listing.position(cursor)
            before = (from_epoch_milliseconds(milliseconds), tie)
        await self._summaries.flush()
        rows = await self._scope.find(query, limit=limit + 1, before=before, **subject)
        items = [Conversation.model_validate(row) for row in rows[:limit]]
        following: str | None = None
        if len(rows) > limit:
            last = items[-1]
            following = listing.at(epoch_milliseconds(last.last_activity_at), last.conversation_id)
        return Page(items, next=following)

    async def patch(
        self,
        conversation_id: str,
        *,
        title: str | None = _NOT_GIVEN,
        character_id: str | None = _NOT_GIVEN,
        prompt: PromptSettings | Mapping[str, Any] | None = _NOT_GIVEN,
        custom_metadata: Mapping[str, Any] | None = _NOT_GIVEN,
        state: ConversationState | str = _NOT_GIVEN,
        active_branch: str = _NOT_GIVEN,
        expected_revision: int | None = None,
    ) -> Conversation:
        """Change a conversation; fields that are not given stay as they are.

        Switching the active branch or the state takes a sequence number (a tombstone that says
        so), so that other processes notice the change before their next append.

        Args:
            conversation_id: The conversation.
            title: New title; None removes it.
            character_id: New character; None removes it.
            prompt: What a model is told here (`PromptSettings`); replaces all of it, None removes
                it.
            custom_metadata: Replaces all custom fields; None removes them.
            state: "active" or "archived" (takes no messages).
            active_branch: The branch to show and append to.
            expected_revision: The revision the caller read; None changes any revision.

        Raises:
            NotFound: No such conversation or branch in this tenant.
            VersionConflict: It was changed since `expected_revision`.
            InvalidInput: A value is wrong.
        """
        given: dict[str, Any] = {
            name: value
            for name, value in (
                ("title", title),
                ("character_id", character_id),
                ("prompt", prompt),
                ("custom_metadata", custom_metadata),
                ("state", state),
                ("active_branch", active_branch),
            )
            if value is not _NOT_GIVEN
        }
        check_revision(expected_revision)
        _check_custom(given.get("custom_metadata"))
        if "active_branch" in given:
            await self._check_branch(conversation_id, given["active_branch"])
        for _ in range(_ATTEMPTS):
            stored = await self.get(conversation_id)
            if expected_revision is not None and stored.revision != expected_revision:
                raise errors.VersionConflict(
                    f"conversation {conversation_id!r} is at revision {stored.revision}, "
                    f"not {expected_revision}; read it again",
                    revision=stored.revision,
                )
            changed = await self._write(stored, given)
            if changed is not None:
                await self._announce(stored, changed)
                return changed
        raise errors.VersionConflict(
            f"conversation {conversation_id!r} is being changed by others all the time; try again"
        )

    async def set_summary(
        self,
        conversation_id: str,
        text: str,
        *,
        up_to_sequence: int,
        branch: str = MAIN_BRANCH,
        token_count: int | None = None,
    ) -> Conversation:
        """Store a summary of a branch's messages up to a number, for prompt windows.

        Args:
            conversation_id: The conversation.
            text: The summary.
            up_to_sequence: The last message it covers.
            branch: The branch it summarises.
            token_count: Tokens of the summary, if known.

        Raises:
            NotFound: No such conversation or branch in this tenant.
            InvalidInput: A value is wrong.
        """
        check_text_argument("text", text, most=MAX_TEXT_CODE_POINTS)
        await self._check_branch(conversation_id, branch)
        tokens = text_statistics.measure(text).token_count if token_count is None else token_count
        new = NewSummary(branch, text, up_to_sequence, tokens)
        await self._summaries.settle(self._scope.tenant_id, conversation_id)

        async def put(transaction: Transaction) -> Conversation:
            within = self._scope.within(transaction)
            return await put_summary(within, self._clock, conversation_id, new)

        return await self._scope.transaction(put)

    async def summary_versions(
        self, conversation_id: str, *, branch: str = MAIN_BRANCH
    ) -> Sequence[ConversationSummary]:
        """Return every version of a branch's summary, oldest first.

        Args:
            conversation_id: The conversation.
            branch: The branch.

        Raises:
            NotFound: No such conversation or branch in this tenant.
        """
        await self._check_branch(conversation_id, branch)
        rows = await self._scope.find(
            SUMMARY_VERSIONS, conversation_id=conversation_id, branch=branch
        )
        return [ConversationSummary.model_validate(row) for row in rows]

    async def _check_branch(self, conversation_id: str, branch: str) -> None:
        check_id(IdKind.CONVERSATION, "conversation_id", conversation_id)
        check_branch("branch", branch)
        state = await self._known.get(self._scope.tenant_id, conversation_id, branch=branch)
        state.segments(branch)

    async def _write(self, stored: Conversation, given: Mapping[str, Any]) -> Conversation | None:
        """Write the given fields if the conversation still is as `stored`; else return None."""
        # The whole document is validated; only the changed fields are written.
        wanted = checked(
            Conversation, {**stored.model_dump(exclude={"id", "revision_id"}), **given}
        ).to_bson()
        changes: dict[str, Any] = {
            name: wanted[name] for name in given if wanted.get(name) is not None
        }
        changes["updated_at"] = self._clock.now()
        update: dict[str, Any] = {"$set": changes, "$inc": {"revision": 1}}
        removed = {name: "" for name in given if wanted.get(name) is None}
        if removed:
            update["$unset"] = removed
        row = await self._scope.find_and_update(
            CONVERSATION_AT_REVISION,
            update,
            conversation_id=stored.conversation_id,
            revision=stored.revision,
        )
        if row is None:
            return None
        row.pop("_id")
        return Conversation.model_validate(row)

    async def _announce(self, before: Conversation, after: Conversation) -> None:
        """Take a sequence number for a change that appenders must notice."""
        said: list[str] = []
        if before.active_branch != after.active_branch:
            said.append(f"active branch set to {after.active_branch}")
        if before.state != after.state:
            said.append(f"state set to {after.state}")
        if not said:
            return
        state = await self._known.get(self._scope.tenant_id, after.conversation_id)
        await self._known.refresh(state)
        document = tombstone(
            tenant_id=self._scope.tenant_id,
            conversation_id=after.conversation_id,
            user_id=after.user_id,
            message_id=self._ids.new(IdKind.MESSAGE),
            branch=after.active_branch,
            reason="; ".join(said)[:256],
            clock=self._clock,
        )
        marker = Prepared(document, None, after.active_branch, ())
        [outcome] = await self._appender.append(state, [marker])
        if isinstance(outcome, errors.MessageServiceError):
            raise outcome


def _check_custom(custom_metadata: Mapping[str, Any] | None) -> None:
    if custom_metadata is not None:
        check_finite("custom_metadata", check_mapping("custom_metadata", custom_metadata))
        check_free_form("custom_metadata", custom_metadata)
