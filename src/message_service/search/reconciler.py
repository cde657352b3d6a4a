"""Compares the messages with the index, entry by entry, and repairs what differs.

Both are read once, in the same order and side by side, in bounded memory. A message on the work
list does not count as a difference: the indexer will process it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from message_service.arguments import check_flag
from message_service.catalogue.follower import BACKLOG
from message_service.catalogue.followers.enrichment import ENRICHMENT
from message_service.catalogue.queries.indexing import (
    CHECKED_ENTRIES,
    CHECKED_MESSAGES,
    ENTRY_BY_MESSAGE,
)
from message_service.catalogue.queries.messages import MESSAGE_BY_ID
from message_service.clock import Clock
from message_service.database.bulk import TargetedUpdate
from message_service.database.store import Store
from message_service.documents.row import Row
from message_service.ids import IdKind, check_id
from message_service.search.entries import is_searchable

_LISTED = 100
_REPAIRED_AT_ONCE = 500

Key = tuple[str, str, str]


@dataclass(slots=True)
class IndexCheck:
    """The result of a check.

    Attributes:
        messages: Messages compared.
        entries: Entries compared.
        waiting: Messages on the indexer's work list, which are not compared.
        missing: Searchable messages without an entry.
        stale: Messages whose entry is of an earlier revision.
        refused: Missing and stale messages that the index could not take; a repair tries them
            again.
        orphans: Entries without a searchable message.
        repaired: Whether the differences were repaired: missing and stale ones put on the work
            list, orphans removed.
        examples: The first 100 differences: kind, tenant, conversation, message.
    """

    messages: int = 0
    entries: int = 0
    waiting: int = 0
    missing: int = 0
    stale: int = 0
    refused: int = 0
    orphans: int = 0
    repaired: bool = False
    examples: list[tuple[str, str, str, str]] = field(
        default_factory=list[tuple[str, str, str, str]]
    )

    @property
    def clean(self) -> bool:
        """Whether index and messages agree, apart from waiting messages."""
        return not (self.missing or self.stale or self.orphans)


class Reconciler:
    """Checks the search index of all tenants.

    Args:
        store: The database.
        clock: The present moment.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def check(
        self, *, conversation_id: str | None = None, repair: bool = False
    ) -> IndexCheck:
        """Compare messages and entries.

        Args:
            conversation_id: One conversation (of any tenant); None for the whole store.
            repair: Repair what is found.

        Raises:
            InvalidInput: Not a conversation id (`InvalidId`), or `repair` is not True or False.
        """
        if conversation_id is not None:
            check_id(IdKind.CONVERSATION, "conversation_id", conversation_id)
        check_flag("repair", repair)
        found = IndexCheck(repaired=repair)
        due: list[Key] = []
        orphans: list[Key] = []
        now = self._clock.now()
        async for key, message, entry in self._side_by_side(conversation_id):
            found.messages += message is not None
            if entry is not None and entry.get("removed"):
                entry = None
            found.entries += entry is not None
            kind = _difference(message, entry, now)
            if kind is None:
                continue
            if kind == "waiting":
                found.waiting += 1
                continue
            found.refused += "refused" in ((message or {}).get("enrichment") or {})
            self._count(found, kind, key)
            if repair:
                (orphans if kind == "orphan" else due).append(key)
                if len(due) + len(orphans) >= _REPAIRED_AT_ONCE:
                    await self._repair(due, orphans)
        if repair:
            await self._repair(due, orphans)
        return found

    @staticmethod
    def _count(found: IndexCheck, kind: str, key: Key) -> None:
        found.missing += kind == "missing"
        found.stale += kind == "stale"
        found.orphans += kind == "orphan"
        if len(found.examples) < _LISTED:
            conversation_id, tenant_id, message_id = key
            found.examples.append((kind, tenant_id, conversation_id, message_id))

    async def _side_by_side(
        self, conversation_id: str | None
    ) -> AsyncIterator[tuple[Key, Row | None, Row | None]]:
        """Yield each message with its entry, either of which may be absent."""
        messages = self._store.stream_everywhere(CHECKED_MESSAGES, conversation_id=conversation_id)
        entries = self._store.stream_everywhere(CHECKED_ENTRIES, conversation_id=conversation_id)
        message, entry = await anext(messages, None), await anext(entries, None)
        while message is not None or entry is not None:
            message_key = None if message is None else _key(message)
            entry_key = None if entry is None else _key(entry)
            if entry_key is None or (message_key is not None and message_key < entry_key):
                assert message_key is not None
                yield message_key, message, None
                message = await anext(messages, None)
            elif message_key is None or entry_key < message_key:
                yield entry_key, None, entry
                entry = await anext(entries, None)
            else:
                yield entry_key, message, entry
                message, entry = await anext(messages, None), await anext(entries, None)

    async def _repair(self, due: list[Key], orphans: list[Key]) -> None:
        mark = ENRICHMENT.marked(self._clock.now(), BACKLOG)
        changes = [TargetedUpdate(key[1], _values(key), {"$min": mark}) for key in due]
        if changes:
            await self._store.update_each(MESSAGE_BY_ID, changes)
        for key in orphans:
            await self._remove(key)
        due.clear()
        orphans.clear()

    async def _remove(self, key: Key) -> None:
        """Remove an orphan, unless its message has appeared since."""
        message = await self._store.scope(key[1]).find_one(MESSAGE_BY_ID, **_values(key))
        if message is None or not is_searchable(message, self._clock.now()):
            await self._store.delete_each(ENTRY_BY_MESSAGE, [(key[1], _values(key))])


def _difference(message: Row | None, entry: Row | None, now: datetime) -> str | None:
    if message is None:
        return None if entry is None else "orphan"
    if "pending" in (message.get("enrichment") or {}):
        return "waiting"
    if not is_searchable(message, now):
        return None if entry is None else "orphan"
    if entry is None:
        return "missing"
    return "stale" if entry.get("revision") != message["revision"] else None


def _key(row: Row) -> Key:
    return row["conversation_id"], row["tenant_id"], row["message_id"]


def _values(key: Key) -> dict[str, Any]:
    return {"conversation_id": key[0], "message_id": key[2]}
