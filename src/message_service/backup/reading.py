"""Reads collections into files: in ranges, several at a time, at as few points as possible."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any
from urllib.parse import quote

from message_service import errors
from message_service.backup import packing
from message_service.backup.manifest import PartRecord
from message_service.backup.pacing import Pace
from message_service.backup.patience import PAUSE, TRIES, patiently
from message_service.backup.repository import Repository
from message_service.database.client import Database
from message_service.database.live_catalog import LiveCollection
from message_service.database.oplog import Oplog
from message_service.database.point import OplogPoint
from message_service.database.raw_documents import id_of
from message_service.database.snapshot import SNAPSHOT_LOST, SnapshotReader, sampled_ids
from message_service.stopping import end_tasks

PART_BYTES = 16 * 1024**2
"""How many bytes of documents one file holds, about."""

_RANGE_BYTES = 64 * 1024**2
_READ_BYTES = 1024**2
_MOST_AT_ONCE = 5_000
_SAMPLES_PER_RANGE = 20


@dataclass(frozen=True, slots=True)
class Range:
    """A stretch of a collection.

    Attributes:
        collection: The collection.
        number: Its place among the ranges of the collection.
        since: The first `_id`; None for the collection's first.
        before: The first `_id` after it; None for none.
        batch: How many documents are read at a time.
    """

    collection: str
    number: int
    since: Any
    before: Any
    batch: int


@dataclass(slots=True)
class ReadCollection:
    """What was read of a collection.

    Attributes:
        parts: The files, by the number of their range and their number in it.
        content: What the documents add up to.
    """

    parts: dict[tuple[int, int], PartRecord] = field(
        default_factory=dict[tuple[int, int], PartRecord]
    )
    content: int = 0


class Points:
    """The point at which is read, renewed before the server forgets it.

    Args:
        oplog: The oplog; None reads what is there.
        seconds: How long a point is used.
    """

    def __init__(self, oplog: Oplog | None, seconds: float) -> None:
        self._oplog = oplog
        self._seconds = seconds
        self._until = 0.0
        self._lock = asyncio.Lock()
        self.at: OplogPoint | None = None
        self.wall = 0
        self.used = 0

    async def current(self, lost: OplogPoint | None = None) -> OplogPoint | None:
        """Return the point to read at.

        Args:
            lost: A point that the server could not read at.
        """
        if self._oplog is None:
            return None
        async with self._lock:
            now = asyncio.get_running_loop().time()
            if self.at is None or self.at == lost or now >= self._until:
                newest = await patiently(self._oplog.newest)
                if newest.at != self.at:
                    self.used += 1
                self.at, self.wall = newest.at, newest.wall
                self._until = now + self._seconds
            return self.at


class CollectionReader:
    """Reads collections into files.

    Args:
        database: The database.
        repository: Where the files go.
        folder: The folder for them.
        points: The points to read at.
        pace: How fast.
        parallel: How many ranges at a time.
        progress: Told the bytes of each file's documents.
    """

    def __init__(
        self,
        database: Database,
        repository: Repository,
        folder: str,
        points: Points,
        pace: Pace,
        parallel: int,
        progress: Callable[[int], object],
    ) -> None:
        self._database = database
        self._repository = repository
        self._folder = folder
        self._points = points
        self._pace = pace
        self._parallel = parallel
        self._progress = progress
        self.read: dict[str, ReadCollection] = {}

    async def run(self, collections: Sequence[LiveCollection]) -> None:
        """Read the collections.

        Raises:
            Unavailable: The server forgets points faster than a file is read.
            StorageFull: There is no room for the files.
        """
        ranges: list[Range] = []
        for each in sorted(collections, key=lambda each: -each.bytes):
            self.read[each.name] = ReadCollection()
            ranges += await patiently(partial(self._ranges, each))
        waiting = iter(ranges)
        readers = [
            asyncio.create_task(self._read_ranges(waiting))
            for _ in range(min(self._parallel, len(ranges)))
        ]
        try:
            await asyncio.gather(*readers)
        finally:
            await end_tasks(readers)

    async def _ranges(self, collection: LiveCollection) -> list[Range]:
        average = max(1, collection.bytes // max(1, collection.documents))
        batch = max(1, min(_MOST_AT_ONCE, _READ_BYTES // average))
        count = max(1, math.ceil(collection.bytes / _RANGE_BYTES))
        cuts: list[Any] = []
        if count > 1:
            drawn = await sampled_ids(self._database, collection.name, count * _SAMPLES_PER_RANGE)
            cuts = drawn[_SAMPLES_PER_RANGE::_SAMPLES_PER_RANGE]
        edges = [None, *cuts, None]
        return [
            Range(collection.name, number, since, before, batch)
            for number, (since, before) in enumerate(pairwise(edges))
        ]

    async def _read_ranges(self, waiting: Any) -> None:
        async with self._database.client.start_session(causal_consistency=False) as session:
            reader = SnapshotReader(self._database, session)
            for each in waiting:
                await _RangeReading(self, reader, each).run()

    async def store(
        self, where: Range, number: int, documents: list[bytes], at: OplogPoint | None
    ) -> None:
        """Store the documents of a file."""
        repository = self._repository
        end = packing.suffix(repository.key)
        name = f"{quote(where.collection, safe='')}.{where.number:04d}-{number:04d}.bson{end}"
        packed = await asyncio.to_thread(packing.pack, documents, repository.key)
        record = await asyncio.to_thread(repository.put, f"{self._folder}/{name}", packed)
        found = self.read[where.collection]
        found.parts[(where.number, number)] = PartRecord(**record.model_dump(), read_at=at)
        found.content = packing.add_contents((found.content, packed.content))
        self._progress(packed.raw_bytes)

    async def point(self, lost: OplogPoint | None) -> OplogPoint | None:
        """Return the point to read at."""
        return await self._points.current(lost)

    async def spend(self, size: int, seconds: float) -> None:
        """Wait until the next read may begin."""
        await self._pace.spend(size, seconds)


class _RangeReading:
    """The reading of one range: goes on behind the last stored file when a point is lost."""

    def __init__(self, owner: CollectionReader, reader: SnapshotReader, where: Range) -> None:
        self._owner = owner
        self._reader = reader
        self._where = where
        self._last: Any = None
        self._number = 0
        self._storing: asyncio.Task[None] | None = None
        self._done = False

    async def run(self) -> None:
        tries = 0
        lost: OplogPoint | None = None
        try:
            while not self._done:
                at = await self._owner.point(lost)
                before = self._number
                try:
                    await self._read(at)
                except errors.Internal as error:
                    if error.details.get("code") not in SNAPSHOT_LOST:
                        raise
                    lost = at
                except errors.Unavailable:
                    await asyncio.sleep(PAUSE)
                tries = 0 if self._number > before else tries + 1
                if tries >= TRIES:
                    raise errors.Unavailable(
                        "the server does not answer, or does not keep the state of one point for "
                        f"as long as reading {PART_BYTES // 1024**2} MB of "
                        f"{self._where.collection!r} takes; raise its "
                        "minSnapshotHistoryWindowInSeconds, or read faster (--parallel, --rate)"
                    )
            await self._stored()
        finally:
            if self._storing is not None:
                await end_tasks((self._storing,))

    async def _read(self, at: OplogPoint | None) -> None:
        """Read from behind the last file on, as long as the point is the one to read at."""
        where = self._where
        since = where.since if self._last is None else self._last
        gathered = list[bytes]()
        size = 0
        first = self._last is not None
        clock = asyncio.get_running_loop()
        began = clock.time()
        async with aclosing(
            self._reader.documents(where.collection, at, since, where.before, where.batch)
        ) as batches:
            async for batch in batches:
                documents = batch
                if first and id_of(batch[0]) == self._last:
                    documents = batch[1:]
                first = False
                gathered += documents
                read = sum(map(len, documents))
                size += read
                await self._owner.spend(read, clock.time() - began)
                if size >= PART_BYTES:
                    await self._store(gathered, at)
                    gathered, size = list[bytes](), 0
                    if await self._owner.point(None) != at:
                        return
                began = clock.time()
        if gathered:
            await self._store(gathered, at)
        self._done = True

    async def _store(self, documents: list[bytes], at: OplogPoint | None) -> None:
        """Store a file while the next one is read."""
        await self._stored()
        self._storing = asyncio.create_task(
            self._owner.store(self._where, self._number, documents, at)
        )
        self._last = id_of(documents[-1])
        self._number += 1

    async def _stored(self) -> None:
        if self._storing is not None:
            storing, self._storing = self._storing, None
            await storing
