"""What can be recovered: which full backup and which segments lead to a point."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from message_service import errors
from message_service.backup.manifest import FullManifest, SegmentManifest
from message_service.backup.replay import Until
from message_service.backup.repository import Repository, SegmentName
from message_service.database.point import OplogPoint


@dataclass(frozen=True, slots=True)
class DamagedBackup:
    """A full backup that cannot be used, and why.

    Attributes:
        id: Its name.
        reason: Why, with the name of the file.
        newer: Whether it is only that a newer release wrote it.
    """

    id: str
    reason: str
    newer: bool = False


@dataclass(slots=True)
class BackupContents:
    """What a repository holds.

    Attributes:
        fulls: The full backups, oldest first.
        segments: The segments, oldest first.
        stepped: Those of them in which the clock of the primary went back.
        unfinished: Names of full backups that were not completed, or are being made.
        damaged: Full backups whose manifest cannot be read.
    """

    fulls: list[FullManifest] = field(default_factory=list[FullManifest])
    segments: list[SegmentName] = field(default_factory=list[SegmentName])
    stepped: list[SegmentName] = field(default_factory=list[SegmentName])
    unfinished: list[str] = field(default_factory=list[str])
    damaged: list[DamagedBackup] = field(default_factory=list[DamagedBackup])

    @classmethod
    def read(cls, repository: Repository) -> BackupContents:
        """Return what a repository holds; blocks."""
        found = cls(segments=repository.segment_names(), stepped=repository.stepped_names())
        for backup_id in repository.backup_ids():
            try:
                full = repository.full(backup_id)
            except (errors.BackupDamaged, errors.Unsupported) as damage:
                newer = isinstance(damage, errors.Unsupported)
                found.damaged.append(DamagedBackup(backup_id, damage.message, newer))
                continue
            if full is None:
                found.unfinished.append(backup_id)
            else:
                found.fulls.append(full)
        found.fulls.sort(key=_age)
        return found

    def ends(self) -> list[OplogPoint]:
        """Return the points at which the history behind each full backup ends, oldest first."""
        found: set[OplogPoint] = set()
        for full in self.fulls:
            if full.taken_at is not None:
                chain = self.chain(full.taken_at)
                found.add(chain[-1].through if chain else full.taken_at)
        return sorted(found)

    def chain(self, start: OplogPoint, end: OplogPoint | None = None) -> list[SegmentName]:
        """Return the segments that follow a point without a gap.

        Args:
            start: The point.
            end: The segments reach it, or as far as there are; None for as far as there are.
        """
        chosen: list[SegmentName] = []
        at, furthest, place = start, None, 0
        while end is None or at < end:
            # There are tens of thousands of them: each is looked at once.
            while place < len(self.segments) and self.segments[place].after <= at:
                if furthest is None or self.segments[place].through > furthest.through:
                    furthest = self.segments[place]
                place += 1
            if furthest is None or furthest.through <= at:
                break
            chosen.append(furthest)
            at = furthest.through
        return chosen


def _age(full: FullManifest) -> tuple[OplogPoint, str]:
    """Return what backups are ordered by: the points of the oplog, which never go back."""
    return full.taken_at or OplogPoint(full.taken_wall // 1_000, 0), full.id


@dataclass(frozen=True, slots=True)
class RecoverableStretch:
    """A stretch of time to any moment of which the database can be restored.

    Attributes:
        backup: The full backup it begins with.
        since: Its first point; None for a backup of a server without oplog.
        through: Its last point.
        since_wall: The clock of the primary at the one, in milliseconds since 1970.
        through_wall: And at the other.
        segments: How many segments it has.
        gap: Why it does not begin where the stretch before it ended; None for the first.
        end: Why it does not go on, although segments behind it are there; None for no reason.
    """

    backup: str
    since: OplogPoint | None
    through: OplogPoint | None
    since_wall: int
    through_wall: int
    segments: int
    gap: str | None
    end: str | None = None


def stretches(contents: BackupContents, repository: Repository) -> list[RecoverableStretch]:
    """Return the stretches of time that can be recovered, oldest first; blocks."""
    found: list[RecoverableStretch] = []
    for full in contents.fulls:
        if full.taken_at is None:
            found.append(
                RecoverableStretch(full.id, None, None, full.taken_wall, full.taken_wall, 0, None)
            )
            continue
        before = found[-1] if found else None
        if before is not None and before.through is not None and full.taken_at <= before.through:
            continue  # in the middle of a stretch
        chain, wall, end = _readable(contents.chain(full.taken_at), full, repository)
        through = chain[-1].through if chain else full.taken_at
        behind = [name for name in contents.segments if name.after > through]
        if end is None and behind:
            end = f"no segment holds what came between {through} and {behind[0].after}"
        gap = None if before is None else _gap(before, full, contents)
        found.append(
            RecoverableStretch(
                full.id, full.taken_at, through, full.taken_wall, wall, len(chain), gap, end
            )
        )  # fmt: skip
    return found


def _readable(
    chain: list[SegmentName], full: FullManifest, repository: Repository
) -> tuple[list[SegmentName], int, str | None]:
    """Return a chain up to a segment whose end is known, when that is, and why it ends there."""
    reason: str | None = None
    while chain:
        try:
            return chain, repository.segment(chain[-1]).through_wall, reason
        except (errors.BackupDamaged, errors.Unsupported) as damage:
            chain, reason = chain[:-1], damage.message
    return [], full.taken_wall, reason


def _gap(before: RecoverableStretch, full: FullManifest, contents: BackupContents) -> str:
    if before.through is None:
        return "the backup before it is of a server without oplog"
    later = [name for name in contents.segments if name.after > before.through]
    if later and full.taken_at is not None and later[0].after < full.taken_at:
        return f"no segment holds what came between {before.through} and {later[0].after}"
    return f"nothing was backed up between {before.through} and {full.taken_at}"


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be restored.

    Attributes:
        backup: The state of this full backup; None for a point or moment.
        until: The point or moment; neither for the newest.
    """

    backup: str | None
    until: Until


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """How a state is restored.

    Attributes:
        full: The full backup.
        segments: What is replayed over it.
        until: Where the replay ends.
        through: The last point that the backups reach; None without oplog.
        passed_over: Newer full backups that cannot be used for it, and why.
    """

    full: FullManifest
    segments: tuple[SegmentManifest, ...]
    until: Until
    through: OplogPoint | None
    passed_over: tuple[DamagedBackup, ...]

    @property
    def bytes(self) -> int:
        """The size of the files that are read."""
        return self.full.bytes + sum(each.file.bytes for each in self.segments)

    @property
    def operations(self) -> int:
        """How many entries are replayed at most."""
        meanwhile = 0 if self.full.oplog is None else self.full.oplog.documents
        return meanwhile + sum(each.operations for each in self.segments)


