"""Reads Claude (claude.ai) data exports: `conversations.json`, a list of conversations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from message_service.interchange.formats import claude_blocks
from message_service.interchange.reading import sources, trees
from message_service.interchange.reading.chat_moments import from_any, iso
from message_service.interchange.reading.chat_records import ROLES, Ids, newest
from message_service.interchange.reading.format import Format
from message_service.interchange.reading.glimpse import Glimpse
from message_service.interchange.reading.json_reading import (
    array_items,
    as_list,
    as_object,
    as_text,
)
from message_service.interchange.reading.part_making import plain, remainder, unread
from message_service.interchange.reading.recognition import recognised
from message_service.interchange.reading.records import (
    ImportedConversation,
    ImportedMessage,
    RoleName,
    SkippedItem,
    present,
    unreadable,
)

PROVIDER = "anthropic"

_FILES = ("conversations*.json",)
_ROLES: dict[str, RoleName] = {**ROLES, "human": "user"}
_NO_PARENT = "00000000-0000-4000-8000-000000000000"
_OF_CONVERSATION = frozenset(
    {
        *("uuid", "name", "summary", "created_at", "updated_at", "account", "chat_messages"),
        *("model", "is_starred", "project", "current_leaf_message_uuid"),
    }
)
_OF_MESSAGE = frozenset(
    {
        *("uuid", "text", "sender", "created_at", "updated_at", "content", "attachments"),
        *("files", "files_v2", "parent_message_uuid", "index", "model"),
    }
)


def read(paths: Sequence[Path]) -> Iterator[ImportedConversation]:
    """Yield the conversations of Claude exports; one conversation is in memory at a time.

    Args:
        paths: `conversations.json` files, plain or gzip, or folders with such files.

    Raises:
        InvalidImport: A file is missing, damaged, or not a Claude export.
    """
    for path in sources.expand(paths, *_FILES):
        refusal = sources.broken(
            path,
            "is not a Claude export: item 1 of its list has no 'chat_messages', nor do the next "
            "items",
            "Give the conversations.json of the export, or name the file's own format",
        )
        yield from recognised(_conversations(path), refusal)


def _conversations(path: Path) -> Iterator[ImportedConversation]:
    for number, item in enumerate(array_items(path), start=1):
        record = as_object(item) or {}
        if isinstance(record.get("chat_messages"), list):
            yield _conversation(record, f"{path.name}#{number}")
        else:
            own = as_text(record.get("uuid")) or f"{path.name}#{number}"
            yield unreadable(own, "conversation without messages")


def _conversation(record: dict[str, Any], fallback: str) -> ImportedConversation:
    messages = as_list(record.get("chat_messages"))
    rest = unread(record, _OF_CONVERSATION)
    project = as_object(record.get("project")) or {}
    conversation = ImportedConversation(
        external_id=as_text(record.get("uuid")) or _first_id(messages) or fallback,
        title=as_text(record.get("name")),
        created_at=from_any(record.get("created_at")),
        updated_at=from_any(record.get("updated_at")),
        sender=as_text((as_object(record.get("account")) or {}).get("uuid")),
        records=len(messages),
        custom=present(
            {
                "updated_at": from_any(record.get("updated_at")),
                "summary": as_text(record.get("summary")),
                "default_model": as_text(record.get("model")),
                "is_starred": record.get("is_starred") is True or None,
                "project": as_text(project.get("name")),
                "project_id": as_text(project.get("uuid")),
                "other_fields": rest,
            }
        ),
    )
    found = _Messages(conversation, as_text(record.get("model")))
    for place, message in enumerate(messages, start=1):
        found.add(message, place)
    if not messages:
        conversation.skipped.append(
            SkippedItem(conversation.external_id, "conversation without messages")
        )
        conversation.records = None
    found.arrange(as_text(record.get("current_leaf_message_uuid")))
    return conversation


def _first_id(messages: list[Any]) -> str | None:
    """Return the id of the first message, which stays the same when the conversation grows."""
    found = (as_text((as_object(message) or {}).get("uuid")) for message in messages)
    return next(filter(None, found), None)


class _Messages:
    """The messages of one conversation while they are read."""

    def __init__(self, conversation: ImportedConversation, model: str | None) -> None:
        self._conversation = conversation
        self._model = model
        self._ids = Ids()
        self._messages: list[ImportedMessage] = []
        self._dropped: dict[str, str | None] = {}
        self._before: str | None = None
        self._is_tree = False

    def add(self, item: object, place: int) -> None:
        """Read a record.

        Args:
            item: The record.
            place: Its position, counted from 1.
        """
        record = as_object(item)
        skipped = self._conversation.skipped
        if record is None:
            skipped.append(SkippedItem(f"#{place}", "not an object"))
            return
        own = self._ids.take(record.get("uuid"), f"#{place}", record)
        if own is None:
            again = as_text(record.get("uuid"))
            skipped.append(SkippedItem(again, "same as an earlier message"))
            return
        given = as_text(record.get("parent_message_uuid"))
        self._is_tree = self._is_tree or given is not None
        # Exports before 2026 have no parents: then a message follows the one before it.
        parent = self._before if given is None else (None if given == _NO_PARENT else given)
        message = self._read(record, own, parent)
        if message is None:
            self._dropped[own] = parent
            skipped.append(SkippedItem(own, "empty message"))
        else:
            self._messages.append(message)
        self._before = own

    def arrange(self, shown: str | None) -> None:
        """Put the messages into the conversation."""
        known = {message.external_id for message in self._messages}
        if not self._is_tree:
            for message in self._messages:
                message.parent = None
            self._conversation.messages = self._messages
            return
        if shown not in known and shown not in self._dropped:
            shown = newest(self._messages)
        flat = trees.flatten(self._messages, dropped=self._dropped, shown=shown)
        self._conversation.messages = flat.messages
        self._conversation.branches = flat.branches

    def _read(self, record: dict[str, Any], own: str, parent: str | None) -> ImportedMessage | None:
        content = claude_blocks.content_of(record, own)
        rest, more = remainder(record, _OF_MESSAGE)
        text, parts = plain([*content.parts, *more])
        if not text and not parts:
            return None
        given_role = as_text(record.get("sender"))
        role = _ROLES.get(given_role or "", "system")
        created, updated = (iso(record.get(name)) for name in ("created_at", "updated_at"))
        by_model = role == "assistant"
        return ImportedMessage(
            external_id=own,
            role=role,
            text=text,
            parts=parts,
            created_at=from_any(record.get("created_at")),
            parent=parent,
            message_type="system" if role == "system" else "standard",
            llm_provider=PROVIDER if by_model else None,
            llm_model=(as_text(record.get("model")) or self._model) if by_model else None,
            custom=present(
                {
                    "content_type": content.unknown or None,
                    "tool_notes": content.notes,
                    "updated_at": updated if updated != created else None,
                    "original_role": given_role if given_role not in _ROLES else None,
                    "other_fields": rest,
                }
            ),
        )


def _sign(seen: Glimpse) -> bool:
    if seen.opening != "[" or not seen.has("chat_messages"):
        return False
    return seen.first is None or "mapping" not in seen.first


CLAUDE = Format(
    name="claude",
    title="Claude data export",
    reader=read,
    sign=_sign,
    files=_FILES,
)
