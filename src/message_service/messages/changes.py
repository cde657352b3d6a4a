"""Changes to stored messages: edit, delete, undelete, feedback, pin.

Each is one targeted update guarded by the message's revision, so that two changes at once cannot
undo one another. An edit stores what the message said before, first; if the process dies between
the two writes, the extra version is that of the present text and is not shown.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from message_service import errors
from message_service.arguments import (
    check_finite,
    check_flag,
    check_mapping,
    check_revision,
    check_sequence,
    check_text_argument,
    check_whole_number,
)
from message_service.catalogue.queries.message_versions import VERSIONS
from message_service.catalogue.queries.messages import MESSAGE_AT_REVISION, MESSAGE_BY_ID
from message_service.clock import Clock
from message_service.database.scope import Scope
from message_service.documents.fields import MAX_DIGEST, MAX_NAME
from message_service.documents.message import CustomMetadata, MessageVersion, UserFeedback
from message_service.documents.validation import checked
from message_service.ids import IdKind, check_id
from message_service.messages.free_form import check_free_form
from message_service.messages.incoming import LANGUAGE_PATH, content_of
from message_service.messages.marks import marked
from message_service.messages.rows import Row, StoredMessage

_ATTEMPTS = 10
_THUMBS = {"up": 1.0, "down": 0.0}
_STARS = {"1": 0.0, "2": 0.25, "3": 0.5, "4": 0.75, "5": 1.0}


class MessageChanges:
    """Changes one tenant's messages.

    Args:
        scope: The tenant's scope.
        clock: The present moment.
    """

    def __init__(self, scope: Scope, clock: Clock) -> None:
        self._scope = scope
        self._clock = clock

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
        """Replace a message's text and keep what it said before.

        Args:
            conversation_id: The conversation.
            message_id: The message.
            text: The new text; the same text changes nothing.
            expected_revision: The revision the caller read; None edits whatever is there.
            edited_by: Who edits, for the record.
            language: Language of the new text, if known.
            token_count: Tokens of the new text, if known.
            tokenizer: What counted them.

        Raises:
            NotFound: No such message.
            VersionConflict: It was changed since `expected_revision`.
            Conflict: It is deleted.
            TextTooLong: See `append`.
        """
        content = _content(text, language=language, token_count=token_count, tokenizer=tokenizer)
        if edited_by is not None:
            content["edited_by"] = check_text_argument("edited_by", edited_by, most=MAX_NAME)

        async def change(stored: Row) -> Mapping[str, Any] | None:
            if stored["status"] == "deleted":
                raise errors.Conflict(
                    f"message {message_id!r} is deleted; undelete it before editing it"
                )
            if stored["content"]["content_hash"] == content["content_hash"]:
                return None
            now = self._clock.now()
            await self._keep(stored, now)
            return {
                "$set": {
                    "content": content,
                    "timestamps.edited_at": now,
                    "timestamps.last_modified_at": now,
                    "enrichment.given": _given(stored, language),
                }
            }

        return await self._change(conversation_id, message_id, expected_revision, change)

    async def take_over(
        self,
        conversation_id: str,
        message_id: str,
        *,
        text: str | None,
        fingerprint: str | None,
        custom_metadata: Mapping[str, Any],
        removed: Sequence[str],
    ) -> StoredMessage:
        """Take over what the source of an import says now.

        Args:
            conversation_id: The conversation.
            message_id: The message.
            text: Its new text, what it said before is kept as for an edit; None leaves it.
            fingerprint: The fingerprint of the request that would append the new text.
            custom_metadata: Fields of the custom metadata to set; the others stay.
            removed: Fields of the custom metadata to remove.

        Raises:
            NotFound: No such message.
        """
        content = None if text is None else _content(text)
        if fingerprint is not None:
            check_text_argument("fingerprint", fingerprint, most=MAX_DIGEST)
        custom = _check_custom(custom_metadata, removed)

        async def change(stored: Row) -> Mapping[str, Any] | None:
            now = self._clock.now()
            fields: Row = {f"custom_metadata.{key}": value for key, value in custom.items()}
            fields["timestamps.last_modified_at"] = now
            if content is not None:
                await self._keep(stored, now)
                fields |= {
                    "content": content,
                    "timestamps.edited_at": now,
                    "enrichment.given": _given(stored, None),
                }
                if fingerprint is not None:
                    fields["client_metadata.content_fingerprint"] = fingerprint
            update: Row = {"$set": fields}
            if removed:
                update["$unset"] = {f"custom_metadata.{name}": "" for name in removed}
            return update

        return await self._change(conversation_id, message_id, None, change)

    async def versions(self, conversation_id: str, message_id: str) -> list[MessageVersion]:
        """Return what a message said before each edit, oldest first.

        Raises:
            NotFound: No such message.
        """
        stored = await self._read(conversation_id, message_id)
        rows = await self._scope.find(
            VERSIONS,
            conversation_id=conversation_id,
            message_id=message_id,
            before_revision=stored["revision"],
        )
        # A version equal to what came after it was kept by an edit that died half way.
        return [
            MessageVersion.model_validate(row)
            for row, after in zip(rows, [*rows[1:], stored], strict=False)
            if row["content"]["content_hash"] != after["content"]["content_hash"]
        ]

    async def delete(
        self, conversation_id: str, message_id: str, *, expected_revision: int | None = None
    ) -> StoredMessage:
        """Hide a message: it keeps its number and can be undeleted. Twice is once.

        Raises:
            NotFound: No such message.
            VersionConflict: It was changed since `expected_revision`.
        """

        async def change(stored: Row) -> Mapping[str, Any] | None:
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

        return await self._change(conversation_id, message_id, expected_revision, change)

    async def undelete(
        self, conversation_id: str, message_id: str, *, expected_revision: int | None = None
    ) -> StoredMessage:
        """Show a deleted message again, with the status it had. Twice is once.

        Raises:
            NotFound: No such message.
            Conflict: It is a tombstone.
            VersionConflict: It was changed since `expected_revision`.
        """

        async def change(stored: Row) -> Mapping[str, Any] | None:
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

        return await self._change(conversation_id, message_id, expected_revision, change)

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
        """Record what the reader thought; a later call replaces an earlier one.

        The rating also fills `custom_metadata.user_satisfaction` (0 to 1).

        Args:
            conversation_id: The conversation.
            message_id: The message.
            rating: "up", "down", or 1 to 5.
            comment: In the reader's words, up to 10,000 characters.
            tags: Short labels.
            given_by: Who gave it.

        Raises:
            NotFound: No such message.
            InvalidInput: The rating is none of these.
        """
        given_rating: object = rating
        is_star = isinstance(given_rating, int) and given_rating in range(1, 6)
        chosen = str(int(rating)) if is_star and given_rating is not True else rating
        satisfaction = {**_THUMBS, **_STARS}.get(chosen) if isinstance(chosen, str) else None
        if satisfaction is None:
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

        async def change(stored: Row) -> Mapping[str, Any] | None:
            return {
                "$set": {
                    "quality_metadata.user_feedback": given,
                    "custom_metadata.user_satisfaction": satisfaction,
                    "timestamps.last_modified_at": now,
                }
            }

        return await self._change(conversation_id, message_id, None, change)

    async def pin(
        self, conversation_id: str, message_id: str, *, pinned: bool = True
    ) -> StoredMessage:
        """Pin a message (prompt windows and retention keep it), or unpin it.

        Raises:
            NotFound: No such message.
        """
        check_flag("pinned", pinned)

        async def change(stored: Row) -> Mapping[str, Any] | None:
            if bool(stored.get("pinned")) == pinned:
                return None
            moment = {"timestamps.last_modified_at": self._clock.now()}
            if pinned:
                return {"$set": {"pinned": True, **moment}}
            return {"$unset": {"pinned": ""}, "$set": moment}

        return await self._change(conversation_id, message_id, None, change)

    async def _keep(self, stored: Row, now: datetime) -> None:
        """Keep what a message says as a version."""
        version = checked(
            MessageVersion,
            {
                "tenant_id": self._scope.tenant_id,
                "conversation_id": stored["conversation_id"],
                "message_id": stored["message_id"],
                "revision": stored["revision"],
                "content": stored["content"],
                "replaced_at": now,
            },
        )
        # A version of this revision may be there already: from an edit that died half way.
        await self._scope.insert_one(
            "message_versions", version.to_bson(), comment="message_versions.keep"
        )

    async def _read(self, conversation_id: str, message_id: str) -> Row:
        check_id(IdKind.CONVERSATION, "conversation_id", conversation_id)
        check_id(IdKind.MESSAGE, "message_id", message_id)
        row = await self._scope.find_one(
            MESSAGE_BY_ID, conversation_id=conversation_id, message_id=message_id
        )
        if row is None:
            raise errors.NotFound("message", message_id)
        return row

    async def _change(
        self,
        conversation_id: str,
        message_id: str,
        expected_revision: int | None,
        change: Callable[[Row], Awaitable[Mapping[str, Any] | None]],
    ) -> StoredMessage:
        """Read, decide, and write if nobody was faster; else again."""
        check_revision(expected_revision)
        for _ in range(_ATTEMPTS):
            stored = await self._read(conversation_id, message_id)
            if expected_revision is not None and stored["revision"] != expected_revision:
                raise errors.VersionConflict(
                    f"message {message_id!r} is at revision {stored['revision']}, "
                    f"not {expected_revision}; read it again",
                    revision=stored["revision"],
                )
            update = await change(stored)
            if update is None:
                return StoredMessage(stored)
            due = marked(self._clock.now())
            changed = await self._scope.find_and_update(
                MESSAGE_AT_REVISION,
                {**update, "$set": {**update["$set"], **due}, "$inc": {"revision": 1}},
                conversation_id=conversation_id,
                message_id=message_id,
                revision=stored["revision"],
            )
            if changed is not None:
                return StoredMessage(changed)
        raise errors.VersionConflict(
            f"message {message_id!r} is being changed by others all the time; try again"
        )


def _given(stored: Row, language: str | None) -> list[str]:
    """Return what enrichers must leave alone once the text is another."""
    enrichment: Row = stored.get("enrichment") or {}
    given: list[str] = enrichment.get("given", [])
    kept = [path for path in given if path != LANGUAGE_PATH]
    return kept if language is None else [*kept, LANGUAGE_PATH]


def _content(
    text: str,
    *,
    language: str | None = None,
    token_count: int | None = None,
    tokenizer: str | None = None,
) -> Row:
    """Return the content group of a text whose types are still to be checked."""
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise errors.InvalidInput("text", "is not a string", "Give a text as str")
    if language is not None:
        check_text_argument("language", language, most=MAX_NAME)
    if token_count is not None:
        check_whole_number("token_count", token_count, 0, 2**63 - 1)
    if tokenizer is not None:
        check_text_argument("tokenizer", tokenizer, most=MAX_NAME)
    return content_of(text, language=language, token_count=token_count, tokenizer=tokenizer)


def _check_custom(custom_metadata: Mapping[str, Any], removed: Sequence[str]) -> Row:
    """Return the fields of custom metadata to set, checked; also check the names to remove.

    Raises:
        InvalidInput: A name or value cannot be stored, or a field is in both.
    """
    check_finite("custom_metadata", check_mapping("custom_metadata", custom_metadata))
    check_free_form("custom_metadata", custom_metadata)
    for name in check_sequence("removed", removed):
        check_text_argument("removed", name, most=MAX_NAME, what="field's name")
        check_free_form("removed", {name: 1})
        if name in custom_metadata:
            raise errors.InvalidInput("removed", "names a field that is set", "Name it once")
    return checked(CustomMetadata, custom_metadata).model_dump(exclude_none=True)
