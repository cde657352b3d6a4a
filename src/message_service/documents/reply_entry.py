"""The collection `reply_entries`: what a reply says while it is being said, for a few minutes.

The entries of a reply are numbered without holes, and a number can be taken only once. So there is
one order of what was said, however many workers write: a worker that has lost the reply finds its
next number taken, and stops; a reader never sees the text of two workers mixed.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import StringConstraints

from message_service.documents.fields import (
    ConversationId,
    Count,
    JobId,
    MessageId,
    Moment,
    Name,
    StoredDocument,
    TenantId,
)

KEPT_SECONDS = 900
"""How long an entry is kept. The reply itself is a message, and stays."""


class EntryKind(StrEnum):
    """What an entry says.

    `begin`: a worker begins; all text before it is void. `text`, `reasoning`, `refusal`: a piece.
    `stop`: a client wants the reply to end here. `end`: the reply is stored as a message.
    """

    BEGIN = "begin"
    TEXT = "text"
    REASONING = "reasoning"
    REFUSAL = "refusal"
    STOP = "stop"
    END = "end"


class ReplyEntry(StoredDocument):
    """One entry.

    Attributes:
        reply_id: The reply: its job.
        number: Its place, from 0.
        writer: The claim of the worker, or the call, that wrote it.
        text: The piece.
        provider: With `begin`: who is asked.
        model: With `begin`: the model asked.
        finish_reason: With `end`: why the reply ended.
        message_id: With `end`: the message.
    """

    tenant_id: TenantId
    conversation_id: ConversationId
    reply_id: JobId
    number: Count
    writer: Name
    kind: EntryKind
    text: Annotated[str, StringConstraints(max_length=500_000)] | None = None
    provider: Name | None = None
    model: Name | None = None
    finish_reason: Name | None = None
    message_id: MessageId | None = None
    created_at: Moment

    class Settings:
        """Beanie's settings."""

        name = "reply_entries"
