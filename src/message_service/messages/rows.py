"""Thin views of stored documents, as reads return them."""

from __future__ import annotations

from datetime import datetime

from message_service.documents.message import Message
from message_service.documents.parts import Part
from message_service.documents.row import Row
from message_service.messages.parts import read_parts


class StoredMessage:
    """A message as read; wraps the plain document.

    Reading a page builds no models; `document()` builds one on demand. Fields that the projection
    leaves out are absent from `raw`.
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
        """The user it belongs to."""
        return self.raw["user_id"]

    @property
    def text(self) -> str:
        """The readable text; empty when the message has only other parts."""
        return self.raw["content"]["text"]

    @property
    def parts(self) -> list[Part]:
        """The parts in order, each with its text; a plain text is one part."""
        return read_parts(self.raw["content"])

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
        """Its revision, from 1; pass it to a change to guard against concurrent changes."""
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
        """The message it answers, if one was named."""
        return self.raw["relationships"].get("parent_message_id")

    @property
    def continues_message_id(self) -> str | None:
        """The message that this one is a further piece of; see `continuations.joined`."""
        return self.raw["relationships"].get("continues_message_id")

    def document(self) -> Message:
        """Return the whole message as a validated document (needs a full read, as `get` makes)."""
        return Message.model_validate(self.raw)

    def __repr__(self) -> str:
        return f"<StoredMessage {self.sequence_number} {self.role} {self.message_id}>"