def make_plan(contents: BackupContents, repository: Repository, target: Target) -> RestorePlan:
    """Choose the newest full backup that leads to a target, and its segments; blocks.

    Raises:
        NotRecoverable: None does; the message names the nearest points that can be had.
        BackupDamaged: What leads to it is damaged.
        Unsupported: A newer release wrote it.
    """
    passed = list(contents.damaged)
    damaged: str | None = None
    for full in reversed(contents.fulls):
        if target.backup is not None and full.id != target.backup:
            continue
        try:
            found = _plan(contents, repository, full, target)
        except errors.BackupDamaged as damage:
            if target.backup is not None:
                raise
            passed.append(DamagedBackup(full.id, damage.message))
            damaged = damaged or damage.details.get("file", full.id)
            continue
        if found is not None:
            segments, through = found
            until = Until(full.taken_at, None) if target.backup is not None else target.until
            return RestorePlan(full, segments, until, through, tuple(passed))
    raise _impossible(contents, repository, target, passed, damaged)


def _plan(
    contents: BackupContents, repository: Repository, full: FullManifest, target: Target
) -> tuple[tuple[SegmentManifest, ...], OplogPoint | None] | None:
    until = target.until
    if target.backup is not None:
        _check_files(repository, full)
        return (), full.taken_at
    if full.taken_at is None:
        wanted = until.point is None and (until.wall is None or until.wall == full.taken_wall)
        if not wanted:
            return None
        _check_files(repository, full)
        return (), None
    if (until.point is not None and until.point < full.taken_at) or (
        until.wall is not None and until.wall < full.taken_wall
    ):
        return None
    chosen: list[SegmentManifest] = []
    through, wall = full.taken_at, full.taken_wall
    for name in contents.chain(full.taken_at, until.point):
        if until.wall is not None and wall > until.wall:
            break
        manifest = repository.segment(name)
        if chosen:
            _check_follows(chosen[-1], manifest, contents)
        chosen.append(manifest)
        through, wall = manifest.through, manifest.through_wall
    if until.point is not None and until.point > through:
        return None
    if until.wall is not None and until.wall > wall:
        return None
    _check_files(repository, full)
    stepped = [name for name in contents.stepped if name.through > full.taken_at]
    _check_clock([repository.segment(name) for name in stepped], until)
    for each in chosen:
        _check_file(repository, each.file.name, each.file.bytes)
    return tuple(chosen), through


