"""Copies restored documents into the live database, beside what is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from message_service.backup.selection import CONVERSATIONS, Selection
from message_service.catalogue.follower import BACKLOG
from message_service.catalogue.marks import mark, unmarked
from message_service.clock import Clock
from message_service.database.raw_documents import decode, encode, id_of
from message_service.database.rebuilding import Rebuilding
from message_service.documents.row import Row

MESSAGES = "messages"
_KEPT = ("conversation_branches", "message_versions", "conversation_summaries", MESSAGES)
"""What makes a conversation; the rest follows from it. The conversation itself comes last."""

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class PutBack:
    """What came back, by collection.

    Attributes:
        added: Documents that were missing.
        replaced: Documents that were others.
        kept: Documents that are there, and were left as they are.
    """

    added: dict[str, int]
    replaced: dict[str, int]
    kept: dict[str, int]


class PuttingBack:
    """Copies a selection from one database into another.

    Args:
        source: The database it was restored into.
        live: The live database.
        selection: What of it.
        clock: Source of the present moment.
        replace: Whether documents that are there are replaced.
    """

    def __init__(
        self,
        source: Rebuilding,
        live: Rebuilding,
        selection: Selection,
        clock: Clock,
        *,
        replace: bool,
    ) -> None:
        self._source = source
        self._live = live
        self._selection = selection
        self._clock = clock
        self._replace = replace
        self._done = PutBack({}, {}, {})

    async def run(self) -> PutBack:
        """Copy."""
        there = await self._source.names()
        whole = sorted(self._selection.collections)
        for name in (*whole, *(each for each in (*_KEPT, CONVERSATIONS) if each not in whole)):
            if name in there and self._selection.has(name):
                await self._copy(name)
        return self._done

    async def _copy(self, name: str) -> None:
        for counts in (self._done.added, self._done.replaced, self._done.kept):
            counts[name] = 0
        gathered: list[bytes] = []
        async for document in self._source.documents(name):
            gathered.append(document)
            if len(gathered) >= _AT_ONCE:
                await self._put(name, gathered)
                gathered = []
        await self._put(name, gathered)

    async def _put(self, name: str, documents: Sequence[bytes]) -> None:
        ids = [id_of(each) for each in documents]
        there = {encode({"_id": id_of(each)}): each for each in await self._live.read(name, ids)}
        missing: list[bytes] = []
        others: list[tuple[Any, bytes | None]] = []
        for identity, document in zip(ids, documents, strict=True):
            present = there.get(encode({"_id": identity}))
            if present is None:
                missing.append(self._marked(name, document, None))
            elif self._replace and present != document:
                others.append((identity, self._marked(name, document, present)))
        refused = await self._live.insert(name, missing)
        await self._live.write(name, others)
        self._done.added[name] += len(missing) - refused
        self._done.replaced[name] += len(others)
        self._done.kept[name] += len(documents) - len(missing) + refused - len(others)

    def _marked(self, name: str, document: bytes, present: bytes | None) -> bytes:
        """Return a document as it is put back: a message with the marks of work due."""
        if name != MESSAGES:
            return document
        values: Row = unmarked(decode(document))
        if present is not None:
            # Whoever has read the one that is there must see that it is another.
            values["revision"] = int(decode(present).get("revision", 0)) + 1
        return encode(mark(values, self._clock.now(), BACKLOG))
