"""A full backup: the whole database as it was at one point, while others write.

Collections are read at a point that the server still knows. It forgets points after some minutes,
so a long backup goes on at a newer one; what was written between the first and the last point is
in the backup too, from the oplog, and a restore replays it over what was read. That gives the state
of the last point, whatever point each file was read at: the entries of an oplog may be applied to
documents that have them already.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from urllib.parse import quote

from message_service import errors
from message_service.backup import packing
from message_service.backup.manifest import (
    FORMAT,
    CollectionRecord,
    FileRecord,
    FullManifest,
)
from message_service.backup.pacing import Pace
from message_service.backup.patience import patiently
from message_service.backup.reading import CollectionReader, Points
from message_service.backup.repository import BACKUPS, Repository
from message_service.backup.schema_changes import STRUCTURE, command_of
from message_service.clock import Clock
from message_service.database.client import Database
from message_service.database.live_catalog import LiveCatalog, LiveCollection, read_catalog
from message_service.database.oplog import Moment, Oplog
from message_service.database.point import OplogPoint
from message_service.database.raw_documents import decode, to_canonical_json
from message_service.documents.row import Row
from message_service.schema import schema_state

_TRIES = 3
_ROOM_SHARE = 0.5
POINT_SECONDS = 200.0
"""How long one point is read at by default; servers keep points for 300 seconds by default."""

SHARE = 0.65
"""The share of the time that is read by default; the server has the rest for others."""

_STAMP = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True)
class BackupProgress:
    """How far something is.

    Attributes:
        what: What is done now.
        done: Bytes of documents that are done.
        total: Bytes there are, about; 0 when nobody knows.
    """

    what: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Pacing:
    """How a backup reads.

    Attributes:
        parallel: How many ranges are read at a time.
        rate: Most bytes of documents per second; None for any number.
        point_seconds: How long one point is read at.
        share: The share of the time that is read.
    """

    parallel: int
    rate: float | None
    point_seconds: float
    share: float = SHARE


class FullBackup:
    """Makes one full backup.

    Args:
        database: The database.
        oplog: Its oplog; None on a server without one.
        replica_set: What identifies the replica set; None without oplog.
        server_version: The version of the server.
        repository: Where it goes.
        clock: Source of the present moment.
        nonce: Some letters that no other backup of this second has.
    """

    def __init__(
        self,
        database: Database,
        oplog: Oplog | None,
        replica_set: str | None,
        server_version: str,
        repository: Repository,
        clock: Clock,
        nonce: str,
    ) -> None:
        self._database = database
        self._oplog = oplog
        self._replica_set = replica_set
        self._server_version = server_version
        self._repository = repository
        self._clock = clock
        self._nonce = nonce

    async def run(
        self, pacing: Pacing, progress: Callable[[BackupProgress], object]
    ) -> FullManifest:
        """Make the backup; return its manifest.

        Raises:
            StorageFull: There is no room for it.
            Conflict: Collections were made, removed or renamed during each of several tries.
            Unavailable: The server does not answer, or forgets points too fast.
        """
        for number in range(_TRIES):
            started = self._clock.now()
            backup_id = f"full-{started.strftime(_STAMP)}-{self._nonce}{number or ''}"
            try:
                made = await self._try(backup_id, pacing, progress)
            except BaseException:
                await asyncio.to_thread(self._repository.remove_backup, backup_id)
                raise
            if made is not None:
                return made
            await asyncio.to_thread(self._repository.remove_backup, backup_id)
        raise errors.Conflict(
            f"collections were made, removed or renamed during each of {_TRIES} tries; back up "
            "when that is over"
        )

    async def _try(
        self, backup_id: str, pacing: Pacing, progress: Callable[[BackupProgress], object]
    ) -> FullManifest | None:
        started = self._clock.now()
        opened = None if self._oplog is None else await patiently(self._oplog.newest)
        catalog = await patiently(lambda: read_catalog(self._database))
        self._check_room(catalog)
        state = await patiently(lambda: schema_state.read(self._database))
        folder = f"{BACKUPS}/{backup_id}/{quote(self._database.name, safe='')}"
        points = Points(self._oplog, pacing.point_seconds)
        total, done = sum(each.bytes for each in catalog.collections), 0

        def count(size: int) -> None:
            nonlocal done
            done += size
            progress(BackupProgress("reading", done, max(total, done)))

        reader = CollectionReader(
            self._database,
            self._repository,
            folder,
            points,
            Pace(pacing.rate, pacing.share),
            pacing.parallel,
            count,
        )
        await points.current()
        await reader.run(catalog.collections)
        oplog: FileRecord | None = None
        if self._oplog is not None and opened is not None:
            progress(BackupProgress("what was written meanwhile", done, done))
            history = self._oplog
            if await patiently(partial(self._structure_changed, history, opened.at)):
                return None
            meanwhile = partial(self._written_meanwhile, history, backup_id, opened, points)
            oplog = await patiently(meanwhile)
        collections = [await self._collection(folder, each, reader) for each in catalog.collections]
        views = [
            await self._metadata(folder, each["_id"], "view", each, []) for each in catalog.views
        ]
        return await asyncio.to_thread(
            self._repository.put_full,
            FullManifest(
                format=FORMAT,
                id=backup_id,
                database=self._database.name,
                replica_set=self._replica_set,
                server_version=self._server_version,
                release=version("message-service"),
                schema_version=state.version,
                key=None if self._repository.key is None else self._repository.key.name,
                by=by(),
                started_at=started,
                completed_at=self._clock.now(),
                opened_at=None if opened is None else opened.at,
                taken_at=points.at,
                taken_wall=points.wall or round(started.timestamp() * 1_000),
                consistent=self._oplog is not None,
                points=points.used,
                collections=collections,
                views=views,
                oplog=oplog,
                left_out=catalog.others,
            ),
        )

    def _check_room(self, catalog: LiveCatalog) -> None:
        room = self._repository.place.room()
        needed = round(_ROOM_SHARE * sum(each.stored_bytes for each in catalog.collections))
        if room is not None and room < needed:
            raise errors.StorageFull(
                f"the place of the backups has {room / 1e6:,.0f} MB left, and this backup may "
                f"need {needed / 1e6:,.0f} MB or more; make room, or give another place"
            )

    async def _structure_changed(self, oplog: Oplog, since: OplogPoint) -> bool:
        """Return whether collections came, went or were renamed while they were read."""
        end = await oplog.newest()
        async for entry in oplog.entries(since, end.at):
            if entry.operation == "c":
                command: Row = decode(entry.raw)["o"]
                if command_of(command) in STRUCTURE:
                    return True
        return False

    async def _written_meanwhile(
        self, oplog: Oplog, backup_id: str, opened: Moment, points: Points
    ) -> FileRecord:
        if points.at is None:
            raise errors.Internal("a backup that was read at no point")
        found = await oplog.entry_from(opened.at)
        if found is None or not found.at.same_entry(opened.at):
            raise errors.Unavailable(
                "the oplog holds less than was written during this backup; enlarge it "
                "(replSetResizeOplog), or read faster (--parallel, --rate)"
            )
        entries = [entry.raw async for entry in oplog.entries(opened.at, points.at)]
        packed = await asyncio.to_thread(packing.pack, entries, self._repository.key)
        name = f"{BACKUPS}/{backup_id}/oplog.bson{packing.suffix(self._repository.key)}"
        return await asyncio.to_thread(self._repository.put, name, packed)

    async def _collection(
        self, folder: str, collection: LiveCollection, reader: CollectionReader
    ) -> CollectionRecord:
        read = reader.read[collection.name]
        parts = [read.parts[place] for place in sorted(read.parts)]
        return CollectionRecord(
            name=collection.name,
            documents=sum(part.documents for part in parts),
            raw_bytes=sum(part.raw_bytes for part in parts),
            content=f"{read.content:032x}",
            metadata=await self._metadata(
                folder,
                collection.name,
                "collection",
                collection.options,
                collection.indexes,
                collection.uuid,
            ),
            parts=parts,
        )

    async def _metadata(
        self,
        folder: str,
        name: str,
        kind: str,
        options: Row,
        indexes: list[Row],
        uuid: str = "",
    ) -> FileRecord:
        """Store what mongodump writes about a collection or view, in its form."""
        text = to_canonical_json(
            {
                "options": {key: value for key, value in options.items() if key != "_id"},
                "indexes": indexes,
                "uuid": uuid,
                "collectionName": name,
                "type": kind,
            }
        )
        path = (
            f"{folder}/{quote(name, safe='')}.metadata.json{packing.suffix(self._repository.key)}"
        )
        return await asyncio.to_thread(self._repository.put_text, path, text)


def by() -> str:
    """Return the host and process that is at work."""
    return f"{socket.gethostname()}:{os.getpid()}"
