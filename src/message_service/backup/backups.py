"""Backups of the database: made, listed, checked, removed, and restored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from message_service.arguments import check_flag, check_instance, check_number, check_whole_number
from message_service.backup import pruning
from message_service.backup.full import POINT_SECONDS, SHARE, BackupProgress, Pacing
from message_service.backup.making import BackedUp, Making
from message_service.backup.manifest import FullManifest
from message_service.backup.place import Place
from message_service.backup.pruning import KeepPolicy, Pruned, check_policy
from message_service.backup.recovering import MOST_PARALLEL, Recovering, check_progress, untold
from message_service.backup.schedule import BackupSchedule, StoredSchedule
from message_service.backup.scheduled import ScheduledBackups
from message_service.clock import Clock
from message_service.database.client import Database
from message_service.database.lease import Lease
from message_service.database.server_info import ServerInfo
from message_service.loops.runner import LoopRunner
from message_service.settings import Settings
from message_service.stopping import StopSignal

_LEAST_RATE, _MOST_RATE = 1e5, 1e12


class Backups(Recovering):
    """The backups of one database, in the place the settings name.

    Args:
        database: The database.
        server: Facts about its server.
        settings: The settings.
        clock: Source of the present moment.
        random: Source of random bytes.
    """

    def __init__(
        self,
        database: Database,
        server: ServerInfo,
        settings: Settings,
        clock: Clock,
        random: Callable[[int], bytes],
    ) -> None:
        place = Place(database, server, settings, random)
        super().__init__(database, place, clock, random)
        self._place = place
        self._making = Making(database, server, place, clock, random)
        self._stored_schedule = StoredSchedule(database)

    async def full(
        self,
        *,
        parallel: int = 1,
        rate: float | None = None,
        share: float = SHARE,
        point_seconds: float = POINT_SECONDS,
        progress: Callable[[BackupProgress], object] = untold,
    ) -> FullManifest:
        """Make a full backup: the database as it was at one point, while others write.

        Args:
            parallel: How many ranges of collections are read at a time.
            rate: Most bytes of documents read per second, 100,000 or more; None for any number.
            share: The share of the time that is read; the server has the rest for others.
            point_seconds: How long one point of the history is read at, before a newer one is
                taken. The server keeps points for `minSnapshotHistoryWindowInSeconds` (300).
            progress: Told how far it is.

        Raises:
            InvalidInput: An argument or the place is wrong, or the place holds other backups.
            Conflict: Another backup is being made.
            StorageFull: The place has no room.
            Unsupported: The server is a router of a sharded cluster.
        """
        check_progress(progress)
        pacing = _pacing(parallel, rate, share, point_seconds)
        return await self._making.full(pacing, progress)

    async def incremental(
        self,
        *,
        parallel: int = 1,
        rate: float | None = None,
        share: float = SHARE,
        progress: Callable[[BackupProgress], object] = untold,
    ) -> BackedUp:
        """Add what was written since the last backup, from the oplog.

        Where there is no backup to go on with, or the oplog no longer reaches it, a full backup is
        made instead, and the reason is told.

        Args:
            parallel: As for `full`.
            rate: As for `full`.
            share: As for `full`.
            progress: Told how far it is.

        Raises:
            Unsupported: The server has no oplog.
            MessageServiceError: As for `full`.
        """
        check_progress(progress)
        pacing = _pacing(parallel, rate, share, POINT_SECONDS)
        return await self._making.incremental(pacing, progress)

    async def run(
        self,
        *,
        parallel: int = 1,
        rate: float | None = None,
        share: float = SHARE,
        progress: Callable[[BackupProgress], object] = untold,
    ) -> BackedUp:
        """Make a full backup if the schedule wants one by now, else an incremental one.

        Args:
            parallel: As for `full`.
            rate: As for `full`.
            share: As for `full`.
            progress: Told how far it is.

        Raises:
            MessageServiceError: As for `full`.
        """
        check_progress(progress)
        pacing = _pacing(parallel, rate, share, POINT_SECONDS)
        schedule = await self.schedule()
        if schedule.full_due(await self.contents(), self._clock.now()):
            return BackedUp(None, await self._making.full(pacing, progress), None)
        return await self._making.incremental(pacing, progress)

    async def schedule(self) -> BackupSchedule:
        """Return when backups are made."""
        return await self._stored_schedule.read()

    async def set_schedule(self, **changes: Any) -> BackupSchedule:
        """Change when backups are made.

        Args:
            **changes: Fields of `BackupSchedule`; `follow=0` ends adding the history all the time.

        Raises:
            InvalidInput: A value is wrong.
        """
        return await self._stored_schedule.set(self._clock.now(), changes)

    async def follow(self, stop: StopSignal | None = None) -> bool:
        """Make backups by the schedule until asked to stop; one process does, others stand by.

        Args:
            stop: Asks to stop: what is being made is ended after 5 seconds, and is due again.
                Without it, cancel the task that runs this call.

        Returns:
            Whether the last step was finished.
        """
        if stop is not None:
            check_instance("stop", stop, StopSignal)
        loop = ScheduledBackups(self._making, self._stored_schedule, self._clock)
        lease = Lease(self._database, loop.name, self._place.holder(), loop.lease_seconds)
        return await LoopRunner(loop, lease, self._clock).run(stop)

    async def prune(self, policy: KeepPolicy, *, dry_run: bool = False) -> Pruned:
        """Remove what a policy no longer keeps; what remains can be restored as before.

        Args:
            policy: How long backups are kept.
            dry_run: Whether to tell only.

        Raises:
            Conflict: A backup is being made.
        """
        check_flag("dry_run", dry_run)
        check_policy(check_instance("policy", policy, KeepPolicy))
        if dry_run:
            contents = await self.contents()
            return pruning.removal(contents, policy, self._clock.now())
        return await self._making.prune(policy)


def _pacing(parallel: int, rate: float | None, share: float, point_seconds: float) -> Pacing:
    return Pacing(
        check_whole_number("parallel", parallel, 1, MOST_PARALLEL),
        None if rate is None else check_number("rate", rate, _LEAST_RATE, _MOST_RATE),
        check_number("point_seconds", point_seconds, 0, 86_400),
        check_number("share", share, 0.01, 1),
    )
