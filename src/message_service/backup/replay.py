"""Replays entries of an oplog over a database, exactly.

Entries are gathered; then the documents they concern are read, changed here as the server would
change them (`document_update`), and written once. Replaying entries again over their own result
gives the same result, so a restore that was killed goes on where it last noted its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from message_service import errors
from message_service.backup.document_update import updated
from message_service.backup.schema_changes import STRUCTURE, Shape, command_of
from message_service.backup.selection import Selection
from message_service.database.point import OplogPoint
from message_service.database.raw_documents import decode, encode, id_of
from message_service.database.rebuilding import Rebuilding
from message_service.documents.row import Row

MOST_ENTRIES = 5_000
"""How many operations are gathered at most."""

_MOST_BYTES = 16 * 1024**2
_OF_TRANSACTIONS = frozenset({"applyOps", "commitTransaction", "abortTransaction"})
_VIEWS = "system.views"
_SYSTEM = "system."


@dataclass(frozen=True, slots=True)
class Until:
    """Where a replay ends: behind the last entry that still belongs to it.

    Attributes:
        point: The last point; None for no limit.
        wall: The last moment by the primary's clock, in milliseconds since 1970; None for none.
    """

    point: OplogPoint | None
    wall: int | None

    def includes(self, at: OplogPoint, wall: int) -> bool:
        """Return whether an entry belongs to it."""
        return (self.point is None or at <= self.point) and (self.wall is None or wall <= self.wall)


@dataclass(slots=True)
class _Changes:
    identity: Any
    operations: list[Row] = field(default_factory=list[Row])


class Replay:
    """Replays entries in their order.

    Args:
        target: The database.
        shape: Its collections, indexes and views; followed.
        left_out: Collections of the source that are not in the backup.
        after: Entries up to this point are skipped: they have been replayed.
        selection: What is wanted of it.
    """

    def __init__(
        self,
        target: Rebuilding,
        shape: Shape,
        left_out: frozenset[str],
        after: OplogPoint,
        selection: Selection,
    ) -> None:
        self._target = target
        self._selection = selection
        self.shape = shape
        self._left_out = left_out
        self._gathered: dict[str, dict[bytes, _Changes]] = {}
        self._count = 0
        self._bytes = 0
        self._parts: dict[tuple[bytes, int], dict[OplogPoint, list[Row]]] = {}
        self._seen = after
        self.position = after
        self.replayed = 0
        self.structure_changed = False

    async def add(self, raw: bytes, until: Until) -> bool:
        """Take an entry; returns False when it no longer belongs to what is replayed.

        Raises:
            Unsupported: The entry is not known.
            BackupDamaged: It does not fit what came before.
        """
        entry = decode(raw)
        at = OplogPoint.of(entry["ts"], int(entry.get("t", 0)))
        partial = self._is_partial(entry)
        if at <= self._seen and not partial:
            self._parts.pop(_transaction(entry), None)
            return True
        if partial:
            parts = self._parts.setdefault(_transaction(entry), {})
            parts[at] = entry["o"]["applyOps"]
            return True
        if not until.includes(at, int(entry["wall"])):
            return False
        for operation in self._operations(entry):
            await self._take(operation)
            self._bytes += len(raw)
        self._seen = at
        if self.structure_changed and not self._count and not self._parts:
            self.position = at
        if self._count >= MOST_ENTRIES or self._bytes >= _MOST_BYTES:
            await self.flush()
        return True

    @staticmethod
    def _is_partial(entry: Row) -> bool:
        command: Row = entry["o"]
        return (
            entry["op"] == "c"
            and "applyOps" in command
            and bool(command.get("partialTxn") or command.get("prepare"))
        )

    def _operations(self, entry: Row) -> Iterator[Row]:
        """Yield what an entry does, that of a transaction's earlier entries first."""
        if entry["op"] != "c" or not (_OF_TRANSACTIONS & entry["o"].keys()):
            yield entry
            return
        earlier = self._parts.pop(_transaction(entry), {})
        if "abortTransaction" in entry["o"]:
            return
        for at in sorted(earlier):
            yield from earlier[at]
        yield from entry["o"].get("applyOps", ())

    async def _take(self, operation: Row) -> None:
        collection: str = operation["ns"].partition(".")[2]
        kind: str = operation["op"]
        if kind == "n":
            return
        if kind == "c":
            await self._command(operation["o"])
            return
        if kind not in {"i", "u", "d"}:
            raise errors.Unsupported(f"the history holds an operation of unknown kind {kind!r}")
        if collection == _VIEWS:
            self._view(kind, operation)
            return
        if collection.startswith(_SYSTEM) or collection in self._left_out:
            return
        if collection not in self.shape.collections:
            raise errors.BackupDamaged(
                f"the history writes to {collection!r}, which was never made; an earlier part of "
                "it is missing"
            )
        if not self._selection.has(collection):
            return
        document: Row = operation["o2"] if kind == "u" else operation["o"]
        if kind == "i" and not self._selection.takes(collection, document):
            return
        identity = document["_id"]
        changes = self._gathered.setdefault(collection, {}).setdefault(
            encode({"_id": identity}), _Changes(identity)
        )
        if kind in {"i", "d"}:
            changes.operations.clear()  # what came before makes no difference
        changes.operations.append(operation)
        self._count += 1
        self.replayed += 1

    def _view(self, kind: str, operation: Row) -> None:
        document: Row = operation["o"]
        name: str = (operation["o2"] if kind == "u" else document)["_id"].partition(".")[2]
        if kind == "u":
            document = updated({"_id": "", **self.shape.views.get(name, {})}, document)
        self.shape.change_view(kind, name, document)

    async def _command(self, command: Row) -> None:
        name = command_of(command)
        self.replayed += 1
        if name not in STRUCTURE:
            self.shape.change(command)
            return
        await self.flush()
        if name == "create" and "timeseries" in command:
            raise errors.Unsupported(
                f"the history makes the time series {command['create']!r}, which backups do not "
                "hold; restore to a point before it"
            )
        before = set(self.shape.collections)
        self.shape.change(command)
        match name:
            case "renameCollection" if not self._selection.whole:
                raise errors.Unsupported(
                    "the history renames collections, so a part of it cannot be restored; restore "
                    "all of it into another database"
                )
            case "create" if not self._selection.has(command["create"]):
                pass
            case "create" if not command["create"].startswith(_SYSTEM):
                made = self.shape.collections[command["create"]]
                await self._target.create(command["create"], made["options"])
            case "create":
                self.shape.collections.pop(command["create"], None)
            case "drop":
                if command["drop"] != _VIEWS:
                    await self._target.drop(command["drop"])
            case "renameCollection":
                source = command["renameCollection"].partition(".")[2]
                await self._target.rename(source, command["to"].partition(".")[2])
            case "dropDatabase":
                for each in before:
                    await self._target.drop(each)
            case _:
                raise errors.Unsupported(
                    f"the history holds a command this release cannot replay: {name!r}"
                )
        self.structure_changed = True

    async def reached(self, point: OplogPoint) -> None:
        """Note that all up to a point is replayed, or was there from the beginning."""
        self._seen = max(self._seen, point)
        await self.flush()

    async def flush(self) -> None:
        """Write what was gathered."""
        for collection, changes in self._gathered.items():
            await self._write(collection, changes)
        self._gathered, self._count, self._bytes = {}, 0, 0
        if not self._parts:
            self.position = self._seen

    async def _write(self, collection: str, changes: dict[bytes, _Changes]) -> None:
        needed = [each.identity for each in changes.values() if each.operations[0]["op"] == "u"]
        found: dict[bytes, Row] = {}
        for start in range(0, len(needed), MOST_ENTRIES):
            for raw in await self._target.read(collection, needed[start : start + MOST_ENTRIES]):
                found[encode({"_id": id_of(raw)})] = decode(raw)
        new: list[tuple[Any, bytes | None]] = []
        others: list[tuple[Any, bytes | None]] = []
        for key, each in changes.items():
            document = found.get(key)
            first: str = each.operations[0]["op"]
            if document is None and first == "u":
                continue  # it is deleted later on, and was when its file was read
            for operation in each.operations:
                match operation["op"]:
                    case "i":
                        document = operation["o"]
                    case "d":
                        document = None
                    case _ if document is not None:
                        document = updated(document, operation["o"])
                    case _:
                        pass
            written = (each.identity, None if document is None else encode(document))
            (new if first == "i" and document is not None else others).append(written)
        if await self._target.insert(collection, [raw for _, raw in new if raw is not None]):
            others += new  # some are there: they were read after they were inserted
        await self._target.write(collection, others)


def _transaction(entry: Row) -> tuple[bytes, int]:
    """Return what identifies the transaction of an entry."""
    return encode({"lsid": entry.get("lsid")}), int(entry.get("txnNumber") or 0)
