"""The stored state of the schema engine, in `schema_state`; it is not tenant data.

The document `schema` holds the applied version and the names of the indexes and views created here,
so that no others are ever removed; `cursor_secret` holds the secret of page cursors.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pymongo import ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

from message_service import errors
from message_service.clock import Clock
from message_service.database.records import COLLECTION
from message_service.database.translate import translated
from message_service.documents.row import Row

_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class SchemaState:
    """The stored state of a database's schema.

    Attributes:
        version: Version of the catalogue last applied in full; None when none was.
        applied_at: When it was applied.
        created_indexes: Collection and name of every index this engine set out to create.
        created_views: Names of the views it set out to create.
    """

    version: int | None = None
    applied_at: datetime | None = None
    created_indexes: frozenset[tuple[str, str]] = frozenset()
    created_views: frozenset[str] = frozenset()


async def read(database: AsyncDatabase[Row]) -> SchemaState:
    """Return the stored state; an empty one when there is none."""
    with translated():
        stored = await _collection(database).find_one({"_id": "schema"})
    if stored is None:
        return SchemaState()
    return SchemaState(
        version=stored.get("version"),
        applied_at=stored.get("applied_at"),
        created_indexes=frozenset(
            (entry["collection"], entry["name"]) for entry in stored.get("created_indexes", ())
        ),
        created_views=frozenset(stored.get("created_views", ())),
    )


def check_not_newer(state: SchemaState, version: int) -> None:
    """Refuse a database that a newer release has changed.

    Raises:
        SchemaTooNew: Its version is higher than that of this release.
    """
    if state.version is not None and state.version > version:
        raise errors.SchemaTooNew(
            f"the database has schema version {state.version}, this release knows {version}; "
            "upgrade message-service",
            stored=state.version,
            known=version,
        )


async def remember_created(
    database: AsyncDatabase[Row], indexes: Iterable[tuple[str, str]], views: Iterable[str]
) -> None:
    """Record indexes and views before they are created, so that a crash cannot orphan them."""
    additions: dict[str, Any] = {
        "created_indexes": {"$each": [_entry(*index) for index in indexes]},
        "created_views": {"$each": list(views)},
    }
    with translated():
        await _collection(database).update_one(
            {"_id": "schema"}, {"$addToSet": additions}, upsert=True
        )


async def forget_index(database: AsyncDatabase[Row], collection: str, name: str) -> None:
    """Record that an index is gone."""
    with translated():
        await _collection(database).update_one(
            {"_id": "schema"}, {"$pull": {"created_indexes": _entry(collection, name)}}
        )


async def forget_view(database: AsyncDatabase[Row], name: str) -> None:
    """Record that a view is gone."""
    with translated():
        await _collection(database).update_one(
            {"_id": "schema"}, {"$pull": {"created_views": name}}
        )


async def record_version(database: AsyncDatabase[Row], version: int, clock: Clock) -> None:
    """Record that this version has been applied in full."""
    with translated():
        await _collection(database).update_one(
            {"_id": "schema"},
            {"$set": {"version": version, "applied_at": clock.now()}},
            upsert=True,
        )


async def cursor_secret(database: AsyncDatabase[Row], random: Callable[[int], bytes]) -> bytes:
    """Return the secret that signs page cursors; generated once, the same for every process."""
    collection = _collection(database)
    with translated():
        # Read first, so that a process with read-only rights can start.
        stored = await collection.find_one({"_id": "cursor_secret"})
        if stored is None:
            fresh = base64.b64encode(random(_SECRET_BYTES)).decode("ascii")
            # Two first processes at once: the server repeats the losing upsert, which then finds
            # the other's.
            stored = await collection.find_one_and_update(
                {"_id": "cursor_secret"},
                {"$setOnInsert": {"secret": fresh}},
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
    if stored is None:
        raise errors.Internal("the server returned no document for an upsert")
    return base64.b64decode(stored["secret"])


def _collection(database: AsyncDatabase[Row]) -> AsyncCollection[Row]:
    return database.get_collection(COLLECTION)


def _entry(collection: str, name: str) -> dict[str, str]:
    return {"collection": collection, "name": name}
