"""Backups of the database: made, listed, checked, removed, and restored."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from message_service import errors
from message_service.arguments import check_flag, check_number, check_whole_number
from message_service.backup import pruning
from message_service.backup.full import POINT_SECONDS, Pacing, Progress
from message_service.backup.making import Incremental, Making
from message_service.backup.manifest import FullManifest
from message_service.backup.place import LEASE_SECONDS, Place
from message_service.backup.pruning import Policy, Removal
from message_service.backup.recovery import Contents, Plan, Stretch, make_plan, stretches
from message_service.backup.restoring import Restored, Restoring
from message_service.backup.schedule import Schedule, StoredSchedule
from message_service.backup.scheduled import ScheduledBackups
from message_service.backup.targets import LATEST, target_of
from message_service.backup.verifying import Verified, Verifying
from message_service.catalogue.declared import SCHEMA_VERSION
from message_service.clock import Clock
from message_service.database.client import Database, open_database
from message_service.database.lease import Lease
from message_service.database.point import Point
from message_service.database.rebuilding import STATE, Rebuilding
from message_service.database.server_info import ServerInfo
from message_service.loops.kept_lease import KeptLease
from message_service.loops.runner import LoopRunner
from message_service.settings import Settings, check_database_name
from message_service.stopping import StopSignal

_MOST_PARALLEL = 64
_MOST_RATE = 1e12


def _quiet(progress: Progress) -> None:
    del progress


class Backups:
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
        self._database = database
        self._server = server
        self._clock = clock
        self._random = random
        self._place = Place(database, server, settings, random)
        self._making = Making(database, server, self._place, clock, random)
        self._stored_schedule = StoredSchedule(database)

    @property
    def restore_name(self) -> str:
        """The database a restore goes into when none is named."""
        return f"{self._database.name}_restore"

    async def full(
        self,
        *,
        parallel: int = 2,
        rate: float | None = None,
        point_seconds: float = POINT_SECONDS,
        progress: Callable[[Progress], object] = _quiet,
    ) -> FullManifest:
        """Make a full backup: the database as it was at one point, while others write.

        Args:
            parallel: How many ranges of collections are read at a time.
            rate: Most bytes of documents read per second; None for as fast as it goes.
            point_seconds: How long one point of the history is read at, before a newer one is
                taken. The server keeps points for `minSnapshotHistoryWindowInSeconds` (300).
            progress: Told how far it is.

        Raises:
            InvalidInput: An argument or the place is wrong, or the place holds other backups.
            Conflict: Another backup is being made.
            StorageFull: The place has no room.
            Unsupported: The server is a router of a sharded cluster.
        """
        pacing = _pacing(parallel, rate, point_seconds)
        return await self._making.full(pacing, progress)

    async def incremental(
        self,
        *,
        parallel: int = 2,
        rate: float | None = None,
        progress: Callable[[Progress], object] = _quiet,
    ) -> Incremental:
        """Add what was written since the last backup, from the oplog.

        Where there is no backup to go on with, or the oplog no longer reaches it, a full backup is
        made instead, and the reason is told.

        Args:
            parallel: As for `full`.
            rate: As for `full`.
            progress: Told how far it is.

        Raises:
            Unsupported: The server has no oplog.
            MessageServiceError: As for `full`.
        """
        pacing = _pacing(parallel, rate, POINT_SECONDS)
        return await self._making.incremental(pacing, progress)

    async def run(
        self,
        *,
        parallel: int = 2,
        rate: float | None = None,
        progress: Callable[[Progress], object] = _quiet,
    ) -> Incremental:
        """Make a full backup if the schedule wants one by now, else an incremental one.

        Args:
            parallel: As for `full`.
            rate: As for `full`.
            progress: Told how far it is.

        Raises:
            MessageServiceError: As for `full`.
        """
        pacing = _pacing(parallel, rate, POINT_SECONDS)
        schedule = await self.schedule()
        if schedule.full_due(await self.contents(), self._clock.now()):
            return Incremental(None, await self._making.full(pacing, progress), None)
        return await self._making.incremental(pacing, progress)

    async def schedule(self) -> Schedule:
        """Return when backups are made."""
        return await self._stored_schedule.read()

    async def set_schedule(self, **changes: Any) -> Schedule:
        """Change when backups are made.

        Args:
            **changes: Fields of `Schedule`; `follow=0` no longer adds the history all the time.

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
        loop = ScheduledBackups(self._making, self._stored_schedule, self._clock)
        lease = Lease(self._database, loop.name, self._place.holder(), loop.lease_seconds)
        return await LoopRunner(loop, lease, self._clock).run(stop)

    async def contents(self) -> Contents:
        """Return what backups there are.

        Raises:
            InvalidInput: No place is set, or it cannot be read.
        """
        return await asyncio.to_thread(Contents.read, await self._place.repository())

    async def window(self) -> list[Stretch]:
        """Return the stretches of time that can be restored, and why one does not join the next.

        Raises:
            InvalidInput: No place is set, or it cannot be read.
            BackupDamaged: A segment's manifest is damaged.
        """
        repository = await self._place.repository()
        contents = await asyncio.to_thread(Contents.read, repository)
        return await asyncio.to_thread(stretches, contents, repository)

    async def verify(
        self,
        backups: Sequence[str] = (),
        *,
        restore: bool = False,
        parallel: int = 2,
        progress: Callable[[Progress], object] = _quiet,
    ) -> Verified:
        """Read backups whole, and check them.

        Args:
            backups: Names of full backups; empty for all, and all segments.
            restore: Whether each full backup is also restored into a database of its own, compared
                (documents and contents of each collection) and removed again.
            parallel: How many files are loaded at a time.
            progress: Told how far it is.

        Raises:
            NotFound: There is no such backup.
            InvalidInput: The key is not that of the backups.
        """
        check_flag("restore", restore)
        repository = await self._place.repository()
        contents = await asyncio.to_thread(Contents.read, repository)
        known = {full.id: full for full in contents.fulls}
        damaged = {each.id: each.reason for each in contents.damaged}
        verifying = Verifying(repository, progress)
        for name in backups or [*known, *damaged]:
            if name in damaged:
                verifying.damaged(name, damaged[name])
            elif name not in known:
                raise errors.NotFound("backup", name)
            else:
                await verifying.full(known[name])
                if restore:
                    scratch = f"{self._database.name[:40]}_verify_{self._random(4).hex()}"
                    await verifying.restore(known[name], self._rebuilding(scratch), parallel)
        if not backups:
            await verifying.segments(contents)
        return verifying.found

    async def prune(self, policy: Policy, *, dry_run: bool = False) -> Removal:
        """Remove what a policy no longer keeps; what remains can be restored as before.

        Args:
            policy: How long backups are kept.
            dry_run: Whether to tell only.

        Raises:
            Conflict: A backup is being made.
        """
        check_flag("dry_run", dry_run)
        if dry_run:
            contents = await self.contents()
            return pruning.removal(contents, policy, self._clock.now())
        return await self._making.prune(policy)

    async def plan(self, to: str | datetime | Point = LATEST) -> Plan:
        """Return how a state would be restored; nothing is written.

        Args:
            to: `latest`, the name of a full backup, a moment (with its zone), or a point of the
                oplog (`SECONDS:INCREMENT`): everything up to and with it is restored.

        Raises:
            InvalidInput: It is none of these, or in the future.
            NotRecoverable: No backup leads to it; `nearest` says which moments can be had.
            NotFound: There is no such backup.
            SchemaTooNew: A newer release wrote the backup.
        """
        target = target_of(to, self._clock.now())
        repository = await self._place.repository()
        contents = await asyncio.to_thread(Contents.read, repository)
        plan = await asyncio.to_thread(make_plan, contents, repository, target)
        for key in {plan.full.key, *(each.key for each in plan.segments)}:
            repository.check_key(key)
        versions = [plan.full.schema_version, *(each.schema_version for each in plan.segments)]
        newest = max((each for each in versions if each is not None), default=0)
        if newest > SCHEMA_VERSION:
            raise errors.SchemaTooNew(
                f"the backup has schema version {newest}, this release knows {SCHEMA_VERSION}; "
                "upgrade message-service",
                stored=newest,
                known=SCHEMA_VERSION,
            )
        return plan

    async def restore(
        self,
        to: str | datetime | Point = LATEST,
        *,
        into: str | None = None,
        over: str | None = None,
        keep_expired: bool = False,
        parallel: int = 2,
        progress: Callable[[Progress], object] = _quiet,
    ) -> Restored:
        """Restore a state into a database; an interrupted restore of the same goes on.

        Indexes that delete documents by their age are made last, so nothing is deleted before the
        restore is complete.

        Args:
            to: As for `plan`.
            into: The name of the database; None for that of the settings with `_restore` after it.
            over: The name again, to have all of its collections removed first.
            keep_expired: Whether to leave those indexes out (`db apply` makes them later).
            parallel: How many files are loaded at a time.
            progress: Told how far it is.

        Raises:
            Conflict: The database holds data, or another restore writes to it.
            BackupDamaged: A file is damaged; what was restored so far is not complete.
            MessageServiceError: As for `plan`.
        """
        name = into if into is not None else self.restore_name
        try:
            check_database_name(name)
        except ValueError as refusal:
            raise errors.InvalidInput("into", str(refusal), "Give another name") from None
        if over is not None and over != name:
            raise errors.InvalidInput(
                "over", f"is not the database that is restored into ({name!r})", "Give its name"
            )
        loaders = check_whole_number("parallel", parallel, 1, _MOST_PARALLEL)
        check_flag("keep_expired", keep_expired)
        plan = await self.plan(to)
        target = self._rebuilding(name)
        restoring = Restoring(
            await self._place.repository(), target, plan, loaders, keep_expired, progress
        )
        await restoring.check_target(over=over is not None)
        database = open_database(self._database.client, name)
        lease = KeptLease(Lease(database, "lease", self._place.holder(), LEASE_SECONDS, STATE))
        if not await lease.hold():
            raise errors.Conflict(
                f"another restore writes to {name!r} ({lease.seen.get('holder')}); its lease ends "
                f"{LEASE_SECONDS:g} seconds after it is killed"
            )
        try:
            return await restoring.run(over=over is not None)
        finally:
            await lease.release()

    def _rebuilding(self, name: str) -> Rebuilding:
        return Rebuilding(open_database(self._database.client, name))


def _pacing(parallel: int, rate: float | None, point_seconds: float) -> Pacing:
    return Pacing(
        check_whole_number("parallel", parallel, 1, _MOST_PARALLEL),
        None if rate is None else check_number("rate", rate, 1, _MOST_RATE),
        check_number("point_seconds", point_seconds, 0, 86_400),
    )
