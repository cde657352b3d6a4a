"""Makes backups, one of a kind at a time: full ones, and the history between them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from message_service import errors
from message_service.backup import pruning
from message_service.backup.following import Following, Taken
from message_service.backup.full import BackupProgress, FullBackup, Pacing
from message_service.backup.manifest import FullManifest
from message_service.backup.place import FULL_LEASE, HISTORY_LEASE, Place, Writable
from message_service.backup.pruning import KeepPolicy, Pruned
from message_service.backup.recovery import BackupContents
from message_service.clock import Clock
from message_service.database.client import Database
from message_service.database.oplog import Oplog
from message_service.database.point import OplogPoint
from message_service.database.server_info import ServerInfo

_NO_FULL = "there was no full backup to go on with"


@dataclass(frozen=True, slots=True)
class BackedUp:
    """What was backed up.

    Attributes:
        taken: What was added to the history; None for a full backup by the schedule.
        full: The full backup that was made; None when the history could be gone on with.
        reason: Why one had to be made, or what is missing in the history; None for no reason.
    """

    taken: Taken | None
    full: FullManifest | None
    reason: str | None


class Making:
    """Makes and removes backups.

    Args:
        database: The database.
        server: Facts about its server.
        place: Where they go.
        clock: Source of the present moment.
        random: Source of random bytes.
    """

    def __init__(
        self,
        database: Database,
        server: ServerInfo,
        place: Place,
        clock: Clock,
        random: Callable[[int], bytes],
    ) -> None:
        self._database = database
        self._server = server
        self._place = place
        self._clock = clock
        self._random = random
        self._following: Following | None = None

    async def contents(self) -> BackupContents:
        """Return what backups there are."""
        return await asyncio.to_thread(BackupContents.read, await self._place.repository())

    async def full(
        self, pacing: Pacing, progress: Callable[[BackupProgress], object]
    ) -> FullManifest:
        """Make a full backup; see `Backups.full`."""
        async with self._place.writing(FULL_LEASE) as to:
            backup = FullBackup(
                self._database,
                to.oplog,
                to.replica_set,
                self._server.version_text,
                to.repository,
                self._clock,
                self._random(3).hex(),
            )
            return await backup.run(pacing, progress)

    async def incremental(
        self, pacing: Pacing, progress: Callable[[BackupProgress], object]
    ) -> BackedUp:
        """Add to the history; see `Backups.incremental`."""
        await Oplog(self._database).replica_set()
        async with self._place.writing(HISTORY_LEASE) as to:
            following = self._follower(to)
            last, reason = await self._last_point(to, following)
            full = None
            if last is None:
                full = await self.full(pacing, progress)
                last = full.taken_at
            if last is None:
                raise errors.Internal("a full backup without a point")
            segments = await following.take(last)
            through = segments[-1].through if segments else last
            return BackedUp(Taken(segments, reason, last, through), full, reason)

    async def added_at(self) -> datetime | None:
        """Return when the history was added to last; None when it was not."""

        def newest() -> datetime | None:
            names = repository.segment_names()
            return repository.segment(names[-1]).written_at if names else None

        repository = await self._place.repository()
        return await asyncio.to_thread(newest)

    async def prune(self, policy: KeepPolicy) -> Pruned:
        """Remove what a policy no longer keeps; see `Backups.prune`."""
        async with self._place.writing(FULL_LEASE, claim=False) as to:
            contents = await asyncio.to_thread(BackupContents.read, to.repository)
            found = pruning.removal(contents, policy, self._clock.now())
            for name in found.segments:
                await asyncio.to_thread(to.repository.remove_segment, name)
            for backup_id in (*(full.id for full in found.fulls), *found.unfinished):
                await asyncio.to_thread(to.repository.remove_backup, backup_id)
        return found

    def _follower(self, to: Writable) -> Following:
        if to.oplog is None or to.replica_set is None:
            raise errors.Internal("a server that has lost its oplog")
        if self._following is None:
            self._following = Following(
                self._database, to.oplog, to.replica_set, to.repository, self._clock
            )
        return self._following

    async def _last_point(
        self, to: Writable, following: Following
    ) -> tuple[OplogPoint | None, str | None]:
        """Return the point to go on at, and what is missing before it; no point needs a full."""
        contents = await asyncio.to_thread(BackupContents.read, to.repository)
        ends = contents.ends()
        if not ends:
            return None, _NO_FULL
        gap: str | None = None
        # The oldest that the oplog still reaches: what came after a newer one is in it too.
        for end in ends:
            missing = await following.gap_after(end)
            if missing is None:
                known = any(name.through == end for name in contents.segments)
                return end, None if known else gap
            gap = f"{missing} ({end})"
        return None, gap
