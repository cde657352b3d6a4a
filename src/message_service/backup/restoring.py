"""Carries a plan out: makes the database anew, in steps that can be gone on with after a kill."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from message_service import errors
from message_service.backup.full import BackupProgress
from message_service.backup.manifest import CollectionRecord, FileRecord, PartRecord
from message_service.backup.recovery import RestorePlan
from message_service.backup.replay import Replay, Until
from message_service.backup.repository import Repository
from message_service.backup.schema_changes import Shape
from message_service.backup.selection import CONVERSATIONS, Selection
from message_service.database.point import OplogPoint
from message_service.database.raw_documents import (
    from_canonical_json,
    to_canonical_json,
)
from message_service.database.rebuilding import STATE, Rebuilding
from message_service.documents.row import Row
from message_service.stopping import end_tasks

_AT_ONCE = 1_000
_TTL = "expireAfterSeconds"
_BEGINNING = OplogPoint(0, 0)


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did.

    Attributes:
        database: The database it is in.
        backup: The full backup it began with.
        through: The last point that was replayed; None without oplog.
        documents: How many documents were loaded.
        operations: How many operations were replayed.
        resumed: Whether it went on with one that had been interrupted.
    """

    database: str
    backup: str
    through: OplogPoint | None
    documents: int
    operations: int
    resumed: bool


