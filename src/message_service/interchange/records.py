"""What every reader yields: conversations in our terms, whatever the file they came from.

Readers only read. They know nothing of storage: ids are the source's own (unique within the
conversation for messages, within the format for conversations), texts are passed on exactly as
found (a lone surrogate included), and what has no place in the store is listed, not dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

MAIN_BRANCH = "main"

RoleName = Literal["user", "assistant", "system", "tool"]
MessageTypeName = Literal["standard", "template", "system", "error"]
StatusName = Literal["active", "archived", "flagged", "deleted"]


@dataclass(slots=True, kw_only=True)
class ImportedMessage:
    """One message.

    Attributes:
        external_id: The source's id, or one made from its position; the same on every reading.
        role: Who speaks.
        text: Never empty; otherwise as in the source.
        sender: The source's id of the person who wrote it, if it says.
        created_at: Aware UTC, whole milliseconds; None when the source does not say.
        parent: Id of the stored message this one hangs under in a tree; None in a plain list.
        branch: The branch it is stored on: the one where it appears first.
        message_type: What kind of message.
        status: Where it stands; `deleted` means the source had marked it so.
        llm_provider: Who ran the model.
        llm_model: The model that wrote it.
        custom: Further facts; keys fit custom metadata (see `safe_name`).
        reply_to: Id of the stored message it answers, when the source links them.
        line_name: What a branch beginning with it is called, when the source has a name for it.
    """

    external_id: str
    role: RoleName
    text: str
    sender: str | None = None
    created_at: datetime | None = None
    parent: str | None = None
    branch: str = MAIN_BRANCH
    message_type: MessageTypeName = "standard"
    status: StatusName = "active"
    llm_provider: str | None = None
    llm_model: str | None = None
    custom: dict[str, Any] = field(default_factory=dict[str, Any])
    reply_to: str | None = None
    line_name: str | None = None


@dataclass(slots=True, frozen=True)
class ImportedBranch:
    """A branch other than `main`.

    Attributes:
        name: A valid branch name, unique in the conversation.
        parent: The branch it leaves.
        fork: Id of the last message shared with it; None when nothing is shared.
    """

    name: str
    parent: str
    fork: str | None


@dataclass(slots=True, frozen=True)
class SkippedItem:
    """Something in the source that is not stored.

    Attributes:
        external_id: Its id in the source, or its place there.
        reason: Why; one of few, so that reasons can be counted.
    """

    external_id: str | None
    reason: str


@dataclass(slots=True, kw_only=True)
class ImportedConversation:
    """One conversation, complete.

    A record of the source that could not be read at all comes as a conversation without
    messages, whose `skipped` says why.

    Attributes:
        external_id: The source's id, or one made from its position.
        title: Its title, if the source has one.
        created_at: Aware UTC, whole milliseconds.
        updated_at: When the source last changed it, if it says: tells which of two exports is the
            newer.
        sender: The source's id of its owner.
        character: The source's id of the character or assistant persona.
        messages: In storage order: parents before children, a branch's messages in their order,
            each message once.
        branches: The branches beside `main`, each after the one it leaves.
        active_branch: The branch that is shown.
        skipped: What is not stored.
        custom: Further facts; keys as in `ImportedMessage.custom`.
        unreadable: Whether it stands for a record that could not be read.
    """

    external_id: str
    title: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    sender: str | None = None
    character: str | None = None
    messages: list[ImportedMessage] = field(default_factory=list[ImportedMessage])
    branches: list[ImportedBranch] = field(default_factory=list[ImportedBranch])
    active_branch: str = MAIN_BRANCH
    skipped: list[SkippedItem] = field(default_factory=list[SkippedItem])
    custom: dict[str, Any] = field(default_factory=dict[str, Any])
    unreadable: bool = False


def safe_name(name: str) -> str:
    """Return `name` as custom metadata takes it: no dot, no NUL, no leading `$` or `_`."""
    return name.replace(".", "-").replace("\0", "").lstrip("$_") or "unnamed"


def unreadable(external_id: str, reason: str) -> ImportedConversation:
    """Return what stands for a record that could not be read at all."""
    return ImportedConversation(
        external_id=external_id, skipped=[SkippedItem(external_id, reason)], unreadable=True
    )


def present(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts that are there: neither None nor an empty list or mapping."""
    return {name: value for name, value in facts.items() if value not in (None, [], {})}
