"""The state of a database's schema and loops at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase

from message_service.catalogue.declared import CATALOGUE
from message_service.catalogue.model import Catalogue, Collection
from message_service.documents.row import Row
from message_service.loops.control import LoopControl, LoopStatus
from message_service.schema import lock
from message_service.schema.index_forms import canonical, shown
from message_service.schema.live import LiveCollection, LiveSchema, live
from message_service.schema.plan import diff
from message_service.schema.validators import validator


@dataclass(frozen=True, slots=True)
class CollectionStatus:
    """One declared collection.

    Attributes:
        name: Its name.
        documents: The server's running count of documents.
        indexes: Number of indexes, without `_id`.
        declared_indexes: Number of declared indexes.
        validator: "in force", "warns", "other" (not the declared one), or "absent".
        shard_key: The declared shard key, and whether it is in force.
    """

    name: str
    documents: int
    indexes: int
    declared_indexes: int
    validator: str
    shard_key: str


@dataclass(frozen=True, slots=True)
class Status:
    """One database.

    Attributes:
        database: Its name.
        stored_version: Schema version applied; None when none was.
        declared_version: Schema version of this release.
        applied_at: When the stored version was applied.
        applying: The holder of the apply lease; None when there is none.
        differences: Number of differences `db plan` would show.
        collections: The declared collections.
        loops: The background loops.
    """

    database: str
    stored_version: int | None
    declared_version: int
    applied_at: datetime | None
    applying: str | None
    differences: int
    collections: tuple[CollectionStatus, ...]
    loops: tuple[LoopStatus, ...]

    def to_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return asdict(self)


async def read_status(
    database: AsyncDatabase[Row],
    catalogue: Catalogue = CATALOGUE,
    *,
    loops: Sequence[str] = (),
) -> Status:
    """Read the state of a database's schema, and of the loops with these names.

    Raises:
        MessageServiceError: The database cannot be read.
    """
    found = await live(database)
    return Status(
        database=database.name,
        stored_version=found.state.version,
        declared_version=catalogue.version,
        applied_at=found.state.applied_at,
        applying=await lock.holder(database),
        differences=len(diff(catalogue, found).changes),
        collections=tuple(_status(collection, found) for collection in catalogue.collections),
        loops=tuple(await LoopControl(database, loops).status()),
    )


def _status(declared: Collection, found: LiveSchema) -> CollectionStatus:
    existing = found.collections.get(declared.name)
    if declared.shard_key is None:
        shard_key = "not sharded"
    elif existing is not None and existing.shard_key == declared.shard_key:
        shard_key = shown(declared.shard_key)
    else:
        shard_key = f"{shown(declared.shard_key)}, not in force"
    return CollectionStatus(
        name=declared.name,
        documents=0 if existing is None else existing.documents,
        indexes=0 if existing is None else len(existing.indexes),
        declared_indexes=len(declared.indexes),
        validator=_validator(declared, existing),
        shard_key=shard_key,
    )


def _validator(declared: Collection, existing: LiveCollection | None) -> str:
    if existing is None or not existing.validator:
        return "absent"
    if canonical(existing.validator) != canonical(validator(declared)):
        return "other"
    return "in force" if (existing.level, existing.action) == ("strict", "error") else "warns"
