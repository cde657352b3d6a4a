"""Reads SillyTavern and TavernAI chats: JSON Lines, one message per line, one chat per file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from message_service.interchange.formats import tavern_messages
from message_service.interchange.reading import sources, trees
from message_service.interchange.reading.chat_moments import from_any
from message_service.interchange.reading.chat_records import stem
from message_service.interchange.reading.format import Format
from message_service.interchange.reading.glimpse import Glimpse
from message_service.interchange.reading.json_reading import as_object, as_text
from message_service.interchange.reading.part_making import json_text, unread
from message_service.interchange.reading.records import (
    ImportedConversation,
    ImportedMessage,
    SkippedItem,
    present,
)

_FILES = ("*.jsonl",)
_UNUSED = "unused"
"""What newer headers have instead of names."""

_PATIENCE = 20
_OF_HEADER = frozenset(
    {"user_name", "character_name", "create_date", "chat_metadata", "notes", "name", "mes"}
)


def read(paths: Sequence[Path]) -> Iterator[ImportedConversation]:
    """Yield one conversation for each file; one file is in memory at a time.

    The swipes of a message become branches; the swipe that is shown is on `main`.

    Args:
        paths: Files of chats, plain or gzip, or folders with such files.

    Raises:
        InvalidImport: A file is missing, damaged, or no SillyTavern chat.
    """
    for path in sources.expand(paths, *_FILES):
        yield _conversation(path)


def _conversation(path: Path) -> ImportedConversation:
    chat = _Chat(path)
    for number, line in sources.lines(path):
        if line.strip():
            chat.add(number, line)
    return chat.conversation()


class _Chat:
    """A chat while its lines are read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._header: dict[str, Any] = {}
        self._lines: list[tuple[str, dict[str, Any]]] = []  # with their positions
        self._skipped: list[SkippedItem] = []
        self._bad = 0
        self._records = 0

    def add(self, number: int, line: str) -> None:
        """Read a line.

        Positions leave out the header, because files got one only after some time.

        Raises:
            InvalidImport: None of the first lines is a SillyTavern line.
        """
        self._records += 1
        try:
            record = as_object(json.loads(line))
        except (ValueError, RecursionError):
            record = None
        if record is not None and _is_header(record):
            self._header |= record
            self._records -= 1
            return
        position = str(len(self._lines) + self._bad + 1)
        if record is not None and _is_message(record):
            self._lines.append((position, record))
            return
        self._bad += 1
        self._skipped.append(SkippedItem(f"line {number}", "line without a message"))
        if self._bad == _PATIENCE:
            self._check()

    def conversation(self) -> ImportedConversation:
        """Return the conversation.

        Raises:
            InvalidImport: The file is no SillyTavern chat.
        """
        self._check()
        owner, character = self._names()
        metadata = dict(as_object(self._header.get("chat_metadata")) or {})
        note = as_text(metadata.pop("note_prompt", None))
        rest = unread(self._header, _OF_HEADER)
        name = stem(self._path)
        messages = self._messages(owner, character)
        conversation = ImportedConversation(
            external_id=f"{character}/{name}" if character else name,
            title=name,
            created_at=from_any(self._header.get("create_date")),
            sender=owner,
            character=character,
            skipped=self._skipped,
            records=self._records or None,
            custom=present(
                {
                    "note_prompt": note,
                    "notes": as_text(self._header.get("notes")),
                    "chat_metadata": json_text(metadata) if metadata else None,
                    "other_fields": rest,
                }
            ),
        )
        flat = trees.flatten(messages, shown=self._shown)
        conversation.messages, conversation.branches = flat.messages, flat.branches
        if not self._lines:
            self._skipped.append(SkippedItem(conversation.external_id, "chat without messages"))
        return conversation

    def _messages(self, owner: str | None, character: str | None) -> list[ImportedMessage]:
        messages: list[ImportedMessage] = []
        self._shown: str | None = None
        for position, record in self._lines:
            found = tavern_messages.alternatives(record, position, self._skipped)
            for message in found:
                message.parent = self._shown
                if message.role != "user" and message.custom.get("name") == character:
                    del message.custom["name"]
                elif message.role == "user" and message.sender == owner:
                    message.sender = None
            messages.extend(found)
            if found:
                self._shown = found[0].external_id
        return messages

    def _check(self) -> None:
        if not self._header and not self._lines:
            raise sources.broken(
                self._path,
                "is not a SillyTavern chat: it holds no line with 'mes' and 'name', and no header",
                "Give a file of the folder 'chats', or name the file's own format",
            )

    def _names(self) -> tuple[str | None, str | None]:
        """Return the names of the user and the character, from the header or the messages."""
        found: list[str | None] = []
        for field, is_user in (("user_name", True), ("character_name", False)):
            given = as_text(self._header.get(field))
            spoken = (
                as_text(record.get("name"))
                for _, record in self._lines
                if (record.get("is_user") is True) is is_user
                and record.get("is_system") is not True
            )
            if given in (None, _UNUSED):
                given = next(filter(None, spoken), None)
            found.append(given)
        return found[0], found[1]


def _is_header(record: Mapping[str, Any]) -> bool:
    named = "user_name" in record and "character_name" in record
    return "mes" not in record and (named or as_object(record.get("chat_metadata")) is not None)


def _is_message(record: Mapping[str, Any]) -> bool:
    return "mes" in record and ("name" in record or "is_user" in record)


def _sign(seen: Glimpse) -> bool:
    if seen.opening != "{":
        return False
    if seen.first is None:  # a long first message
        return seen.has("is_user", "mes")
    return _is_header(seen.first) or (_is_message(seen.first) and "is_user" in seen.first)


SILLYTAVERN = Format(
    name="sillytavern",
    title="SillyTavern chat",
    reader=read,
    sign=_sign,
    files=_FILES,
)
