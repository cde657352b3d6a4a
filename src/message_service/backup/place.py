"""The place of a database's backups: found, checked, and written to by one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from message_service import errors
from message_service.backup import storage
from message_service.backup.full import by
from message_service.backup.keys import Key
from message_service.backup.repository import Repository
from message_service.database.client import Database
from message_service.database.lease import Lease
from message_service.database.oplog import Oplog
from message_service.database.rebuilding import Rebuilding
from message_service.database.server_info import ServerInfo
from message_service.loops.kept_lease import KeptLease
from message_service.settings import Settings

FULL_LEASE = "backup_full"
"""The lease of whoever makes or removes full backups."""

HISTORY_LEASE = "backup_history"
"""The lease of whoever adds to the history."""

LEASE_SECONDS = 10.0
"""How long a lease of backups or restores lasts without renewal."""


@dataclass(frozen=True, slots=True)
class Writable:
    """A place that may be written to.

    Attributes:
        repository: What is there.
        oplog: The history of the database; None on a server without one.
        replica_set: What identifies the replica set; None on such a server.
    """

    repository: Repository
    oplog: Oplog | None
    replica_set: str | None


class Place:
    """The place that the settings name.

    Args:
        database: The database.
        server: Facts about its server.
        settings: The settings.
        random: Source of random bytes.
    """

    def __init__(
        self,
        database: Database,
        server: ServerInfo,
        settings: Settings,
        random: Callable[[int], bytes],
    ) -> None:
        self._database = database
        self._server = server
        self._settings = settings
        self._random = random
        self._opened: Repository | None = None

    async def repository(self) -> Repository:
        """Return what is there.

        Raises:
            InvalidInput: No place is set, or it cannot be opened.
        """
        if self._opened is None:
            target = self._settings.backup_target
            if target is None:
                raise errors.InvalidInput(
                    storage.FIELD, "is not set", "Name the place of the backups"
                )
            self._opened = await asyncio.to_thread(
                _open, target.get_secret_value(), self._settings.backup_key_file
            )
        return self._opened

    @asynccontextmanager
    async def writing(self, name: str, *, claim: bool = True) -> AsyncGenerator[Writable]:
        """Make sure that backups may be written, and that nobody else writes those of a kind.

        Args:
            name: The lease of the kind.
            claim: Whether the place is to be this database's from here on.

        Raises:
            InvalidInput: The place holds something else.
            Conflict: Somebody else is at work.
            NotFound: The database is empty.
        """
        repository = await self.repository()
        oplog = None if self._server.topology == "standalone" else Oplog(self._database)
        replica_set = None if oplog is None else await oplog.replica_set()
        await asyncio.to_thread(repository.check_is_for, self._database.name, replica_set)
        if not await Rebuilding(self._database).names():
            raise errors.NotFound("database with collections", self._database.name)
        lease = KeptLease(Lease(self._database, name, self.holder(), LEASE_SECONDS))
        if not await lease.hold():
            raise errors.Conflict(
                f"another backup is at work ({lease.seen.get('holder')}); its lease ends "
                f"{LEASE_SECONDS:g} seconds after it is killed"
            )
        try:
            if claim:
                await asyncio.to_thread(repository.claim, self._database.name, replica_set)
            yield Writable(repository, oplog, replica_set)
        finally:
            with suppress(errors.Unavailable):  # it ends by itself, and what was done is done
                await lease.release()

    def holder(self) -> str:
        """Return a name for whoever holds a lease."""
        return f"{by()}:{self._random(4).hex()}"


def _open(target: str, key_file: Path | None) -> Repository:
    key = None if key_file is None else Key.read(key_file)
    return Repository(storage.open_storage(target), key)
