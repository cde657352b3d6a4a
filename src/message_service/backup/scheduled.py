"""The loop that makes backups by the schedule, and adds the history all the time where asked to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import datetime

from message_service import errors
from message_service.backup.full import POINT_SECONDS, BackupProgress, Pacing
from message_service.backup.making import Making
from message_service.backup.schedule import BackupSchedule, StoredSchedule
from message_service.clock import Clock
from message_service.loops.loop import Loop, Poll

_LOOK_SECONDS = 60.0
_PACING = Pacing(parallel=1, rate=None, point_seconds=POINT_SECONDS)
_LOG = logging.getLogger(__name__)


class ScheduledBackups(Loop):
    """Makes the backups that are due; removes what is no longer kept after each full one.

    Args:
        making: Makes the backups.
        stored: When.
        clock: The present moment.
        poll: Seconds between looks at the schedule.
    """

    name = "backup"
    step_seconds = 14 * 86_400.0  # a full backup of a large database

    def __init__(
        self, making: Making, stored: StoredSchedule, clock: Clock, poll: float = 1.0
    ) -> None:
        self._making = making
        self._stored = stored
        self._clock = clock
        self.wake = Poll(poll)
        self._looked_at: float | None = None
        self._followed_at: float | None = None
        self._added_at: datetime | None = None
        self._fulls = 0
        self._operations = 0
        self._behind = 0

    def figures(self) -> Mapping[str, int]:
        """Return how many full backups were made, and how many operations were added."""
        return {"full": self._fulls, "operations": self._operations}

    async def step(self) -> bool:
        """Make what is due; return whether anything was."""
        schedule = await self._stored.read()
        now = asyncio.get_running_loop().time()
        try:
            if self._looked_at is None or now >= self._looked_at + _LOOK_SECONDS:
                if await self._look(schedule):
                    return True
                self._looked_at = now
            if schedule.follow is not None and (
                self._followed_at is None or now >= self._followed_at + schedule.follow
            ):
                self._followed_at = now
                await self._add()
                return True
        except errors.Conflict as conflict:  # somebody makes a backup by hand
            _LOG.info("no backup now: %s", conflict.message)
            self._looked_at = self._followed_at = now
        return False

    async def _look(self, schedule: BackupSchedule) -> bool:
        """Make what is due by the clock; return whether anything was."""
        contents = await self._making.contents()
        now = self._clock.now()
        if schedule.full_due(contents, now):
            made = await self._making.full(_PACING, _untold)
            self._fulls += 1
            _LOG.info("backup %s: %d documents", made.id, made.documents)
            await self._making.prune(schedule.policy)
            return True
        last = max(full.started_at for full in contents.fulls)
        if self._added_at is None:
            self._added_at = await self._making.added_at()
        if self._added_at is not None:
            last = max(last, self._added_at)
        if schedule.incremental_due(last, now):
            await self._add()
            return True
        return False

    async def _add(self) -> None:
        done = await self._making.incremental(_PACING, _untold)
        self._added_at = self._clock.now()
        if done.reason is not None:
            _LOG.warning("backup: %s", done.reason)
        if done.full is not None:
            self._fulls += 1
        if done.taken is not None:
            self._operations += done.taken.operations


def _untold(progress: BackupProgress) -> None:
    del progress
