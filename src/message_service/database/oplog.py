"""The oplog of a replica set: what was written to one database, entry by entry.

Only what a majority has is read (such entries are never taken back), up to the majority's newest
point, below which there are no holes.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bson.raw_bson import RawBSONDocument
from bson.regex import Regex
from pymongo.asynchronous.database import AsyncDatabase

from message_service import errors
from message_service.database.client import COMMITTED
from message_service.database.point import OplogPoint
from message_service.database.raw_documents import RAW, decode, encode
from message_service.database.translate import translated
from message_service.documents.row import Row

_COMMANDS = "admin.$cmd"
_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the oplog.

    Attributes:
        at: Its point.
        wall: When it was written, by the clock of the primary, in milliseconds since 1970.
        operation: `i`, `u`, `d`, or `c` for a command.
        raw: Its bytes, without what a transaction did in other databases.
        goes_on: Whether it is part of a transaction whose last entry comes later.
    """

    at: OplogPoint
    wall: int
    operation: str
    raw: bytes
    goes_on: bool = False


@dataclass(frozen=True, slots=True)
class Moment:
    """A point and when it was, by the clock of the primary (milliseconds since 1970)."""

    at: OplogPoint
    wall: int


class Oplog:
    """The oplog, for what concerns one database.

    Args:
        database: The database.
    """

    def __init__(self, database: AsyncDatabase[Row]) -> None:
        self._database = database
        self._oplog: Any = database.client.get_database("local").get_collection(
            "oplog.rs", codec_options=RAW, read_concern=COMMITTED
        )
        self._ours = f"{database.name}."

    async def replica_set(self) -> str:
        """Return what identifies the replica set, whatever its name.

        Raises:
            PermissionDenied: The user may not read the set's configuration.
            Unsupported: The server is no member of a replica set.
        """
        with translated():
            hello = await self._database.client.admin.command("hello")
        if hello.get("msg") == "isdbgrid":
            raise errors.Unsupported(
                "a sharded cluster is not backed up through its router, which has no oplog; use "
                "a tool that coordinates shards, or back up each shard as a replica set"
            )
        if "setName" not in hello:
            raise errors.Unsupported(
                "the server is no member of a replica set and has no oplog: only `--full` backups "
                "are possible, and what is written meanwhile may be in them or not; start mongod "
                "with --replSet and run rs.initiate() once"
            )
        with translated():
            answer = await self._database.client.admin.command("replSetGetConfig", 1)
        return str(answer["config"]["settings"]["replicaSetId"])

    async def newest(self) -> Moment:
        """Return the newest point that a majority has."""
        with translated():
            hello = await self._database.client.admin.command("hello")
        newest = hello["lastWrite"]["majorityOpTime"]
        point = OplogPoint.of(newest["ts"], newest["t"])
        found = await self.entry_from(point)
        if found is None or found.at != point:
            raise errors.Unavailable("the oplog lacks its newest entry; try again")
        return found

    async def entry_from(self, point: OplogPoint) -> Moment | None:
        """Return the entry at a point, or the first one after it; None when there is none."""
        with translated():
            found = await self._oplog.find_one(
                {"ts": {"$gte": point.stamp}}, {"ts": 1, "t": 1, "wall": 1}, comment="backup.oplog"
            )
        return None if found is None else Moment(_point(found), _wall(found))

    async def oldest(self) -> Moment | None:
        """Return the oldest entry that is still there."""
        return await self.entry_from(OplogPoint(0, 1))

    async def entries(self, after: OplogPoint, through: OplogPoint) -> AsyncIterator[Entry]:
        """Yield what was written to the database after a point, up to another.

        A transaction whose last entry is in the stretch is yielded whole: entries of it that lie
        before the stretch come before its last one.
        """
        mine = Regex(f"^{re.escape(self._ours)}")
        chosen = {
            "ts": {"$gt": after.stamp, "$lte": through.stamp},
            "$or": [{"ns": mine}, {"ns": _COMMANDS}],
        }
        with translated():
            cursor = self._oplog.find(chosen, comment="backup.oplog", batch_size=5_000)
        try:
            while True:
                with translated():
                    found: RawBSONDocument | None = await anext(cursor, None)
                if found is None:
                    return
                if found["ns"] != _COMMANDS:
                    yield _entry(found, bytes(found.raw))
                    continue
                for each in await self._earlier(found, after):
                    yield each
                kept = self._kept(found)
                if kept is not None:
                    yield _entry(found, kept)
        finally:
            await cursor.close()

    async def _earlier(self, last: RawBSONDocument, after: OplogPoint) -> list[Entry]:
        """Return the entries of a transaction that are before the stretch that is read."""
        found: list[Entry] = []
        if _is_partial(last):
            return found
        while True:
            before: Any = last.get("prevOpTime")
            if before is None or not before["ts"].time:
                return found[::-1]
            stamp = before["ts"]
            with translated():
                earlier = await self._oplog.find_one(
                    {"ts": {"$gte": stamp, "$lte": stamp}}, comment="backup.oplog"
                )
            if earlier is None:
                raise errors.Unavailable("the oplog lacks the beginning of a transaction")
            last = earlier
            if OplogPoint.of(stamp, 0) <= after and (kept := self._kept(last)) is not None:
                found.append(_entry(last, kept))

    def _kept(self, found: RawBSONDocument) -> bytes | None:
        """Return an entry of several operations, without those in other databases."""
        if "applyOps" not in found["o"]:
            # What else is logged for all databases: the ends of prepared transactions, for one.
            ends = {"commitTransaction", "abortTransaction"} & set(found["o"])
            return bytes(found.raw) if ends else None
        entry = decode(bytes(found.raw))
        operations: list[Row] = entry["o"]["applyOps"]
        ours = [each for each in operations if str(each.get("ns", "")).startswith(self._ours)]
        chained = bool(entry.get("prevOpTime", {}).get("ts", _NO_STAMP).time)
        if not ours and not chained and not entry["o"].get("partialTxn"):
            return None
        entry["o"]["applyOps"] = ours
        return encode(entry)


class _NoStamp:
    time = 0


_NO_STAMP = _NoStamp()


def _is_partial(found: RawBSONDocument) -> bool:
    return bool(found["o"].get("partialTxn"))


def _entry(found: RawBSONDocument, raw: bytes) -> Entry:
    goes_on = found["op"] == "c" and _is_partial(found)
    return Entry(_point(found), _wall(found), found["op"], raw, goes_on)


def _point(found: RawBSONDocument) -> OplogPoint:
    return OplogPoint.of(found["ts"], int(found.get("t", 0)))  # none in the first of a set


def _wall(found: RawBSONDocument) -> int:
    wall: datetime = found["wall"]
    moment = wall if wall.tzinfo is not None else wall.replace(tzinfo=UTC)
    return round((moment - _EPOCH).total_seconds() * 1_000)
