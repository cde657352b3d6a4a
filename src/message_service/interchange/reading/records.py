"""The records that every reader yields: conversations in one form, independent of the format.

Readers do not deal with storage: ids are those of the source (unique within the conversation for
messages, within the format for conversations), texts are passed on exactly as found (including
lone surrogates), and items that cannot be stored are listed, not silently dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

MAIN_BRANCH = "main"

RoleName = Literal["user", "assistant", "system", "tool"]
MessageTypeName = Literal["standard", "template", "system", "error"]
StatusName = Literal["active", "archived", "flagged", "hidden", "deleted"]


@dataclass(slots=True, frozen=True)
class ImportedFeedback:
    """A reader's opinion of a message.

    Attributes:
        rating: `up`, `down`, or `1` to `5`.
        comment: In the reader's words.
        tags: Short labels.
    """

    rating: str
    comment: str | None = None
    tags: tuple[str, ...] = ()


@dataclass(slots=True, frozen=True)
class ImportedFile:
    """A file that is inside a part, as base64 for example.

    Attributes:
        data: Its bytes.
        name: Its name.
        mime_type: Its MIME type.
    """

    data: bytes
    name: str | None = None
    mime_type: str | None = None


class PartWithFiles(dict[str, Any]):
    """A part that brings the bytes of the files whose digests it names.

    Attributes:
        files: The files; the importer stores them and forgets them.
    """

    files: list[ImportedFile]

    def __init__(self, part: Mapping[str, Any], files: list[ImportedFile]) -> None:
        super().__init__(part)
        self.files = files


@dataclass(slots=True, kw_only=True)
class ImportedMessage:
    """One message.

    Attributes:
        external_id: The source's id, or an id made from the position; the same on every reading.
        role: The role of the author.
        text: As in the source; empty only when there are parts, which then hold the texts.
        parts: All parts in order, for a message that is more than a text; values as in
            `documents.parts`, texts of any length. A part may bring files (`PartWithFiles`).
        sender: The source's id of the author, if known.
        created_at: Aware UTC, whole milliseconds; None when the source has no date.
        parent: Id of the stored parent message in a tree; None in a plain list.
        branch: The branch on which it is stored: the first branch that contains it.
        message_type: The kind of message.
        status: The state of the message; `deleted` means that the source marks it as deleted,
            `hidden` that the source did not show it.
        feedback: The reader's opinion, if the source has one.
        llm_provider: The provider of the model.
        llm_model: The model that wrote it.
        custom: Further facts; keys fit custom metadata (see `safe_name`).
        reply_to: Id of the stored message it answers, when the source links them.
        line_name: The name of a branch that begins with this message, if the source has one.
    """

    external_id: str
    role: RoleName
    text: str
    parts: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
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
    feedback: ImportedFeedback | None = None


@dataclass(slots=True, frozen=True)
class ImportedBranch:
    """A branch other than `main`.

    Attributes:
        name: A valid branch name, unique in the conversation.
        parent: The branch from which it forks.
        fork: Id of the last message shared with the parent; None when nothing is shared.
    """

    name: str
    parent: str
    fork: str | None


@dataclass(slots=True, frozen=True)
class SkippedItem:
    """Something in the source that is not stored.

    Attributes:
        external_id: Its id or its position in the source.
        reason: Why it is not stored; one of a few fixed texts, so that reasons can be counted.
    """

    external_id: str | None
    reason: str


@dataclass(slots=True, kw_only=True)
class ImportedConversation:
    """One complete conversation.

    A record of the source that could not be read at all becomes a conversation without messages,
    whose `skipped` names the reason.

    Attributes:
        external_id: The source's id, or an id made from the position.
        title: Its title, if the source has one.
        created_at: Aware UTC, whole milliseconds.
        updated_at: When the source last changed it, if known; shows which of two exports is newer.
        sender: The source's id of the conversation's owner.
        character: The source's id of the character or assistant persona.
        messages: In storage order: parents before children, the messages of a branch in their
            order, each message once.
        branches: The branches other than `main`, each after its parent.
        active_branch: The branch that is shown.
        skipped: The items that are not stored.
        records: How many of the source's records the conversation stands for, when that is known
            from the source itself; None when it is the number of messages and skipped items.
        custom: Further facts; keys as in `ImportedMessage.custom`.
        unreadable: Whether this represents a record that could not be read.
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
    records: int | None = None


def safe_name(name: str) -> str:
    """Return `name` as a valid custom metadata name: no dot, no NUL, no leading `$` or `_`."""
    return name.replace(".", "-").replace("\0", "").lstrip("$_") or "unnamed"


def unreadable(external_id: str, reason: str) -> ImportedConversation:
    """Return the conversation that represents a record that could not be read at all."""
    return ImportedConversation(
        external_id=external_id, skipped=[SkippedItem(external_id, reason)], unreadable=True
    )


def present(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts that have a value: neither None nor an empty list or mapping."""
    return {name: value for name, value in facts.items() if value not in (None, [], {})}
