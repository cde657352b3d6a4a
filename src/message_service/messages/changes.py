"""Changes to stored messages: edit, delete and undelete, hide and unhide, feedback, pin.

Each is a `GuardedChange`. An edit stores the old text first; if the process dies between the two
writes, the extra version is one of the present text and is not shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from message_service import errors
from message_service.arguments import (
    check_flag,
    check_sequence,
    check_text_argument,
)
from message_service.catalogue.queries.message_versions import VERSIONS
from message_service.clock import Clock
from message_service.database.scope import Scope
from message_service.documents.fields import MAX_NAME
from message_service.documents.message import MessageStatus, MessageVersion, UserFeedback
from message_service.documents.parts import Part
from message_service.documents.row import Row
from message_service.documents.validation import checked
from message_service.messages.content import given_paths, new_content
from message_service.messages.feedback import satisfaction
from message_service.messages.guarded_change import GuardedChange
from message_service.messages.last_message import LastMessage
from message_service.messages.parts import check_parts, with_text
from message_service.messages.read_message import read_message
from message_service.messages.rows import StoredMessage
from message_service.messages.stored_files import check_stored

_HIDDEN = MessageStatus.HIDDEN


class MessageChanges:
    """Changes one tenant's messages.

    Args:
        scope: The tenant's scope.
        clock: The present moment.
        last: Keeps what lists show true.
    """

    def __init__(self, scope: Scope, clock: Clock, last: LastMessage) -> None:
        self._scope = scope
        self._clock = clock
        self._change = GuardedChange(scope, clock)
        self._last = last

    async def edit(
        self,
        conversation_id: str,
        message_id: str,
        text: str = "",
        *,
        parts: Sequence[Mapping[str, Any] | Part] | None = None,
        expected_revision: int | None = None,
        edited_by: str | None = None,
        language: str | None = None,
        token_count: int | None = None,
        tokenizer: str | None = None,
    ) -> StoredMessage:
        """Replace a message's text or its parts and keep the old content as a version.

        Scores that evaluators gave the old content are removed (`quality.evaluate` judges the new).

        Args:
            conversation_id: The conversation.
            message_id: The message.
            text: The new text; if it equals the stored text, nothing changes. Tool calls,
                attachments and the other parts of the message stay.
            parts: The new parts, which replace all stored parts; with them, `text` may be left out.
            expected_revision: The revision the caller read; None edits any revision.
            edited_by: The person or system that edits; stored with the content.
            language: Language of the new text, if known.
            token_count: Tokens of the new text, if known.
            tokenizer: The counter that counted the tokens.

        Raises:
            NotFound: No such message.
            VersionConflict: It was changed since `expected_revision`.
            Conflict: It is deleted.
            TextTooLong: See `append`.
            InvalidInput: See `append`; or a text alone is given for a message with several texts.
        """
        new = partial(new_content, language=language, token_count=token_count, tokenizer=tokenizer)
        given = None if parts is None else check_parts("parts", parts)
        # Checked before anything is read; a text may also be meant for a message with parts.
        unsaid = isinstance(text, str) and not text and not given  # pyright: ignore[reportUnnecessaryIsInstance]
        whole = None if unsaid else new(text, given)
        if edited_by is not None:
            check_text_argument("edited_by", edited_by, most=MAX_NAME)

        async def decide(stored: Row) -> Mapping[str, Any] | None:
            if stored["status"] == "deleted":
                raise errors.Conflict(
                    f"message {message_id!r} is deleted; undelete it before editing it"
                )
            held: Sequence[Row] = stored["content"].get("parts") or ()
            keeps = given is None and held
            content = new(*with_text(text, held)) if keeps else whole or new(text)
            if stored["content"]["content_hash"] == content["content_hash"]:
                return None
            await check_stored(self._scope, content)
            now = self._clock.now()
            await self._change.keep_version(stored, now)
            by = {} if edited_by is None else {"edited_by": edited_by}
            return {
                "$set": {
                    "content": {**content, **by},
                    "timestamps.edited_at": now,
                    "timestamps.last_modified_at": now,
                    "enrichment.given": given_paths(stored, language),
                },
                **_without_scores(stored),
            }

        changed = await self._change.make(conversation_id, message_id, expected_revision, decide)
        await self._last.follow(changed)
        return changed

    async def versions(self, conversation_id: str, message_id: str) -> list[MessageVersion]:
        """Return the earlier versions of a message, oldest first.

        Raises:
            NotFound: No such message.
        """
        stored = await read_message(self._scope, conversation_id, message_id)
        rows = await self._scope.find(
            VERSIONS,
            conversation_id=conversation_id,
            message_id=message_id,
            before_revision=stored["revision"],
        )
        # A version equal to its successor was stored by an edit that died before its second write.
        return [
            MessageVersion.model_validate(row)
            for row, after in zip(rows, [*rows[1:], stored], strict=False)
            if row["content"]["content_hash"] != after["content"]["content_hash"]
        ]

    async def delete(
        self, conversation_id: str, message_id: str, *, expected_revision: int | None = None
    ) -> StoredMessage:
        """Delete a message; it keeps its number and can be undeleted. Idempotent.

        Raises:
            NotFound: No such message.
            VersionConflict: It was changed since `expected_revision`.
        """

        async def decide(stored: Row) -> Mapping[str, Any] | None:
            if stored["status"] == "deleted":
                return None
            now = self._clock.now()
            return {
                "$set": {
                    "status": "deleted",
                    "previous_status": stored["status"],
                    "timestamps.deleted_at": now,
                    "timestamps.last_modified_at": now,
                }
            }

        changed = await self._change.make(conversation_id, message_id, expected_revision, decide)
        await self._last.follow(changed)
        return changed

    async def undelete(
        self, conversation_id: str, message_id: str, *, expected_revision: int | None = None
    ) -> StoredMessage:
        """Restore a deleted message with its previous status. Idempotent.

        Raises:
            NotFound: No such message.
            Conflict: The message is a tombstone.
            VersionConflict: It was changed since `expected_revision`.
        """

        async def decide(stored: Row) -> Mapping[str, Any] | None:
            if stored["message_type"] == "tombstone":
                raise errors.Conflict("a tombstone holds no message that could be shown")
            if stored["status"] != "deleted":
                return None
            return {
                "$set": {
                    "status": stored.get("previous_status", "active"),
                    "timestamps.last_modified_at": self._clock.now(),
                },
                "$unset": {"previous_status": "", "timestamps.deleted_at": ""},
            }

        changed = await self._change.make(conversation_id, message_id, expected_revision, decide)
        await self._last.follow(changed, appears=True)
        return changed

    async def hide(
        self, conversation_id: str, message_id: str, *, expected_revision: int | None = None
    ) -> StoredMessage:
        """Take an active message out of history, prompt windows and search. Idempotent.

        Unlike a deleted message it is shown when asked for (`statuses`, `include_hidden`).

        Raises:
            NotFound: No such message.
            Conflict: The message is archived, flagged or deleted.
            VersionConflict: It was changed since `expected_revision`.
        """
        return await self._set_status(
            conversation_id, message_id, expected_revision, MessageStatus.ACTIVE, to=_HIDDEN
        )

    async def unhide(
        self, conversation_id: str, message_id: str, *, expected_revision: int | None = None
    ) -> StoredMessage:
        """Show a hidden message again. Idempotent.

        Raises:
            NotFound: No such message.
            Conflict: The message is archived, flagged or deleted.
            VersionConflict: It was changed since `expected_revision`.
        """
        return await self._set_status(
            conversation_id, message_id, expected_revision, _HIDDEN, to=MessageStatus.ACTIVE
        )

    async def _set_status(
        self,
        conversation_id: str,
        message_id: str,
        expected_revision: int | None,
        before: MessageStatus,
        *,
        to: MessageStatus,
    ) -> StoredMessage:
        async def decide(stored: Row) -> Mapping[str, Any] | None:
            if stored["status"] == to:
                return None
            if stored["status"] != before:
                raise errors.Conflict(
                    f"message {message_id!r} is {stored['status']}; only {before} messages "
                    f"can become {to}"
                )
            return {"$set": {"status": to.value, "timestamps.last_modified_at": self._clock.now()}}

        changed = await self._change.make(conversation_id, message_id, expected_revision, decide)
        await self._last.follow(changed, appears=to is MessageStatus.ACTIVE)
        return changed

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
        """Record a reader's feedback; a later call replaces an earlier one.

        The rating also fills `custom_metadata.user_satisfaction` (0 to 1).

        Args:
            conversation_id: The conversation.
            message_id: The message.
            rating: "up", "down", or 1 to 5.
            comment: In the reader's words, up to 10,000 characters.
            tags: Short labels.
            given_by: The reader.

        Raises:
            NotFound: No such message.
            InvalidInput: `rating` is not one of the ratings.
        """
        given_rating: object = rating
        is_star = isinstance(given_rating, int) and given_rating in range(1, 6)
        chosen = str(int(rating)) if is_star and given_rating is not True else rating
        satisfied = satisfaction(chosen) if isinstance(chosen, str) else None
        if satisfied is None:
            raise errors.InvalidInput("rating", "is not a rating", "Use 'up', 'down', or 1 to 5")
        now = self._clock.now()
        given = checked(
            UserFeedback,
            {
                "rating": str(chosen),
                "comment": comment,
                "tags": None if tags is None else list(check_sequence("tags", tags)),
                "given_by": given_by,
                "given_at": now,
            },
        ).model_dump(exclude_none=True)

        async def decide(stored: Row) -> Mapping[str, Any] | None:
            return {
                "$set": {
                    "quality_metadata.user_feedback": given,
                    "custom_metadata.user_satisfaction": satisfied,
                    "timestamps.last_modified_at": now,
                }
            }

        return await self._change.make(conversation_id, message_id, None, decide)

    async def pin(
        self, conversation_id: str, message_id: str, *, pinned: bool = True
    ) -> StoredMessage:
        """Pin a message (prompt windows and retention keep it), or unpin it.

        Raises:
            NotFound: No such message.
        """
        check_flag("pinned", pinned)

        async def decide(stored: Row) -> Mapping[str, Any] | None:
            if bool(stored.get("pinned")) == pinned:
                return None
            moment = {"timestamps.last_modified_at": self._clock.now()}
            if pinned:
                return {"$set": {"pinned": True, **moment}}
            return {"$unset": {"pinned": ""}, "$set": moment}

        return await self._change.make(conversation_id, message_id, None, decide)


def _without_scores(stored: Row) -> dict[str, Any]:
    """Return what removes evaluators' scores of a message: they belong to what was judged."""
    quality: Row = stored.get("quality_metadata") or {}
    scored: Mapping[str, str] | None = quality.get("evaluated_by")
    if not scored:
        return {}
    gone = (*scored, "evaluated_by", "evaluated_revision")
    return {"$unset": {f"quality_metadata.{name}": "" for name in gone}}
