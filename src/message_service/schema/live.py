"""Reads the live schema: collections, validators, indexes, views and shard keys."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pymongo.asynchronous.database import AsyncDatabase

from message_service.catalogue.model import Keys
from message_service.database.translate import translated
from message_service.documents.row import Row
from message_service.schema import schema_state
from message_service.schema.index_forms import IndexForm, live_form
from message_service.schema.schema_state import SchemaState

_COMMENT = "catalogue.live"
_VALIDATION_OPTIONS = {"validator", "validationLevel", "validationAction"}


@dataclass(frozen=True, slots=True)
class LiveCollection:
    """One collection or view.

    Attributes:
        name: Its name.
        kind: "collection", "view" or another type of the server (a time series, for example).
        documents: The server's running count of documents; never 0 unless it is empty.
        validator: Its validator; empty when it has none.
        level: "strict", "moderate" or "off".
        action: "error" or "warn".
        options: Every other option it was created with (capped, collation, ...).
        indexes: Its indexes but for the one on `_id`.
        view_on: The collection a view reads.
        pipeline: A view's stages.
        shard_key: Its shard key; None when it is not sharded.
    """

    name: str
    kind: Literal["collection", "view", "timeseries"]
    documents: int = 0
    validator: Mapping[str, Any] | None = None
    level: str = "strict"
    action: str = "error"
    options: Mapping[str, Any] | None = None
    indexes: tuple[IndexForm, ...] = ()
    view_on: str | None = None
    pipeline: tuple[Mapping[str, Any], ...] = ()
    shard_key: Keys | None = None


@dataclass(frozen=True, slots=True)
class LiveSchema:
    """The live schema of a database.

    Attributes:
        collections: By name, without the server's own and `schema_state`.
        state: The stored state of the schema engine.
        sharded: Whether the server is a mongos, so that shard keys are in force.
    """

    collections: Mapping[str, LiveCollection]
    state: SchemaState
    sharded: bool = False


async def live(database: AsyncDatabase[Row]) -> LiveSchema:
    """Read the live schema.

    Raises:
        MessageServiceError: The server does not answer, or refuses this user.
    """
    sharded = await is_sharded(database)
    state = await schema_state.read(database)
    with translated():
        listed = await (await database.list_collections()).to_list()
    shard_keys = await read_shard_keys(database) if sharded else {}
    found = await asyncio.gather(
        *(
            _read(database, entry, shard_keys)
            for entry in listed
            if not entry["name"].startswith("system.") and entry["name"] != schema_state.COLLECTION
        )
    )
    return LiveSchema({entry.name: entry for entry in found}, state, sharded)


async def is_sharded(database: AsyncDatabase[Row]) -> bool:
    """Whether the server is a mongos."""
    with translated():
        hello = await database.client.admin.command("hello")
    return hello.get("msg") == "isdbgrid"


async def read_shard_keys(database: AsyncDatabase[Row]) -> dict[str, Keys]:
    """Return the shard key of each sharded collection, as the cluster's configuration has it."""
    # Between these two lie exactly the names that begin with "<database>.": "/" follows ".".
    bounds = {"$gte": f"{database.name}.", "$lt": f"{database.name}/"}
    with translated():
        rows = await (
            database.client.get_database("config")
            .get_collection("collections")
            .find({"_id": bounds, "dropped": {"$ne": True}}, {"key": 1})
        ).to_list()
    return {row["_id"].removeprefix(f"{database.name}."): tuple(row["key"].items()) for row in rows}


async def _read(
    database: AsyncDatabase[Row], listed: Mapping[str, Any], shard_keys: Mapping[str, Keys]
) -> LiveCollection:
    name: str = listed["name"]
    options: dict[str, Any] = listed.get("options", {})
    if listed["type"] == "view":
        return LiveCollection(
            name,
            "view",
            options={k: v for k, v in options.items() if k not in {"viewOn", "pipeline"}},
            view_on=options["viewOn"],
            pipeline=tuple(options["pipeline"]),
        )
    if listed["type"] != "collection":
        return LiveCollection(name, "timeseries", options=options)
    collection = database.get_collection(name)
    with translated():
        indexes = await (await collection.list_indexes()).to_list()
        documents = await collection.estimated_document_count(comment=_COMMENT)
        if documents == 0 and await collection.find_one({}, {"_id": 1}, comment=_COMMENT):
            documents = 1  # the running count can be wrong after a crash
    return LiveCollection(
        name,
        "collection",
        documents=documents,
        validator=options.get("validator", {}),
        level=options.get("validationLevel", "strict"),
        action=options.get("validationAction", "error"),
        options={k: v for k, v in options.items() if k not in _VALIDATION_OPTIONS},
        indexes=tuple(live_form(index) for index in indexes if index["name"] != "_id_"),
        shard_key=shard_keys.get(name),
    )
