"""Reads Open WebUI exports: a list of chats, each with a tree of messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from message_service.interchange.formats import openwebui_messages
from message_service.interchange.reading import sources, trees
from message_service.interchange.reading.chat_moments import from_any
from message_service.interchange.reading.chat_records import (
    Ids,
    hidden_prompt,
    newest,
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

_FILES = ("*chat*.json", "*.json")
_SYSTEM = "system"
_OF_CHAT = frozenset({"id", "title", "models", "params", "tags", "timestamp", "messages"})
_OF_RECORD = frozenset(
    {
        *("id", "user_id", "title", "chat", "updated_at", "created_at", "archived", "pinned"),
        *("meta", "history", "folder_id", "share_id"),
    }
)


def read(paths: Sequence[Path]) -> Iterator[ImportedConversation]:
    """Yield the chats; one chat is in memory at a time.

    Args:
        paths: Exported JSON files (lists of chats, or one chat), plain or gzip, or folders with
            such files.

    Raises:
        InvalidImport: A file is missing, damaged, or not an Open WebUI export.
    """
    for path in sources.expand(paths, *_FILES):
        refusal = sources.broken(
            path,
            "is not an Open WebUI export: item 1 has no 'chat' with 'history' or 'messages', nor "
            "do the next items",
            "Export the chats as JSON, or name the file's own format",
        )
        yield from recognised(_conversations(path), refusal)


def _conversations(path: Path) -> Iterator[ImportedConversation]:
    for number, item in enumerate(records_in(path), start=1):
        record = as_object(item) or {}
        chat = _chat(record)
        fallback = f"{stem(path)}#{number}"
        if chat is None:
            yield unreadable(as_text(record.get("id")) or fallback, "chat without messages")
        else:
            yield _conversation(record, chat, fallback)


def _chat(record: dict[str, Any]) -> dict[str, Any] | None:
    """Return the chat of a record; the oldest exports have no object around it."""
    chat = as_object(record.get("chat"))
    if chat is not None and ("history" in chat or isinstance(chat.get("messages"), list)):
        return chat
    history = as_object(record.get("history")) or {}
    return record if as_object(history.get("messages")) is not None else None


def _conversation(
    record: dict[str, Any], chat: dict[str, Any], fallback: str
) -> ImportedConversation:
    history = as_object(chat.get("history")) or {}
    nodes = as_object(history.get("messages")) or {}
    listed = as_list(chat.get("messages"))
    own = as_text(record.get("id")) or as_text(chat.get("id"))
    own = own or next(iter(nodes), None) or fallback
    updated = from_any(record.get("updated_at"))
    found = _Messages()
    found.add_system(as_text((as_object(chat.get("params")) or {}).get("system")))
    found.add_tree(nodes)
    found.add_list(listed)
    shown = as_text(history.get("currentId"))
    if shown not in found.known:
        shown = newest(found.messages)
    flat = trees.flatten(found.messages, dropped=found.dropped, shown=shown)
    if not found.known:
        found.skipped.append(SkippedItem(own, "chat without messages"))
    meta = as_object(record.get("meta")) or {}
    tags = [*as_list(meta.get("tags")), *as_list(chat.get("tags"))]
    return ImportedConversation(
        external_id=own,
        title=as_text(record.get("title")) or as_text(chat.get("title")),
        created_at=from_any(record.get("created_at")) or from_any(chat.get("timestamp")),
        updated_at=updated,
        sender=as_text(record.get("user_id")),
        messages=flat.messages,
        branches=flat.branches,
        skipped=found.skipped,
        records=len(nodes) if nodes and found.listed == 0 else None,
        custom=present(
            {
                "updated_at": updated,
                "models": [name for name in as_list(chat.get("models")) if as_text(name)],
                "params": unread(as_object(chat.get("params")) or {}, {_SYSTEM}),
                "tags": list(dict.fromkeys(tag for tag in tags if isinstance(tag, str))),
                "is_archived": record.get("archived") is True or None,
                "is_starred": record.get("pinned") is True or None,
                "folder_id": as_text(record.get("folder_id")),
                "share_id": as_text(record.get("share_id")),
                "other_fields": unread({**chat, **record}, _OF_CHAT | _OF_RECORD),
            }
        ),
    )


class _Messages:
    """The messages of one chat while they are read.

    Attributes:
        messages: The messages to store.
        dropped: The others, with their parents.
        known: The ids of all records.
        listed: How many records stand only in the chat's list.
        skipped: The items that are not stored.
    """

    def __init__(self) -> None:
        self._ids = Ids()
        self._root: str | None = None
        self.messages: list[ImportedMessage] = []
        self.dropped: dict[str, str | None] = {}
        self.known: set[str] = set()
        self.listed = 0
        self.skipped: list[SkippedItem] = []

    def add_system(self, text: str | None) -> None:
        """Put the system prompt, which is not shown, before all messages."""
        if text is not None:
            self._root = self._ids.take(_SYSTEM, _SYSTEM, {})
            self.messages.append(hidden_prompt(_SYSTEM, text))

    def add_tree(self, nodes: Mapping[str, Any]) -> None:
        """Read the tree, in the order in which each message lists its replies."""
        parents: dict[str, str] = {}
        position: dict[str, int] = {}
        for identifier, node in nodes.items():
            for place, child in enumerate(as_list((as_object(node) or {}).get("childrenIds"))):
                if isinstance(child, str):
                    position[child] = place
                    parents.setdefault(child, identifier)
        for identifier in sorted(nodes, key=lambda name: position.get(name, len(nodes))):
            self._add(identifier, nodes[identifier], parents.get(identifier))

    def add_list(self, items: Sequence[Any]) -> None:
        """Read the messages of the chat's list that are not in its tree.

        The list repeats the shown path of the tree; the oldest exports have only the list.
        """
        before: str | None = None
        for place, item in enumerate(items, start=1):
            own = as_text((as_object(item) or {}).get("id")) or f"#{place}"
            if own not in self.known:
                self.listed += 1
                self._add(own, item, before)
            before = own

    def _add(self, own: str, item: object, parent: str | None) -> None:
        record = as_object(item)
        self.known.add(own)
        if record is None:
            self.dropped[own] = parent
            self.skipped.append(SkippedItem(own, "not an object"))
            return
        own = self._ids.take(own, own, {"node": own}) or own
        parent = as_text(record.get("parentId")) or parent or self._root
        found = openwebui_messages.messages_of(record, own)
        if not found:
            self.dropped[own] = parent
            self.skipped.append(SkippedItem(own, "empty message"))
        for message in found:
            if message.external_id != own:
                taken = self._ids.take(message.external_id, own, {"beside": own})
                message.external_id = taken or message.external_id
            message.parent = parent
        self.messages.extend(found)


def _sign(seen: Glimpse) -> bool:
    if seen.first is not None:
        return "mapping" not in seen.first and _chat(seen.first) is not None
    return seen.opening in ("[", "{") and seen.has("history", "parentId", "childrenIds")


OPENWEBUI = Format(
    name="openwebui",
    title="Open WebUI export",
    reader=read,
    sign=_sign,
    files=_FILES,
)
