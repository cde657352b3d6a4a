"""Which backups are kept: a rule that never breaks a chain."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from message_service.arguments import check_whole_number
from message_service.backup.manifest import FullManifest
from message_service.backup.recovery import BackupContents
from message_service.backup.repository import SegmentName

_MOST = 36_500


@dataclass(frozen=True, slots=True)
class KeepPolicy:
    """How long backups are kept.

    Attributes:
        days: Any moment of so many days can be restored (the source design's 30).
        weeks: Before that, the newest full backup of each of so many weeks is kept.
        months: And of each of so many months.
    """

    days: int = 30
    weeks: int = 0
    months: int = 0


def check_policy(policy: KeepPolicy) -> None:
    """Check a policy's numbers.

    Raises:
        InvalidInput: One is wrong.
    """
    check_whole_number("days", policy.days, 1, _MOST)
    check_whole_number("weeks", policy.weeks, 0, _MOST)
    check_whole_number("months", policy.months, 0, _MOST)


@dataclass(frozen=True, slots=True)
class Pruned:
    """What the policy no longer keeps.

    Attributes:
        fulls: Full backups.
        segments: Segments.
        unfinished: Full backups that were not completed.
        kept: How many full backups are kept.
    """

    fulls: tuple[FullManifest, ...]
    segments: tuple[SegmentName, ...]
    unfinished: tuple[str, ...]
    kept: int

    @property
    def empty(self) -> bool:
        """Whether everything is kept."""
        return not (self.fulls or self.segments or self.unfinished)


def removal(contents: BackupContents, policy: KeepPolicy, now: datetime) -> Pruned:
    """Return what a policy no longer keeps.

    The newest full backup is always kept. So is the newest one from before the days that can be
    restored to any moment, because the first of them are replayed over it; and every segment after
    it.
    """
    cutoff = (now - timedelta(days=policy.days)).timestamp() * 1_000
    fulls = contents.fulls
    older = [full for full in fulls if full.taken_wall < cutoff]
    kept = {full.id for full in fulls if full.taken_wall >= cutoff}
    base = older[-1] if older else (fulls[0] if fulls else None)
    if base is not None:
        kept.add(base.id)
    kept |= _newest_of_each(older, _week, policy.weeks)
    kept |= _newest_of_each(older, _month, policy.months)
    start = None if base is None else base.taken_at
    gone = [] if start is None else [name for name in contents.segments if name.through <= start]
    return Pruned(
        tuple(full for full in fulls if full.id not in kept),
        tuple(gone),
        tuple(contents.unfinished),
        len(kept),
    )


def _newest_of_each(
    fulls: list[FullManifest], period: Callable[[datetime], Hashable], count: int
) -> set[str]:
    newest: dict[Hashable, str] = {}
    for full in fulls:
        newest[period(datetime.fromtimestamp(full.taken_wall / 1_000, UTC))] = full.id
    return set([*newest.values()][-count:]) if count else set()


def _week(moment: datetime) -> Hashable:
    return moment.isocalendar()[:2]


def _month(moment: datetime) -> Hashable:
    return moment.year, moment.month
