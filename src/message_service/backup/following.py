"""Segments of the oplog: each begins where the last one ended, or the gap has a name.

A segment is written only when the entry at which the last one ended is still in the oplog, in the
same term. Otherwise something is missing between the two: the oplog has rolled over, or the history
is another one (the set was restored, or rolled back by force).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from importlib.metadata import version

from message_service import errors
from message_service.backup import packing
from message_service.backup.full import by
from message_service.backup.manifest import FORMAT, ClockStep, SegmentManifest
from message_service.backup.repository import Repository, SegmentName
from message_service.backup.schema_changes import command_of, is_schema_change
from message_service.clock import Clock
from message_service.database.client import Database
from message_service.database.oplog import Entry, Moment, Oplog
from message_service.database.point import OplogPoint
from message_service.database.raw_documents import decode
from message_service.schema import schema_state

SEGMENT_BYTES = 16 * 1024**2
"""How many bytes of entries one segment holds, about."""

_OVERTAKEN = 1_000
"""By how many milliseconds the times of writes at the same time may overtake one another."""

ROLLED_OVER = "the oplog no longer holds what came after the last segment"
OTHER_HISTORY = "the replica set has another history than the last segment"


@dataclass(frozen=True, slots=True)
class Taken:
    """What was added to the history.

    Attributes:
        segments: The segments.
        gap: What is missing before them, in words; None when nothing is.
        since: The point they begin after.
        through: The point they end with.
    """

    segments: list[SegmentManifest]
    gap: str | None
    since: OplogPoint
    through: OplogPoint

    @property
    def operations(self) -> int:
        """How many entries were added."""
        return sum(each.operations for each in self.segments)

    @property
    def bytes(self) -> int:
        """The size of their files."""
        return sum(each.file.bytes for each in self.segments)


class Following:
    """Writes segments.

    Args:
        database: The database.
        oplog: Its oplog.
        replica_set: What identifies the replica set.
        repository: Where the segments go.
        clock: Source of the present moment.
    """

    def __init__(
        self,
        database: Database,
        oplog: Oplog,
        replica_set: str,
        repository: Repository,
        clock: Clock,
    ) -> None:
        self._database = database
        self._oplog = oplog
        self._replica_set = replica_set
        self._repository = repository
        self._clock = clock
        self._last: SegmentManifest | None = None

    async def gap_after(self, last: OplogPoint) -> str | None:
        """Return what is missing between a point and what the oplog holds; None for nothing."""
        found = await self._oplog.entry_from(last)
        if found is None:
            return OTHER_HISTORY
        if found.at == last:
            return None if found.at.term == last.term else OTHER_HISTORY
        oldest = await self._oplog.oldest()
        return ROLLED_OVER if oldest is not None and oldest.at > last else OTHER_HISTORY

    async def take(self, last: OplogPoint) -> list[SegmentManifest]:
        """Write what came after a point, which the oplog must hold, up to the newest.

        Args:
            last: The point at which the last segment, or a full backup, ended.

        Returns:
            The segments; none when nothing came.
        """
        begin = await self._oplog.entry_from(last)
        if begin is None or not begin.at.same_entry(last):
            raise errors.Unavailable(f"cannot go on behind {last}: {ROLLED_OVER}; try again")
        newest = await self._oplog.newest()
        if newest.at <= last:
            return []
        state = await schema_state.read(self._database)
        made: list[SegmentManifest] = []
        gathered: list[Entry] = []
        size = 0
        async for entry in self._oplog.entries(last, newest.at):
            # Entries of one transaction stay together.
            whole = size >= SEGMENT_BYTES and entry.at > gathered[-1].at
            if whole and not gathered[-1].goes_on:
                end = Moment(gathered[-1].at, gathered[-1].wall)
                made.append(await self._write(begin, end, gathered, state.version))
                begin, gathered, size = end, [], 0
            gathered.append(entry)
            size += len(entry.raw)
        # While it was read, the oplog may have dropped what was still to come.
        still = await self._oplog.entry_from(begin.at)
        if still is None or not still.at.same_entry(begin.at):
            raise errors.Unavailable(
                "the oplog rolled over while it was read; enlarge it (replSetResizeOplog)"
            )
        made.append(await self._write(begin, newest, gathered, state.version))
        return made

    async def _write(
        self, begin: Moment, end: Moment, entries: list[Entry], schema_version: int | None
    ) -> SegmentManifest:
        repository = self._repository
        name = SegmentName(begin.at, end.at)
        packed = await asyncio.to_thread(
            packing.pack, [each.raw for each in entries], repository.key
        )
        path = f"{name.stem}.bson{packing.suffix(repository.key)}"
        file = await asyncio.to_thread(repository.put, path, packed)
        self._last = await asyncio.to_thread(
            repository.put_segment,
            SegmentManifest(
                format=FORMAT,
                database=self._database.name,
                replica_set=self._replica_set,
                release=version("message-service"),
                schema_version=schema_version,
                key=None if repository.key is None else repository.key.name,
                by=by(),
                written_at=self._clock.now(),
                after=begin.at,
                through=end.at,
                after_wall=begin.wall,
                through_wall=end.wall,
                previous=await asyncio.to_thread(self._seal_before, begin.at),
                operations=len(entries),
                schema_changes=sum(_changes_schema(each) for each in entries),
                clock_steps=clock_steps(begin, entries),
                file=file,
            ),
        )
        return self._last

    def _seal_before(self, point: OplogPoint) -> str | None:
        if self._last is not None and self._last.through.same_entry(point):
            return self._last.seal
        names = [name for name in self._repository.segment_names() if name.through == point]
        return self._repository.segment(names[-1]).seal if names else None


def clock_steps(begin: Moment, entries: list[Entry]) -> list[ClockStep]:
    """Return where the clock of the primary went back."""
    found: list[ClockStep] = []
    latest, position = begin.wall, begin.at
    for each in entries:
        if each.at <= position:
            continue  # the earlier entries of a transaction
        new = not found or found[-1].back_from != latest
        if each.wall < latest - _OVERTAKEN and new:
            found.append(ClockStep(at=each.at, back_from=latest, back_to=each.wall))
        latest, position = max(latest, each.wall), each.at
    return found


def _changes_schema(entry: Entry) -> bool:
    return entry.operation == "c" and is_schema_change(command_of(decode(entry.raw)["o"]))