def _check_follows(
    before: SegmentManifest, segment: SegmentManifest, contents: BackupContents
) -> None:
    if segment.previous in {before.seal, None} or segment.after != before.through:
        return
    if sum(name.through == segment.after for name in contents.segments) > 1:
        return  # it was written after the other one
    name = SegmentName(segment.after, segment.through).stem
    earlier = SegmentName(before.after, before.through).stem
    raise errors.BackupDamaged(
        f"{name} was not written after the segment before it, {earlier}: one of them was exchanged",
        file=f"{name}.json",
    )


def _check_clock(segments: Sequence[SegmentManifest], until: Until) -> None:
    if until.wall is None:
        return
    for segment in segments:
        for step in segment.clock_steps:
            if step.back_to <= until.wall < step.back_from:
                raise errors.NotRecoverable(
                    f"the server's clock showed {moment_text(until.wall)} twice: it went back from "
                    f"{moment_text(step.back_from)} to {moment_text(step.back_to)} at {step.at}; "
                    f"name a point instead, such as --to {step.at} for all up to that entry",
                    nearest=[str(step.at)],
                )


def _check_files(repository: Repository, full: FullManifest) -> None:
    for file in full.files:
        _check_file(repository, file.name, file.bytes)


def _check_file(repository: Repository, name: str, size: int) -> None:
    found = repository.place.size(name)
    if found is None:
        raise errors.BackupDamaged(f"{name} is missing", file=name)
    if found != size:
        raise errors.BackupDamaged(f"{name} has {found:,} bytes instead of {size:,}", file=name)


def _impossible(
    contents: BackupContents,
    repository: Repository,
    target: Target,
    passed: list[DamagedBackup],
    damaged: str | None,
) -> errors.MessageServiceError:
    unusable = "".join(f"; {each.id} cannot be used: {each.reason}" for each in passed)
    if target.backup is not None:
        if target.backup in contents.unfinished:
            return errors.NotRecoverable(f"backup {target.backup} was not completed")
        for each in passed:
            if each.id == target.backup:
                return _unusable(f"{each.id} cannot be used: {each.reason}", [each], each.id)
        return errors.NotFound("backup", target.backup)
    if damaged is not None or (passed and not contents.fulls):
        reason = f"no backup that leads to this point can be used{unusable}"
        return _unusable(reason, passed, damaged or passed[-1].id)
    if not contents.fulls:
        return errors.NotRecoverable("there is no complete full backup here", nearest=[])
    known: list[RecoverableStretch] = []
    with suppress(errors.BackupDamaged, errors.Unsupported):
        known = stretches(contents, repository)
    earlier = [each.through_wall for each in known if _is_before(each, target.until)]
    later = [each.since_wall for each in known if _is_behind(each, target.until)]
    nearest = [
        moment_text(each)
        for each in (max(earlier, default=None), min(later, default=None))
        if each is not None
    ]
    which = f"; the nearest are {' and '.join(nearest)}" if nearest else ""
    return errors.NotRecoverable(f"no backup leads to this point{which}{unusable}", nearest=nearest)


def _is_before(stretch: RecoverableStretch, until: Until) -> bool:
    if until.point is not None:
        return stretch.through is not None and stretch.through < until.point
    return until.wall is not None and stretch.through_wall < until.wall


def _is_behind(stretch: RecoverableStretch, until: Until) -> bool:
    if until.point is not None:
        return stretch.since is not None and stretch.since > until.point
    return until.wall is not None and stretch.since_wall > until.wall


def _unusable(reason: str, passed: list[DamagedBackup], file: str) -> errors.MessageServiceError:
    if all(each.newer for each in passed):
        return errors.Unsupported(reason)
    return errors.BackupDamaged(reason, file=file)


def moment_text(wall: int) -> str:
    """Return a moment of the server's clock as people read it."""
    moment = datetime.fromtimestamp(wall // 1_000, UTC).replace(microsecond=wall % 1_000 * 1_000)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
