"""What backups are made of and compared with: databases as they are, byte by byte."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Any

from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.asynchronous.database import AsyncDatabase

from message_service.backup.backups import Backups
from message_service.backup.manifest import FullManifest
from message_service.backup.place import FULL_LEASE, HISTORY_LEASE
from message_service.clock import Clock, SystemClock
from message_service.database.oplog import Oplog
from message_service.database.point import OplogPoint
from message_service.database.rebuilding import STATE
from message_service.database.server_info import read_server_info
from message_service.documents.row import Row
from message_service.settings import Settings

RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)

_OTHERS = {"_id": {"$nin": [FULL_LEASE, HISTORY_LEASE]}}


async def backups_of(
    database: AsyncDatabase[Row],
    target: Path | str,
    key_file: Path | None = None,
    clock: Clock | None = None,
) -> Backups:
    """Return the backups of a database in a place."""
    settings = Settings(backup_target=str(target), backup_key_file=key_file)  # pyright: ignore[reportArgumentType]
    server = await read_server_info(database.client, standalone=True)
    return Backups(database, server, settings, clock or SystemClock(), os.urandom)


async def state_of(database: AsyncDatabase[Row]) -> dict[str, Any]:
    """Return all that a restore must bring back: documents as bytes, options, indexes, views.

    Without the leases of backups, which are others after each.
    """
    state: dict[str, Any] = {}
    async for info in await database.list_collections():
        name: str = info["name"]
        if name.startswith("system.") or name == STATE:
            continue
        if info["type"] == "view":
            state[name] = info["options"]
            continue
        raw: Any = database.get_collection(name, codec_options=RAW)
        documents = sorted([bytes(document.raw) async for document in raw.find(_OTHERS)])
        indexes = [index async for index in await database.get_collection(name).list_indexes()]
        state[name] = (
            info["options"],
            sorted(({k: v for k, v in index.items() if k != "ns"} for index in indexes), key=str),
            documents,
        )
    return state


async def now_in(database: AsyncDatabase[Row]) -> OplogPoint:
    """Return the newest point of the history."""
    return (await Oplog(database).newest()).at


def full_taken(taken: datetime, number: int = 0) -> FullManifest:
    """Return the manifest of an empty full backup."""
    seconds = int(taken.timestamp())
    values: dict[str, Any] = {
        "format": 1, "id": f"full-{seconds}-{number}", "database": "d", "replica_set": "r",
        "server_version": "6.0.5", "release": "0", "schema_version": 1, "key": None, "by": "me",
        "started_at": taken, "completed_at": taken, "opened_at": OplogPoint(seconds, 1, 1),
        "taken_at": OplogPoint(seconds, 1, 1), "taken_wall": seconds * 1_000, "consistent": True,
        "points": 1, "collections": [], "views": [], "oplog": None, "left_out": [],
    }  # fmt: skip
    return FullManifest(**values)
