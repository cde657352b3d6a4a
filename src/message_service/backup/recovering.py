"""What comes back from backups: they are looked at, checked, and restored."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime

from message_service import errors
from message_service.arguments import (
    check_flag,
    check_sequence,
    check_text_argument,
    check_whole_number,
)
from message_service.backup.full import BackupProgress
from message_service.backup.place import LEASE_SECONDS, Place
from message_service.backup.putting_back import PutBack, PuttingBack
from message_service.backup.recovery import (
    BackupContents,
    RecoverableStretch,
    RestorePlan,
    make_plan,
    stretches,
)
from message_service.backup.restoring import Restored, Restoring
from message_service.backup.selection import Selection
from message_service.backup.targets import LATEST, target_of
from message_service.backup.verifying import VerifiedBackups, Verifying
from message_service.catalogue.declared import SCHEMA_VERSION
from message_service.clock import Clock
from message_service.database.client import Database, open_database
from message_service.database.lease import Lease
from message_service.database.point import OplogPoint
from message_service.database.rebuilding import STATE, Rebuilding
from message_service.ids import DEFAULT_TENANT
from message_service.loops.kept_lease import KeptLease
from message_service.settings import LONGEST_NAME, check_database_name

_LONGEST = 200
MOST_PARALLEL = 64
"""Most files that are worked on at a time."""


def untold(progress: BackupProgress) -> None:
    """Tell nobody how far something is."""
    del progress


def check_progress(progress: object) -> None:
    """Check that what is told how far something is can be called.

    Raises:
        InvalidInput: It cannot.
    """
    if not callable(progress) or isinstance(progress, type):
        raise errors.InvalidInput(
            "progress", "is not a function", "Give one that takes a BackupProgress"
        )


class Recovering:
    """Reads the backups of one place.

    Args:
        database: The database they are of.
        place: The place.
        clock: Source of the present moment.
        random: Source of random bytes.
    """

    def __init__(
        self,
        database: Database,
        place: Place,
        clock: Clock,
        random: Callable[[int], bytes],
    ) -> None:
        self._database = database
        self._place = place
        self._clock = clock
        self._random = random

    @property
    def database_name(self) -> str:
        """The database that is backed up."""
        return self._database.name

    @property
    def restore_name(self) -> str:
        """The database a restore goes into when none is named."""
        return self._beside("_restore")

    def _beside(self, suffix: str) -> str:
        """Return a name for a database beside ours, no longer than names may be."""
        kept = self._database.name.encode()[: LONGEST_NAME - len(suffix)]
        return kept.decode(errors="ignore") + suffix

    async def contents(self) -> BackupContents:
        """Return what backups there are.

        Raises:
            InvalidInput: No place is set, or it cannot be read.
        """
        return await asyncio.to_thread(BackupContents.read, await self._place.repository())

    async def window(self) -> list[RecoverableStretch]:
        """Return the stretches of time that can be restored, and why one does not join the next.

        Raises:
            InvalidInput: No place is set, or it cannot be read.
        """
        repository = await self._place.repository()
        contents = await asyncio.to_thread(BackupContents.read, repository)
        return await asyncio.to_thread(stretches, contents, repository)

    async def verify(
        self,
        backups: Sequence[str] = (),
        *,
        restore: bool = False,
        parallel: int = 2,
        progress: Callable[[BackupProgress], object] = untold,
    ) -> VerifiedBackups:
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
        for name in check_sequence("backups", backups):
            check_text_argument("backups", name, most=_LONGEST, what="name of a backup")
        check_whole_number("parallel", parallel, 1, MOST_PARALLEL)
        check_progress(progress)
        repository = await self._place.repository()
        contents = await asyncio.to_thread(BackupContents.read, repository)
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
                    scratch = self._beside(f"_verify_{self._random(4).hex()}")
                    await verifying.restore(known[name], self._rebuilding(scratch), parallel)
        if not backups:
            await verifying.segments(contents)
        return verifying.found

    async def plan(self, to: str | datetime | OplogPoint = LATEST) -> RestorePlan:
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
        contents = await asyncio.to_thread(BackupContents.read, repository)
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
        to: str | datetime | OplogPoint = LATEST,
        *,
        into: str | None = None,
        over: str | None = None,
        only: Sequence[str] = (),
        tenant_id: str = DEFAULT_TENANT,
        keep_expired: bool = False,
        parallel: int = 2,
        progress: Callable[[BackupProgress], object] = untold,
    ) -> Restored:
        """Restore a state into a database; an interrupted restore of the same goes on.

        Indexes that delete documents by their age are made last, so nothing is deleted before the
        restore is complete.

        Args:
            to: As for `plan`.
            into: The name of the database; None for that of the settings with `_restore` after it.
            over: The name again, to have all of its collections removed first.
            only: What of it: `conversation:ID`, `user:ID` (their conversations), `collection:NAME`;
                empty for all.
            tenant_id: The tenant of those conversations and users.
            keep_expired: Whether to leave those indexes out (`db apply` makes them later).
            parallel: How many files are loaded at a time.
            progress: Told how far it is.

        Raises:
            Conflict: The database holds data, or another restore writes to it.
            BackupDamaged: A file is damaged; what was restored so far is not complete.
            MessageServiceError: As for `plan`.
        """
        name = into if into is not None else self.restore_name
        check_text_argument("into", name, most=LONGEST_NAME, what="name of a database")
        try:
            check_database_name(name)
        except ValueError as refusal:
            raise errors.InvalidInput("into", str(refusal), "Give another name") from None
        if over is not None and (not isinstance(over, str) or over != name):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise errors.InvalidInput(
                "over", f"is not the database that is restored into ({name!r})", "Give its name"
            )
        loaders = check_whole_number("parallel", parallel, 1, MOST_PARALLEL)
        check_flag("keep_expired", keep_expired)
        check_progress(progress)
        selection = Selection.parse(check_sequence("only", only), tenant_id)
        plan = await self.plan(to)
        target = self._rebuilding(name)
        restoring = Restoring(
            await self._place.repository(),
            target,
            plan,
            selection,
            loaders,
            keep_expired,
            progress,
        )
        begun = await restoring.check_target(over=over is not None)
        if begun is None and await target.names():
            await restoring.check_files()
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
            with suppress(errors.Unavailable):  # it ends by itself, and what was done is done
                await lease.release()

    async def put_back(
        self,
        only: Sequence[str],
        to: str | datetime | OplogPoint = LATEST,
        *,
        tenant_id: str = DEFAULT_TENANT,
        replace: bool = False,
        parallel: int = 2,
        progress: Callable[[BackupProgress], object] = untold,
    ) -> PutBack:
        """Put what is missing back into the live database, as it was.

        It is restored beside it first (into the name with `_put_back`), then copied over. Messages
        that come back are marked, so that search, usage and summaries follow. A call that was
        interrupted is repeated.

        Args:
            only: What: `conversation:ID`, `user:ID`, `collection:NAME`.
            to: As for `plan`.
            tenant_id: The tenant of those conversations and users.
            replace: Whether documents that are there are replaced; else they stay.
            parallel: How many files are loaded at a time.
            progress: Told how far it is.

        Raises:
            InvalidInput: Nothing is named.
            MessageServiceError: As for `restore`.
        """
        check_flag("replace", replace)
        if not check_sequence("only", only):
            raise errors.InvalidInput(
                "only", "is empty", "Name a conversation:ID, user:ID or collection:NAME"
            )
        selection = Selection.parse(only, tenant_id)
        beside = self._beside("_put_back")
        await self.restore(
            to,
            into=beside,
            over=beside,  # what another call left there
            only=only,
            tenant_id=tenant_id,
            keep_expired=True,
            parallel=parallel,
            progress=progress,
        )
        source, live = self._rebuilding(beside), self._rebuilding(self._database.name)
        done = await PuttingBack(source, live, selection, self._clock, replace=replace).run()
        await source.remove()
        return done

    def _rebuilding(self, name: str) -> Rebuilding:
        return Rebuilding(open_database(self._database.client, name))
