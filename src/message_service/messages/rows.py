"""What reading returns: thin views of stored documents, and pages of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from message_service.documents.message import Message

Row = dict[str, Any]


class StoredMessage:
    """A message as read, over the plain document.

    Reading a page makes no model of every message; `document()` makes one on demand. Fields a
    projection left out are absent from `raw`.
    """

    __slots__ = ("raw",)

    def __init__(self, raw: Row) -> None:
        self.raw = raw

    @property
    def message_id(self) -> str:
        """Its id."""
        return self.raw["message_id"]

    @property
    def conversation_id(self) -> str:
        """Its conversation."""
        return self.raw["conversation_id"]

    @property
    def user_id(self) -> str:
        """Who it belongs to."""
        return self.raw["user_id"]

    @property
    def text(self) -> str:
        """What it says."""
        return self.raw["content"]["text"]

    @property
    def role(self) -> str:
        """user, assistant, system or tool."""
        return self.raw["role"]

    @property
    def message_type(self) -> str:
        """standard, template, system, error or tombstone."""
        return self.raw["message_type"]

    @property
    def status(self) -> str:
        """active, archived, flagged or deleted."""
        return self.raw["status"]

    @property
    def sequence_number(self) -> int:
        """Its number in the conversation, from 1."""
        return self.raw["sequence_number"]

    @property
    def revision(self) -> int:
        """How often it was changed, from 1; give it to a change to guard against others'."""
        return self.raw["revision"]

    @property
    def created_at(self) -> datetime:
        """When it was said."""
        return self.raw["timestamps"]["created_at"]

    @property
    def branch(self) -> str:
        """The branch it was appended to."""
        return self.raw["relationships"]["conversation_branch"]

    @property
    def parent_message_id(self) -> str | None:
        """The message it answers, if that was said."""
        return self.raw["relationships"].get("parent_message_id")

    def document(self) -> Message:
        """Return the whole message as a validated document (needs a full read, as `get` makes)."""
        return Message.model_validate(self.raw)

    def __repr__(self) -> str:
        return f"<StoredMessage {self.sequence_number} {self.role} {self.message_id}>"


Sign = Callable[[Sequence[Any]], str]


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing, in the order asked for.

    Attributes:
        items: The messages.
        has_more: Whether the listing went on when this page was read.
        position: Where it ends.
        start: Where it begins.
    """

    items: list[StoredMessage]
    has_more: bool
    position: Sequence[Any]
    start: Sequence[Any]
    sign: Sign
    sign_reverse: Sign | None = None

    @property
    def next(self) -> str | None:
        """Cursor of the page after this one; None at the end."""
        return self.resume if self.has_more else None

    @property
    def resume(self) -> str:
        """Cursor after the last message here, also at the end: later messages follow it."""
        return self.sign(self.position)

    @property
    def previous(self) -> str | None:
        """Cursor of what lies before this page, for a listing in the other direction."""
        return None if self.sign_reverse is None else self.sign_reverse(self.start)

    def __iter__(self) -> Iterator[StoredMessage]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)
