"""Changes of stored messages that repeat a change in the source of an import."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from message_service import errors
from message_service.arguments import (
    check_finite,
    check_mapping,
    check_sequence,
    check_text_argument,
)
from message_service.clock import Clock
from message_service.database.free_form import check_free_form
from message_service.database.scope import Scope
from message_service.documents.fields import MAX_NAME
from message_service.documents.message import CustomMetadata
from message_service.documents.parts import Part
from message_service.documents.row import Row
from message_service.documents.validation import checked
from message_service.messages.content import given_paths, new_content
from message_service.messages.feedback import satisfaction
from message_service.messages.guarded_change import GuardedChange
from message_service.messages.parts import check_parts
from message_service.messages.rows import StoredMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceChange:
    """How the source of an import differs from a stored message.

    Attributes:
        text: The new text, the old one is kept as for an edit; None leaves text and parts.
        parts: The new parts; None for plain text.
        status: The new status, `active` or `hidden`; None leaves it.
        fingerprint: The fingerprint of the request that would append the message as it is now.
        takes_feedback: Whether the feedback follows the source.
        feedback: The feedback then; None removes it.
        feedback_told: The digest of the feedback in the source (`repeats.named_fields`).
        custom_metadata: Fields of the custom metadata to set; the others stay.
        removed: Fields of the custom metadata to remove.
    """

    text: str | None = None
    parts: Sequence[Mapping[str, Any] | Part] | None = None
    status: str | None = None
    fingerprint: str | None = None
    takes_feedback: bool = False
    feedback: Mapping[str, Any] | None = None
    feedback_told: str | None = None
    custom_metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    removed: Sequence[str] = ()

    @property
    def says_otherwise(self) -> bool:
        """Whether the message itself changes, not only the facts about it."""
        return self.text is not None or self.status is not None


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
        self, conversation_id: str, message_id: str, change: SourceChange
    ) -> StoredMessage:
        """Change a message to what the source of an import says now.

        Raises:
            NotFound: No such message.
            InvalidInput: The new content or the custom metadata cannot be stored.
        """
        given = None if change.parts is None else check_parts("parts", change.parts)
        content = None if change.text is None else new_content(change.text, given)
        custom = _check_custom(change.custom_metadata, change.removed)

        async def decide(stored: Row) -> Mapping[str, Any] | None:
            now = self._clock.now()
            fields: Row = {f"custom_metadata.{key}": value for key, value in custom.items()}
            gone: Row = {f"custom_metadata.{name}": "" for name in change.removed}
            fields["timestamps.last_modified_at"] = now
            if content is not None:
                await self._change.keep_version(stored, now)
                fields |= {
                    "content": content,
                    "timestamps.edited_at": now,
                    "enrichment.given": given_paths(stored, None),
                }
            if change.status is not None:
                fields["status"] = change.status
            if change.fingerprint is not None:
                fields["client_metadata.content_fingerprint"] = change.fingerprint
            if change.takes_feedback:
                _set_feedback(change, fields, gone)
            return {"$set": fields, **({"$unset": gone} if gone else {})}

        return await self._change.make(conversation_id, message_id, None, decide)


def _set_feedback(change: SourceChange, fields: Row, gone: Row) -> None:
    told = "client_metadata.request_fields.quality_metadata"
    given, satisfied = "quality_metadata.user_feedback", "custom_metadata.user_satisfaction"
    if change.feedback is None:
        gone |= {told: "", given: "", satisfied: ""}
    else:
        fields |= {
            told: change.feedback_told,
            given: dict(change.feedback),
            satisfied: satisfaction(change.feedback["rating"]),
        }


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
