"""Writes the search index and the enrichment of messages after the appends.

The write that changes a message also marks it; the marked messages are the work list. The indexer
reads the list, most urgent first, writes the entries, and then clears the marks. Both writes are
guarded by the message's revision: an indexer that was frozen while it held an older state can
neither overwrite a newer entry nor clear the mark of a newer change. If an indexer dies between the
two writes, the mark remains and the work is done again; every step is idempotent. The change stream
only wakes the indexer sooner; it does not decide what is indexed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from message_service import errors
from message_service.catalogue.followers.enrichment import ENRICHMENT
from message_service.catalogue.queries.indexing import (
    ENTRIES_BEFORE,
    ENTRY_NOT_NEWER,
)
from message_service.clock import Clock
from message_service.database.store import Store
from message_service.database.wake import WakeUp
from message_service.documents.row import Row
from message_service.enrichment.lemmas import dictionaries_read
from message_service.enrichment.pipeline import Enriched, enrich
from message_service.loops.loop import Loop
from message_service.messages.content import LANGUAGE_PATH
from message_service.messages.following import MESSAGES_CHANGED, update_unchanged
from message_service.messages.parts import found_by
from message_service.search.entries import (
    continued,
    given_paths,
    is_searchable,
    message_update,
    passed_over,
    removed_entry,
    search_entry,
)
from message_service.search.sweep import Sweep
from message_service.stopping import StopSignal, end_tasks

_READ = 512
_WRITE = 128
_WRITE_CHARACTERS = 400_000
_TURN = 4

_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class IndexingProgress:
    """Counts of an indexer since it was created.

    Attributes:
        indexed: Messages whose entry was written.
        removed: Messages whose entry was removed.
        passed_over: Messages that could not be indexed; `enrichment.refused` says why.
    """

    indexed: int = 0
    removed: int = 0
    passed_over: int = 0

    @property
    def done(self) -> int:
        """Messages taken off the work list."""
        return self.indexed + self.removed + self.passed_over


@dataclass(frozen=True, slots=True)
class _Ready:
    """One message with its entry and its update, ready to be written."""

    message: Row
    entry: Row
    searchable: bool
    update: Mapping[str, Any]


class Indexer(Loop):
    """Indexes the messages of all tenants.

    Args:
        store: The database.
        clock: The present moment.
        poll: Seconds between looks at the work list when nothing wakes it.
        phone_regions: The deployment's regions (`Settings.phone_regions`).
    """

    name = "search_indexer"

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        poll: float,
        phone_regions: tuple[str, ...] = (),
    ) -> None:
        self._store = store
        self._phone_regions = phone_regions
        self._clock = clock
        self.wake = WakeUp(store.database, "messages", MESSAGES_CHANGED, poll)
        self._sweep = Sweep(store, clock)
        self._writing: asyncio.Task[None] | None = None
        self._in_flight = set[Any]()
        self.progress = IndexingProgress()

    async def drain(
        self, most: int | None = None, stop: StopSignal | None = None
    ) -> IndexingProgress:
        """Index until nothing is due, without the lease; return the counts.

        Args:
            most: Stop after about this many messages; None goes on to the end.
            stop: Asks to stop after the step in progress.

        Raises:
            Unavailable: The database cannot be reached; finished work is kept.
        """
        begun = self.progress.done
        while not (stop is not None and stop.requested) and await self.step():
            if most is not None and self.progress.done - begun >= most:
                break
        await self.settle()
        return self.progress

    async def close(self) -> None:
        """End a write that a cancelled `drain` may have left in flight."""
        if self._writing is not None:
            await end_tasks((self._writing,))

    async def finish(self) -> None:
        """Finish the write of the last step."""
        try:
            await self.settle()
        finally:
            await self.close()

    def figures(self) -> Mapping[str, int]:
        """Return the counts so far."""
        return asdict(self.progress)

    async def step(self) -> bool:
        """Do one round of work; False when nothing is due.

        The last write of a step may still be in flight when this returns; the next step and
        `settle` wait for it.
        """
        rows = await self._store.find_everywhere(
            ENRICHMENT.work, limit=_READ + len(self._in_flight), committed=True
        )
        due = [row for row in rows if row["_id"] not in self._in_flight]
        if not due:
            if self._writing is None:
                return await self._sweep.step()
            await self.settle()
            return True
        for part in _parts(due):
            # Each part is computed while the server writes the part before.
            ready = await self._work_out(part)
            await self.settle()
            self._in_flight = {message["_id"] for message in part}
            self._writing = asyncio.create_task(self._write(ready))
        return True

    async def settle(self) -> None:
        """Wait for the write in flight.

        Raises:
            Unavailable: It failed; the messages are still due.
        """
        writing, self._writing = self._writing, None
        if writing is not None:
            try:
                await asyncio.shield(writing)
            except asyncio.CancelledError:
                self._writing = writing
                raise
        self._in_flight = set[Any]()

    async def _work_out(self, messages: Sequence[Row]) -> list[_Ready]:
        await dictionaries_read()
        now = self._clock.now()
        ready: list[_Ready] = []
        for place, message in enumerate(messages):
            ready.append(_worked_out(message, now, self._phone_regions))
            if place % _TURN == 0:
                await asyncio.sleep(0)  # let the write under way and other tasks go on
        return ready

    async def _write(self, ready: Sequence[_Ready]) -> None:
        """Write entries first, then clear the marks."""
        try:
            await self._write_entries(ready)
            await self._take_off(ready)
        except errors.Unavailable:
            raise
        except errors.MessageServiceError as error:
            if len(ready) > 1:
                for item in ready:
                    await self._write([item])
                return
            # A message that the server refuses must not hold up the others.
            message = ready[0].message
            _LOG.error("message %s not indexed: %s", message["message_id"], error.code)
            update = passed_over(error.code, self._clock.now())
            await self._take_off([replace(ready[0], update=update)])
            self.progress.passed_over += 1
        else:
            self.progress.indexed += sum(1 for item in ready if item.searchable)
            self.progress.removed += sum(1 for item in ready if not item.searchable)

    async def _write_entries(self, ready: Sequence[_Ready]) -> None:
        # An insert costs the server half as much as an upsert; most messages are indexed once.
        first = [
            continued(item.entry, None)
            for item in ready
            if item.searchable and "version" not in item.message["enrichment"]
        ]
        there = set[Any]()
        if first:
            refused = await self._store.insert(
                ENTRY_NOT_NEWER.collection, first, ordered=False, comment="indexing.first"
            )
            for refusal in refused:
                if not isinstance(refusal.error, errors.AlreadyExists):
                    raise refusal.error
                there.add(first[refusal.position]["_id"])
        inserted = {entry["_id"] for entry in first} - there
        rest = [item for item in ready if item.entry["_id"] not in inserted]
        if not rest:
            return
        rows = await self._store.find_everywhere(
            ENTRIES_BEFORE, ids=[item.entry["_id"] for item in rest if item.searchable]
        )
        before: dict[Any, Row] = {row["_id"]: row for row in rows}
        kept = [
            (
                _entry_key(item.message),
                continued(item.entry, before.get(item.entry["_id"]))
                if item.searchable
                else item.entry,
            )
            for item in rest
        ]
        await self._store.replace_each(ENTRY_NOT_NEWER, kept)

    async def _take_off(self, ready: Sequence[_Ready]) -> None:
        await update_unchanged(self._store, [(item.message, item.update) for item in ready])


def _worked_out(message: Row, now: datetime, phone_regions: tuple[str, ...]) -> _Ready:
    enriched = _enriched(message, phone_regions)
    given = given_paths(message, enriched)
    update = message_update(message, enriched, given, now)
    if not is_searchable(message, now):
        return _Ready(message, removed_entry(message, now), False, update)
    return _Ready(message, search_entry(message, enriched, given, now), True, update)


def _enriched(message: Row, phone_regions: tuple[str, ...]) -> Enriched:
    enrichment: Row = message.get("enrichment") or {}
    given: Sequence[str] = enrichment.get("given", ())
    content: Row = message["content"]
    language = content.get("detected_language") if LANGUAGE_PATH in given else None
    return enrich(
        content["text"],
        found_by=found_by(content),
        language=language,
        phone_regions=phone_regions,
    )


def _entry_key(message: Row) -> dict[str, Any]:
    return {
        "conversation_id": message["conversation_id"],
        "message_id": message["message_id"],
        "revision": message["revision"],
    }


def _parts(rows: Sequence[Row]) -> list[list[Row]]:
    """Cut a list into parts bounded in number and characters."""
    parts: list[list[Row]] = [[]]
    size = 0
    for row in rows:
        length = len(found_by(row["content"]))
        if parts[-1] and (len(parts[-1]) >= _WRITE or size + length > _WRITE_CHARACTERS):
            parts.append([])
            size = 0
        parts[-1].append(row)
        size += length
    return parts
