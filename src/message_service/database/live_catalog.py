"""What a live database consists of: collections, their options and indexes, views."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase

from message_service.database.access import each_row
from message_service.database.raw_documents import EXACT
from message_service.database.translate import translated
from message_service.documents.row import Row

_SYSTEM = "system."


@dataclass(slots=True)
class LiveCollection:
    """A collection.

    Attributes:
        name: Its name.
        options: Its options as `create` takes them.
        indexes: Its indexes as `createIndexes` takes them, that of `_id` among them.
        uuid: What the server identifies it by, in hexadecimal digits.
        documents: How many documents it had at about this time.
        bytes: Their size, in bytes as they are read.
        stored_bytes: What they take on the server's disk.
    """

    name: str
    options: Row
    indexes: list[Row]
    uuid: str = ""
    documents: int = 0
    bytes: int = 0
    stored_bytes: int = 0


@dataclass(slots=True)
class LiveCatalog:
    """The collections and views of a database.

    Attributes:
        collections: The collections, in the order of their names.
        views: The documents that define views, as in `system.views`, without the database's name.
        others: Names of collections of other kinds (time series).
    """

    collections: list[LiveCollection] = field(default_factory=list[LiveCollection])
    views: list[Row] = field(default_factory=list[Row])
    others: list[str] = field(default_factory=list[str])


async def read_catalog(database: AsyncDatabase[Row]) -> LiveCatalog:
    """Return what the database consists of."""
    exact: AsyncDatabase[Row] = database.with_options(codec_options=EXACT)
    found = LiveCatalog()
    with translated():
        cursor = await exact.list_collections()
    async for row in each_row(cursor):
        name: str = row["name"]
        if name.startswith(_SYSTEM):
            continue
        if row["type"] == "view":
            found.views.append({"_id": name, **row["options"]})
        elif row["type"] == "collection":
            uuid: bytes = row["info"]["uuid"]
            found.collections.append(LiveCollection(name, row["options"], [], uuid.hex()))
        else:
            found.others.append(name)
    found.collections.sort(key=lambda each: each.name)
    for each in found.collections:
        with translated():
            indexes = await exact.get_collection(each.name).list_indexes()
        async for index in each_row(indexes):
            index.pop("ns", None)
            each.indexes.append(index)
        size = await _size(exact, each.name)
        each.documents = int(size.get("count", 0))
        each.bytes = int(size.get("size", 0))
        each.stored_bytes = int(size.get("storageSize", 0))
    return found


async def _size(database: AsyncDatabase[Row], name: str) -> dict[str, Any]:
    stages: list[Row] = [
        {"$collStats": {"storageStats": {}}},
        {
            "$project": {
                "count": "$storageStats.count",
                "size": "$storageStats.size",
                "storageSize": "$storageStats.storageSize",
            }
        },
    ]
    with translated():
        cursor = await database.get_collection(name).aggregate(stages, comment="backup.size")
        found: Row | None = await anext(cursor, None)
    return found or {}
