"""Checks backups: reads every file, and makes the database anew to compare it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from message_service import errors
from message_service.backup import packing
from message_service.backup.full import BackupProgress
from message_service.backup.manifest import FileRecord, FullManifest, SegmentManifest
from message_service.backup.recovery import BackupContents, RestorePlan
from message_service.backup.replay import Until
from message_service.backup.repository import IDENTITY, Repository, SegmentName
from message_service.backup.restoring import Restoring
from message_service.backup.selection import Selection
from message_service.database.point import OplogPoint
from message_service.database.rebuilding import Rebuilding

_COMPARED_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong.

    Attributes:
        where: The backup or segment.
        reason: What is wrong, with the name of the file.
    """

    where: str
    reason: str


@dataclass(slots=True)
class VerifiedBackups:
    """What a check found.

    Attributes:
        backups: The full backups that were read.
        segments: How many segments were read.
        files: How many files.
        bytes: Their size.
        restored: The full backups that were restored and compared.
        problems: What is wrong.
    """

    backups: list[str] = field(default_factory=list[str])
    segments: int = 0
    files: int = 0
    bytes: int = 0
    restored: list[str] = field(default_factory=list[str])
    problems: list[Problem] = field(default_factory=list[Problem])


class Verifying:
    """Checks the backups of one place.

    Args:
        repository: The place.
        progress: Told how far it is.
    """

    def __init__(
        self, repository: Repository, progress: Callable[[BackupProgress], object]
    ) -> None:
        self._repository = repository
        self._progress = progress
        self.found = VerifiedBackups()

    def damaged(self, name: str, reason: str) -> None:
        """Note that a backup's manifest cannot be read."""
        self.found.problems.append(Problem(name, reason))

    async def full(self, full: FullManifest) -> None:
        """Read every file of a full backup; what is wrong is added to what was found."""
        self.found.backups.append(full.id)
        for collection in full.collections:
            await self._read(full.id, collection.metadata, full.key, documents=False)
            contents = [
                await self._read(full.id, part, full.key, documents=True)
                for part in collection.parts
            ]
            if None in contents:
                continue
            content = packing.add_contents(each for each in contents if each is not None)
            if f"{content:032x}" != collection.content:
                self.found.problems.append(
                    Problem(full.id, f"{collection.name} adds up to other contents")
                )
        for file in full.views:
            await self._read(full.id, file, full.key, documents=False)
        if full.oplog is not None:
            await self._read(full.id, full.oplog, full.key, documents=True)

    async def segments(self, contents: BackupContents) -> None:
        """Read every segment, and check that each names the one before it."""
        await self._check_identity(contents)
        seals: dict[OplogPoint, str] = {}
        for name in contents.segments:
            try:
                manifest = await asyncio.to_thread(self._repository.segment, name)
            except (errors.BackupDamaged, errors.Unsupported) as damage:
                self.found.problems.append(Problem(name.stem, damage.message))
                continue
            self.found.segments += 1
            if manifest.previous is not None and _is_missing_before(name, contents):
                reason = f"the segment before it, which ends at {name.after}, is missing"
                self.found.problems.append(Problem(name.stem, reason))
            await self._check_segment(name, manifest, seals)
            seals[manifest.through] = manifest.seal

    async def _check_identity(self, contents: BackupContents) -> None:
        try:
            found = await asyncio.to_thread(self._repository.identity)
        except (errors.BackupDamaged, errors.Unsupported) as damage:
            self.found.problems.append(Problem(IDENTITY, damage.message))
            return
        if found is None and (contents.fulls or contents.segments or contents.damaged):
            self.found.problems.append(Problem(IDENTITY, f"{IDENTITY} is missing"))

    async def _check_segment(
        self, name: SegmentName, manifest: SegmentManifest, seals: dict[OplogPoint, str]
    ) -> None:
        before = seals.get(manifest.after)
        if before is not None and manifest.previous not in {before, None}:
            self.found.problems.append(
                Problem(name.stem, "the segment before it is not the one it was written after")
            )
        await self._read(name.stem, manifest.file, manifest.key, documents=True)

    async def _read(
        self, where: str, file: FileRecord, key: str | None, *, documents: bool
    ) -> int | None:
        """Read a file; return what its documents add up to, or None when it is damaged."""
        try:
            content = await asyncio.to_thread(self._content, file, key, documents)
        except errors.BackupDamaged as damage:
            self.found.problems.append(Problem(where, damage.message))
            return None
        self.found.files += 1
        self.found.bytes += file.bytes
        self._progress(BackupProgress(f"reading {where}", self.found.bytes, 0))
        return content

    def _content(self, file: FileRecord, key: str | None, documents: bool) -> int:
        if documents:
            return packing.content_of(self._repository.documents(file, key))
        self._repository.read(file, key)
        return 0

    async def restore(self, full: FullManifest, scratch: Rebuilding, parallel: int) -> None:
        """Restore a full backup into a database of its own, compare it, and remove that."""

        async def compare() -> None:
            for collection in full.collections:
                await self._compare(full, scratch, collection.name)

        plan = RestorePlan(full, (), Until(full.taken_at, None), full.taken_at, ())
        restoring = Restoring(
            self._repository,
            scratch,
            plan,
            Selection(),
            parallel,
            keep_expired=True,
            progress=self._progress,
            loaded=compare,
        )
        try:
            await restoring.run(over=False)
            self.found.restored.append(full.id)
        except errors.BackupDamaged as damage:
            self.found.problems.append(Problem(full.id, damage.message))
        finally:
            await scratch.remove()

    async def _compare(self, full: FullManifest, scratch: Rebuilding, name: str) -> None:
        expected = next(each for each in full.collections if each.name == name)
        count, content = 0, 0
        gathered: list[bytes] = []
        async for document in scratch.documents(name):
            gathered.append(document)
            if len(gathered) >= _COMPARED_AT_ONCE:
                count += len(gathered)
                content += await asyncio.to_thread(packing.content_of, gathered)
                gathered = []
        count += len(gathered)
        content = packing.add_contents((content, packing.content_of(gathered)))
        if (count, f"{content:032x}") != (expected.documents, expected.content):
            self.found.problems.append(
                Problem(
                    full.id,
                    f"{name} came back with {count:,} documents instead of "
                    f"{expected.documents:,}, or with other contents",
                )
            )


def _is_missing_before(name: SegmentName, contents: BackupContents) -> bool:
    """Return whether the segment before one is gone, and was not removed by `prune`.

    That one removes what ends before a full backup it keeps, and then all that is older.
    """
    if any(each.through == name.after for each in contents.segments):
        return False
    if any(each.through < name.after for each in contents.segments):
        return True
    taken = [full.taken_at for full in contents.fulls if full.taken_at is not None]
    return bool(taken) and max(taken) < name.after
