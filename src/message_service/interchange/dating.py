"""Estimates the times of messages that have none in the source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from message_service.interchange.reading.records import ImportedConversation, ImportedMessage


def dates_of(conversation: ImportedConversation, now: datetime) -> Mapping[str, datetime]:
    """Return the time of each message, by its id in the source.

    A message without a time gets that of the nearest message before it on its line, else of the
    nearest one after it, else the conversation's own time, else the present.

    Args:
        conversation: The conversation; parents come before children.
        now: The present moment.
    """
    messages = conversation.messages
    if all(message.created_at is not None for message in messages):
        return {m.external_id: m.created_at for m in messages if m.created_at is not None}
    before = _before(messages)
    known: dict[str, datetime] = {}
    for message in messages:
        earlier = before[message.external_id]
        date = message.created_at or (None if earlier is None else known.get(earlier))
        if date is not None:
            known[message.external_id] = date
    later: dict[str, datetime] = {}
    for message in reversed(messages):
        date = known.get(message.external_id) or later.get(message.external_id)
        earlier = before[message.external_id]
        if date is not None and earlier is not None:
            later[earlier] = min(date, later.get(earlier, date))
    fallback = conversation.created_at or conversation.updated_at or now
    return {
        message.external_id: known.get(message.external_id)
        or later.get(message.external_id, fallback)
        for message in messages
    }


def _before(messages: Sequence[ImportedMessage]) -> dict[str, str | None]:
    """Return what each message comes after: its parent, in a plain list the one before it."""
    if any(message.parent is not None for message in messages):
        return {message.external_id: message.parent for message in messages}
    found: dict[str, str | None] = {}
    last: str | None = None
    for message in messages:
        found[message.external_id] = last
        last = message.external_id
    return found
