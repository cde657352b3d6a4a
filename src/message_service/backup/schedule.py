"""When backups are made, and how long they are kept: stored in the database, read by workers."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from message_service import errors
from message_service.arguments import check_number
from message_service.backup.pruning import KeepPolicy, check_policy
from message_service.backup.recovery import BackupContents
from message_service.database.client import Database
from message_service.database.records import Record
from message_service.queue.cron import check_cron, last_time
from message_service.reports.zones import zone_of

_DEFAULT = KeepPolicy()
_RECORD = "backup_schedule"
_LONGEST_FOLLOW = 86_400.0


@dataclass(frozen=True, slots=True)
class BackupSchedule:
    """When backups are made.

    Attributes:
        full: When full backups are made, as a cron expression. By default on Mondays, as the source
            design wants.
        incremental: When the history since the last backup is added; by default on other days.
        follow: Seconds between looks at the history, to add it all the time; None does not.
        time_zone: The zone that the expressions are meant in.
        days: See `KeepPolicy`; so are the next two.
        weeks: Full backups of so many weeks are kept.
        months: Full backups of so many months are kept.
    """

    full: str = "0 2 * * 1"
    incremental: str = "0 2 * * 0,2-6"
    follow: float | None = None
    time_zone: str = "UTC"
    days: int = _DEFAULT.days
    weeks: int = _DEFAULT.weeks
    months: int = _DEFAULT.months

    @property
    def policy(self) -> KeepPolicy:
        """How long backups are kept."""
        return KeepPolicy(self.days, self.weeks, self.months)

    def full_due(self, contents: BackupContents, now: datetime) -> bool:
        """Return whether a full backup is to be made: there is none since the last time of it."""
        if not contents.fulls:
            return True
        newest = max(full.started_at for full in contents.fulls)
        return self._passed(self.full, newest, now)

    def incremental_due(self, last: datetime, now: datetime) -> bool:
        """Return whether the history is to be added to.

        Args:
            last: When that was done last, or a full backup was made.
            now: The present moment.
        """
        return self._passed(self.incremental, last, now)

    def _passed(self, cron: str, last: datetime, now: datetime) -> bool:
        time = last_time(cron, zone_of(self.time_zone), now)
        return time is not None and time > last


class StoredSchedule:
    """The schedule of a database.

    Args:
        database: The database.
    """

    def __init__(self, database: Database) -> None:
        self._record = Record(database, _RECORD)

    async def read(self) -> BackupSchedule:
        """Return the schedule; the default one when none was set."""
        stored = await self._record.read()
        known = BackupSchedule.__dataclass_fields__.keys()
        return BackupSchedule(**{name: value for name, value in stored.items() if name in known})

    async def set(self, now: datetime, changes: dict[str, Any]) -> BackupSchedule:
        """Change the schedule.

        Args:
            now: The present moment.
            changes: Fields of `BackupSchedule`; `follow` of 0 turns it off.

        Raises:
            InvalidInput: A value is wrong.
        """
        unknown = changes.keys() - BackupSchedule.__dataclass_fields__.keys()
        if unknown:
            raise errors.InvalidInput(
                min(unknown), "is no part of a schedule", "Use full, incremental, follow, days ..."
            )
        changed = replace(await self.read(), **changes)
        zone = zone_of(changed.time_zone)
        for name in ("full", "incremental"):
            try:
                check_cron(getattr(changed, name), zone, now)
            except errors.InvalidInput as refusal:
                raise errors.InvalidInput(name, refusal.problem, refusal.fix) from None
        if changed.follow is not None:
            check_number("follow", changed.follow, 0, _LONGEST_FOLLOW)
            changed = replace(changed, follow=changed.follow or None)
        check_policy(changed.policy)
        await self._record.write(asdict(changed))
        return changed
