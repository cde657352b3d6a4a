"""Changes of stored messages that repeat a change in the source of an import."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from message_service import errors
from message_service.arguments import (
    check_finite,
    check_mapping,
    check_sequence,
    check_text_argument,
)
from message_service.clock import Clock
from message_service.database.scope import Scope
from message_service.documents.fields import MAX_DIGEST, MAX_NAME
from message_service.documents.message import CustomMetadata
from message_service.documents.parts import Part
from message_service.documents.row import Row
from message_service.documents.validation import checked
from message_service.messages.content import given_paths, new_content
from message_service.messages.free_form import check_free_form
from message_service.messages.guarded_change import GuardedChange
from message_service.messages.parts import check_parts
from message_service.messages.rows import StoredMessage


class Takeover:
    """Changes one tenant's messages as the source of an import has changed.

    Args:
        scope: The tenant's scope.
        clock: The present moment.
    """

    def __init__(self, scope: Scope, clock: Clock) -> None:
        self._change = GuardedChange(scope, clock)
        self._clock = clock

    async def take_over(
        self,
        conversation_id: str,
        message_id: str,
        *,
        text: str | None,
        parts: Sequence[Mapping[str, Any] | Part] | None = None,
        fingerprint: str | None,
        custom_metadata: Mapping[str, Any],
        removed: Sequence[str],
    ) -> StoredMessage:
        """Change a message to what the source of an import says now.

        Args:
            conversation_id: The conversation.
            message_id: The message.
            text: The new text, the old one is kept as for an edit; None leaves text and parts.
            parts: The new parts; None for plain text.
            fingerprint: The fingerprint of the request that would append the new text.
            custom_metadata: Fields of the custom metadata to set; the others stay.
            removed: Fields of the custom metadata to remove.

        Raises:
            NotFound: No such message.
        """
        given = None if parts is None else check_parts("parts", parts)
        content = None if text is None else new_content(text, given)
        if fingerprint is not None:
            check_text_argument("fingerprint", fingerprint, most=MAX_DIGEST)
        custom = _check_custom(custom_metadata, removed)

        async def decide(stored: Row) -> Mapping[str, Any] | None:
            now = self._clock.now()
            fields: Row = {f"custom_metadata.{key}": value for key, value in custom.items()}
            fields["timestamps.last_modified_at"] = now
            if content is not None:
                await self._change.keep_version(stored, now)
                fields |= {
                    "content": content,
                    "timestamps.edited_at": now,
                    "enrichment.given": given_paths(stored, None),
                }
                if fingerprint is not None:
                    fields["client_metadata.content_fingerprint"] = fingerprint
            update: Row = {"$set": fields}
            if removed:
                update["$unset"] = {f"custom_metadata.{name}": "" for name in removed}
            return update

        return await self._change.make(conversation_id, message_id, None, decide)


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