class Restoring:
    """Restores into one database.

    Args:
        repository: Where the backups are.
        target: The database.
        plan: What is restored.
        selection: What of it.
        parallel: How many files are loaded at a time.
        keep_expired: Whether indexes are left out that delete documents by their age.
        progress: Told how far it is.
        loaded: Called when the files are loaded, and nothing is replayed yet.
    """

    def __init__(
        self,
        repository: Repository,
        target: Rebuilding,
        plan: RestorePlan,
        selection: Selection,
        parallel: int,
        keep_expired: bool,
        progress: Callable[[BackupProgress], object],
        loaded: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        self._repository = repository
        self._target = target
        self._plan = plan
        self._selection = selection
        self._parallel = parallel
        self._keep_expired = keep_expired
        self._progress = progress
        self._loaded = loaded
        self._done = 0
        self._operations = 0

    async def check_target(self, *, over: bool) -> Row | None:
        """Check that the target may be written to.

        Args:
            over: Whether what is in it may be removed.

        Returns:
            How far an interrupted restore of the same plan is; None when there is none.

        Raises:
            Conflict: It holds data.
        """
        names = [name for name in await self._target.names() if name != STATE]
        state = await self._target.read_state()
        if state is not None and state["plan"] == self._identity():
            return state
        if (names or state) and not over:
            unfinished = " an unfinished restore of something else," if state else ""
            raise errors.Conflict(
                f"the database {self._target.name!r} holds{unfinished} {len(names)} collections "
                f"({', '.join(names[:3])}{', ...' if len(names) > 3 else ''}); restore into "
                f"another one, or name it twice (--into {self._target.name} --over "
                f"{self._target.name}) to have all of it removed",
            )
        return None

    async def check_files(self) -> None:
        """Read all files of the plan, so that nothing is removed for what cannot be restored.

        Raises:
            BackupDamaged: A file is missing or was changed.
        """
        files = [*self._plan.full.files, *(each.file for each in self._plan.segments)]
        for number, file in enumerate(files):
            self._progress(BackupProgress("checking the files", number, len(files)))
            await asyncio.to_thread(self._repository.stored, file)

    async def run(self, *, over: bool) -> Restored:
        """Restore.

        Raises:
            Conflict: The target holds data.
            BackupDamaged: A file of the backup is damaged; what was restored is not complete.
        """
        found = await self.check_target(over=over)
        state = await self._begin() if found is None else found
        if state["step"] == "load":
            shape = await self._load(frozenset(state["loaded"]))
            if self._loaded is not None:
                await self._loaded()
            state = await self._note("replay", shape, self._plan.full.opened_at or _BEGINNING)
        shape = Shape.from_row(from_canonical_json(state["shape"]))
        if state["step"] == "replay":
            shape = await self._replay(shape, OplogPoint.parse(state["position"]) or _BEGINNING)
        await self._finish(shape)
        return Restored(
            self._target.name,
            self._plan.full.id,
            self._through,
            self._plan.full.documents,
            self._operations,
            found is not None,
        )

    async def _begin(self) -> Row:
        for name in await self._target.names():
            if name != STATE:  # the lease is in it
                await self._target.drop(name)
        state: Row = {"_id": STATE, "plan": self._identity(), "step": "load", "loaded": []}
        await self._target.write_state(state)
        return state

    def _identity(self) -> Row:
        until = self._plan.until
        return {
            "backup": self._plan.full.id,
            "point": None if until.point is None else str(until.point),
            "wall": until.wall,
            "keep_expired": self._keep_expired,
            "only": self._selection.name,
        }

    @property
    def _through(self) -> OplogPoint | None:
        return self._plan.until.point or self._plan.through

    async def _note(self, step: str, shape: Shape, position: OplogPoint) -> Row:
        state: Row = {
            "_id": STATE,
            "plan": self._identity(),
            "step": step,
            "shape": to_canonical_json(shape.to_row()),
            "position": str(position),
        }
        await self._target.write_state(state)
        return state

    async def _load(self, loaded: frozenset[str]) -> Shape:
        full = self._plan.full
        shape = Shape({}, {})
        for each in full.collections:
            metadata = await self._metadata(each.metadata)
            shape.collections[each.name] = {
                "options": metadata["options"],
                "indexes": {index["name"]: index for index in metadata["indexes"]},
            }
            if self._selection.has(each.name):
                await self._target.create(each.name, metadata["options"])
        for file in full.views:
            metadata = await self._metadata(file)
            shape.views[metadata["collectionName"]] = metadata["options"]
        first = [each for each in full.collections if each.name == CONVERSATIONS]
        others = [each for each in full.collections if each.name != CONVERSATIONS]
        for several in (first, others):  # a selection learns from the first
            await self._load_collections(several, loaded)
        return shape

    async def _load_collections(
        self, collections: list[CollectionRecord], loaded: frozenset[str]
    ) -> None:
        wanted = [each for each in collections if self._selection.has(each.name)]
        parts = iter([(each, part) for each in wanted for part in each.parts])
        loaders = [
            asyncio.create_task(self._load_parts(parts, loaded)) for _ in range(self._parallel)
        ]
        try:
            await asyncio.gather(*loaders)
        finally:
            await end_tasks(loaders)

    async def _metadata(self, file: FileRecord) -> dict[str, Any]:
        raw = await asyncio.to_thread(self._repository.read, file, self._plan.full.key)
        return from_canonical_json(raw.decode())

    async def _load_parts(
        self, parts: Iterator[tuple[CollectionRecord, PartRecord]], loaded: frozenset[str]
    ) -> None:
        for collection, part in parts:
            if part.name in loaded:
                if self._selection.learns and collection.name == CONVERSATIONS:
                    await self._learn()
            else:
                documents = await asyncio.to_thread(
                    self._repository.documents, part, self._plan.full.key
                )
                while documents:  # what is stored is let go of at once
                    several = documents[-_AT_ONCE:]
                    del documents[-_AT_ONCE:]
                    await self._target.insert(
                        collection.name,
                        [each for each in several if self._selection.takes(collection.name, each)],
                    )
                await self._target.note_part(part.name)
            self._done += part.raw_bytes
            self._progress(BackupProgress("loading", self._done, self._plan.full.raw_bytes))

    async def _learn(self) -> None:
        """Have the selection learn from what an interrupted restore has loaded."""
        async for document in self._target.documents(CONVERSATIONS):
            self._selection.takes(CONVERSATIONS, document)

    async def _replay(self, shape: Shape, position: OplogPoint) -> Shape:
        full = self._plan.full
        if full.taken_at is None:
            return shape
        if self._selection.learns:
            await self._learn()
        replay = Replay(self._target, shape, frozenset(full.left_out), position, self._selection)
        if full.oplog is not None and position < full.taken_at:
            await self._replay_file(replay, full.oplog, full.key, Until(full.taken_at, None))
        await replay.reached(full.taken_at)
        for segment in self._plan.segments:
            if segment.through > position and not await self._replay_file(
                replay, segment.file, segment.key, self._plan.until
            ):
                break
        await replay.flush()
        self._operations = replay.replayed
        return replay.shape

    async def _replay_file(
        self, replay: Replay, file: FileRecord, key: str | None, until: Until
    ) -> bool:
        """Replay a file of entries; returns False when its end lies behind the target."""
        noted = replay.position
        for raw in await asyncio.to_thread(self._repository.documents, file, key):
            if not await replay.add(raw, until):
                await replay.flush()
                return False
            if replay.structure_changed or replay.position != noted:
                # A collection that came, went or was renamed must not do so twice.
                replay.structure_changed = False
                noted = replay.position
                await self._note("replay", replay.shape, noted)
                self._progress(BackupProgress("replaying", replay.replayed, self._plan.operations))
        await replay.flush()
        await self._note("replay", replay.shape, replay.position)
        self._progress(BackupProgress("replaying", replay.replayed, self._plan.operations))
        return True

    async def _finish(self, shape: Shape) -> None:
        """Make indexes, validators and views; those last that delete documents by their age."""
        await self._note("finish", shape, self._plan.full.taken_at or _BEGINNING)
        wanted = {
            name: each for name, each in shape.collections.items() if self._selection.has(name)
        }
        total = len(wanted)
        for number, (name, each) in enumerate(wanted.items()):
            self._progress(BackupProgress(f"indexes of {name}", number, total))
            indexes: list[Row] = list(each["indexes"].values())
            await self._target.create_indexes(
                name, [index for index in indexes if index["name"] != "_id_" and _TTL not in index]
            )
        for name, each in wanted.items():
            await self._target.put_validator(name, each["options"])
        for name, options in shape.views.items() if self._selection.whole else ():
            await self._target.create_view(name, options)
        if not self._keep_expired:
            for name, each in wanted.items():
                await self._target.create_indexes(
                    name, [index for index in each["indexes"].values() if _TTL in index]
                )
        await self._target.finish()
