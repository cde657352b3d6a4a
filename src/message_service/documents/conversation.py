"""The collections `conversations` and `conversation_branches`, which the source design lacks.

A branch is a pointer: the parent branch and the sequence number at which the branch leaves it. The
main branch needs no document.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from message_service.documents.character import CardText, Depth
from message_service.documents.fields import (
    MAX_TEXT_CODE_POINTS,
    BranchName,
    CharacterId,
    ConversationId,
    Count,
    Digest,
    Embedded,
    MessageId,
    Moment,
    Name,
    StoredDocument,
    TenantId,
    UserId,
)
from message_service.documents.message import Role

MAIN_BRANCH = "main"


class ConversationState(StrEnum):
    """Whether a conversation accepts messages."""

    ACTIVE = "active"
    ARCHIVED = "archived"


class LastMessage(Embedded):
    """A preview of the newest message, for lists."""

    message_id: MessageId
    role: Role
    preview: Annotated[str, StringConstraints(max_length=200)]
    created_at: Moment


class Summary(Embedded):
    """A text that replaces a branch's messages up to a sequence number in prompt windows.

    Attributes:
        source_tokens: Tokens of the messages it replaces, if known.
        version: Grows with each summary of the branch; all are in `conversation_summaries`.
    """

    branch: BranchName = MAIN_BRANCH
    text: Annotated[str, StringConstraints(max_length=MAX_TEXT_CODE_POINTS)]
    up_to_sequence: Count
    token_count: Count
    source_tokens: Count | None = None
    version: Count = 1
    updated_at: Moment


class PromptSettings(Embedded):
    """What the model is told in this conversation, besides its messages and its character.

    Attributes:
        instructions: What it is told first, in place of the character's `system_prompt`.
        user_name: What `{{user}}` stands for in the character's texts.
        author_note: A reminder that stands `author_note_depth` messages before the end, in place
            of the character's.
        author_note_depth: 0 puts it at the end.
    """

    instructions: CardText | None = None
    user_name: Name | None = None
    author_note: CardText | None = None
    author_note_depth: Depth | None = None


class ImportSource(Embedded):
    """The source of an imported conversation, and the progress of the import.

    Attributes:
        as_of: The latest moment found in the source; shows which of two exports is newer.
        custom_fields: The names in `custom_metadata` that came from the source.
    """

    format: Name
    external_id: Name
    fingerprint: Digest
    message_count: Count
    as_of: Moment | None = None
    custom_fields: list[str] | None = None
    completed: bool


class Conversation(StoredDocument):
    """One conversation of one tenant.

    `last_sequence_number` and `last_message` are updated shortly after each message is stored; the
    messages are authoritative (the insert assigns their numbers, not this document).
    """

    tenant_id: TenantId
    conversation_id: ConversationId
    user_id: UserId
    character_id: CharacterId | None = None
    title: Annotated[str, StringConstraints(max_length=500)] | None = None
    state: ConversationState = ConversationState.ACTIVE
    active_branch: BranchName = MAIN_BRANCH
    last_sequence_number: Count = 0
    last_message: LastMessage | None = None
    last_activity_at: Moment
    months: (
        Annotated[list[Annotated[str, StringConstraints(pattern=r"^\d{6}$")]], Field()] | None
    ) = None
    summaries: list[Summary] | None = None
    prompt: PromptSettings | None = None
    custom_metadata: dict[str, Any] | None = None
    import_source: ImportSource | None = None
    created_at: Moment
    updated_at: Moment
    revision: Count = 1

    class Settings:
        """Beanie's settings."""

        name = "conversations"


class Branch(StoredDocument):
    """A branch other than main: its parent branch and the position at which it leaves the parent.

    `fork_sequence` is the last sequence number shared with the parent (0: nothing is shared).
    """

    tenant_id: TenantId
    conversation_id: ConversationId
    branch: BranchName
    parent_branch: BranchName
    fork_sequence: Count
    fork_message_id: MessageId | None = None
    title: Name | None = None
    created_at: Moment

    class Settings:
        """Beanie's settings."""

        name = "conversation_branches"
