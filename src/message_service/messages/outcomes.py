"""The outcome of an append, and the answer to a repeated request."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from message_service import errors
from message_service.documents.row import Row
from message_service.messages.incoming import Prepared
from message_service.messages.known_conversations import KnownConversation


@dataclass(frozen=True, slots=True)
class Appended:
    """A stored message.

    Attributes:
        message_id: Its id (of the first one stored, for a duplicate).
        conversation_id: Its conversation.
        sequence_number: Its number in the conversation, from 1.
        branch: The branch it lies on.
        created_at: When it was said.
        duplicate: Whether an earlier call stored it under the same client message id.
    """

    message_id: str
    conversation_id: str
    sequence_number: int
    branch: str
    created_at: datetime
    duplicate: bool


Outcome = Appended | errors.MessageServiceError


def duplicate_or_conflict(item: Prepared, stored: Row) -> Outcome:
    """Return the first result for a repeated request, or the conflict for another request."""
    first: Row = stored.get("client_metadata") or {}
    again: Row = item.document["client_metadata"]
    fields: Row = first.get("request_fields") or {}
    settled = (
        ("message_id", item.named_id, stored["message_id"]),
        ("created_at", item.named_date, stored["timestamps"]["created_at"]),
        ("branch", item.branch, stored["relationships"]["conversation_branch"]),
    )
    other = [name for name, named, was in settled if named is not None and named != was]
    other += [
        name
        for name, digest in again.get("request_fields", {}).items()
        if digest != fields.get(name)
    ]
    if first.get("content_fingerprint") == again["content_fingerprint"] and not other:
        return appended(stored, duplicate=True)
    return errors.IdempotencyConflict(
        f"client message id {item.client_msg_id!r} was used before with "
        + (f"another {other[0]}" if other else "other content"),
        message_id=stored["message_id"],
        sequence_number=stored["sequence_number"],
    )


def appended(document: Row, *, duplicate: bool) -> Appended:
    """Return the outcome of a message that is stored."""
    return Appended(
        message_id=document["message_id"],
        conversation_id=document["conversation_id"],
        sequence_number=document["sequence_number"],
        branch=document["relationships"]["conversation_branch"],
        created_at=document["timestamps"]["created_at"],
        duplicate=duplicate,
    )


def went_on(state: KnownConversation, tail: int) -> errors.VersionConflict:
    """Return the conflict of an append whose expected place another message has taken."""
    return errors.VersionConflict(
        f"conversation {state.conversation_id!r} went on to number {tail} meanwhile; read it again",
        sequence_number=tail,
    )


def closed(state: KnownConversation) -> errors.ConversationClosed:
    """Return the error of an append to an archived conversation."""
    return errors.ConversationClosed(
        f"conversation {state.conversation_id!r} is archived; "
        "set its state to 'active' to append to it"
    )
