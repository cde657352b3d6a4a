"""Reads LibreChat exports: a JSON object for each conversation, with a tree of messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from message_service import errors
from message_service.interchange.formats import librechat_messages
from message_service.interchange.reading import deep_json, sources, trees
from message_service.interchange.reading.chat_moments import from_any
from message_service.interchange.reading.chat_records import (
    Ids,
    hidden_prompt,
    newest,
    opening,
    records_in,
    stem,
)
from message_service.interchange.reading.format import Format
from message_service.interchange.reading.glimpse import Glimpse
from message_service.interchange.reading.json_reading import as_list, as_object, as_text
from message_service.interchange.reading.part_making import unread
from message_service.interchange.reading.recognition import recognised
from message_service.interchange.reading.records import (
    ImportedConversation,
    ImportedMessage,
    SkippedItem,
    present,
    unreadable,
)

_FILES = ("*.json",)
_NO_PARENT = "00000000-0000-0000-0000-000000000000"
_SYSTEM = "promptPrefix"
_OF_CONVERSATION = frozenset(
    {
        *("conversationId", "endpoint", "title", "exportAt", "branches", "recursive", "messages"),
        *("messagesTree", "options", "createdAt", "updatedAt", "user", "_id", "__v", "model"),
        *("tags", "isArchived", _SYSTEM),
    }
)


def read(paths: Sequence[Path]) -> Iterator[ImportedConversation]:
    """Yield the conversations; one file, or one item of a list, is in memory at a time.

    Args:
        paths: Exported JSON files, plain or gzip, or folders with such files.

    Raises:
        InvalidImport: A file is missing, damaged, or not a LibreChat export.
    """
    for path in sources.expand(paths, *_FILES):
        refusal = sources.broken(
            path,
            "is not a LibreChat export: it has no 'conversationId' with 'messages'",
            "Export the conversation as JSON, or name the file's own format",
        )
        yield from recognised(_conversations(path), refusal)


def _conversations(path: Path) -> Iterator[ImportedConversation]:
    for number, item in enumerate(_records(path), start=1):
        record = as_object(item) or {}
        own = as_text(record.get("conversationId")) or f"{stem(path)}#{number}"
        if _is_conversation(record):
            yield _conversation(record, own)
        else:
            yield unreadable(own, "conversation without messages")


def _records(path: Path) -> Iterator[Any]:
    """Yield the records of a file; nested replies may be deeper than the usual parser reads."""
    try:
        yield from records_in(path)
    except errors.InvalidImport as error:
        if not isinstance(error.__cause__, RecursionError) or opening(path) == b"[":
            raise
        yield deep_json.value_in(path)


def _is_conversation(record: dict[str, Any]) -> bool:
    return "conversationId" in record and ("messages" in record or "messagesTree" in record)


def _conversation(record: dict[str, Any], own: str) -> ImportedConversation:
    options = as_object(record.get("options")) or {}
    updated = from_any(record.get("updatedAt"))
    rest = unread(record, _OF_CONVERSATION)
    more = unread(options, {_SYSTEM, "model"})
    found = _Messages(as_text(record.get("endpoint")))
    found.add_system(as_text(options.get(_SYSTEM)) or as_text(record.get(_SYSTEM)))
    for field in ("messagesTree", "messages"):
        given = record.get(field)
        found.walk([given] if as_object(given) is not None else as_list(given))
    flat = trees.flatten(found.messages, dropped=found.dropped, shown=newest(found.messages))
    if not found.records:
        found.skipped.append(SkippedItem(own, "conversation without messages"))
    return ImportedConversation(
        external_id=own,
        title=as_text(record.get("title")),
        created_at=from_any(record.get("createdAt")),
        updated_at=updated,
        sender=as_text(record.get("user")) or found.user,
        messages=flat.messages,
        branches=flat.branches,
        skipped=found.skipped,
        records=found.records or None,
        custom=present(
            {
                "updated_at": updated,
                "endpoint": as_text(record.get("endpoint")),
                "default_model": as_text(options.get("model")) or as_text(record.get("model")),
                "tags": [tag for tag in as_list(record.get("tags")) if isinstance(tag, str)],
                "is_archived": record.get("isArchived") is True or None,
                "options": more,
                "other_fields": rest,
            }
        ),
    )


@dataclass(slots=True)
class _Node:
    """A record on its way: the nesting names its parent, or its own field does."""

    item: Any
    place: str
    parent: str | None


class _Messages:
    """The messages of one conversation while they are read."""

    def __init__(self, endpoint: str | None) -> None:
        self._endpoint = endpoint
        self._ids = Ids()
        self._root: str | None = None
        self._last_of: dict[str, str] = {}
        self.messages: list[ImportedMessage] = []
        self.dropped: dict[str, str | None] = {}
        self.skipped: list[SkippedItem] = []
        self.records = 0
        self.user: str | None = None

    def add_system(self, text: str | None) -> None:
        """Put the system prompt, which is not shown, before all messages."""
        if text is not None:
            self._root = self._ids.take(_SYSTEM, _SYSTEM, {})
            self.messages.append(hidden_prompt(_SYSTEM, text))

    def walk(self, items: Sequence[Any]) -> None:
        """Read messages with the replies nested in them, in the order of the file."""
        listed = [as_object(item) or {} for item in items]
        linear = not any("parentMessageId" in item or "children" in item for item in listed)
        before: str | None = None
        pending = [
            _Node(item, f"#{place}", None)
            for place, item in reversed(list(enumerate(items, start=1)))
        ]
        while pending:
            node = pending.pop()
            record = as_object(node.item)
            if record is None:
                if node.item is not None:
                    self._skip(node.place, "not an object")
                continue
            if linear:
                node.parent = before
            own = before = self._add(record, node)
            replies = list(enumerate(as_list(record.get("children")), start=1))
            pending += [
                _Node(reply, f"{own}/{place}", own)
                for place, reply in reversed(replies)
                # `children` may also hold ids only, of messages that stand in the list.
                if not isinstance(reply, str)
            ]
        for message in self.messages:
            last = self._last_of.get(message.parent or "")
            if last is not None and not message.custom.get("in_message"):
                message.parent = last

    def _add(self, record: dict[str, Any], node: _Node) -> str:
        """Read one record; return the id that its replies have as their parent."""
        given = as_text(record.get("messageId"))
        own = self._ids.take(given, node.place, {**record, "children": None})
        if own is None:
            self._skip(given or node.place, "same as an earlier message")
            return given or node.place
        self.records += 1
        parent = node.parent or as_text(record.get("parentMessageId"))
        if parent in (None, _NO_PARENT):
            parent = self._root
        found = librechat_messages.messages_of(record, own, self._endpoint)
        if not found:
            self.dropped[own] = parent
            self.skipped.append(SkippedItem(own, "empty message"))
            return own
        if self.user is None and found[0].role == "user":
            self.user = found[0].sender
        for message in found:
            if message.external_id != own:  # a piece of a message
                piece = {"piece_of": own}
                taken = self._ids.take(message.external_id, own, piece)
                message.external_id = taken or message.external_id
            message.parent, parent = parent, message.external_id
        self.messages.extend(found)
        self._last_of[own] = found[-1].external_id
        return own

    def _skip(self, own: str, reason: str) -> None:
        self.records += 1
        self.skipped.append(SkippedItem(own, reason))


def _sign(seen: Glimpse) -> bool:
    if seen.first is not None:
        return _is_conversation(seen.first)
    return seen.opening in ("{", "[") and seen.has("conversationId", "messageId")


LIBRECHAT = Format(
    name="librechat",
    title="LibreChat export",
    reader=read,
    sign=_sign,
    files=_FILES,
)
