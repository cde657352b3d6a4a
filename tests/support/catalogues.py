"""Catalogues that differ from ours, what a database has of one, and the commands that are sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

from message_service.catalogue.declared import CATALOGUE
from message_service.catalogue.model import Catalogue, Collection, Index, View
from message_service.clock import SystemClock
from message_service.documents.row import Row
from message_service.schema.apply import ApplyReport
from message_service.schema.plan import make_plan

Database = AsyncDatabase[Row]
CLOCK = SystemClock()
NOW = datetime(2025, 1, 15, 10, 30, tzinfo=UTC)


def altered(
    *indexes: Index,
    without: Sequence[str] = (),
    collection: str = "messages",
    views: tuple[View, ...] = CATALOGUE.views,
    version: int = CATALOGUE.version,
) -> Catalogue:
    """The catalogue with indexes of one collection added, replaced by name, or left out."""
    gone = {*without, *(index.name for index in indexes)}

    def change(declared: Collection) -> Collection:
        if declared.name != collection:
            return declared
        kept = tuple(index for index in declared.indexes if index.name not in gone)
        return replace(declared, indexes=(*kept, *indexes))

    return Catalogue(version, tuple(change(c) for c in CATALOGUE.collections), views)


def message(number: int = 1, **changed: Any) -> Row:
    """A message as the service stores it; dotted names reach inside."""
    conversation = changed.pop("conversation_id", "conv_000000000001")
    values: Row = {
        "tenant_id": "default",
        "message_id": f"msg_{number:012d}",
        "conversation_id": conversation,
        "partition_key": conversation,
        "user_id": "user_000000000001",
        "content": {"text": "hello"},
        "role": "user",
        "message_type": "standard",
        "status": "active",
        "sequence_number": number,
        "timestamps": {"created_at": NOW},
        "relationships": {"conversation_branch": "main"},
        "version": 1,
        "revision": 1,
        "data_classification": "standard",
        "retention_policy": "standard",
        "archived_to_cold_storage": False,
    }
    for path, value in changed.items():
        *parents, leaf = path.split("__")
        inside = values
        for parent in parents:
            inside = inside.setdefault(parent, {})
        if value is None:
            inside.pop(leaf, None)
        else:
            inside[leaf] = value
    return values


async def insert_unchecked(database: Database, *documents: Row, into: str = "messages") -> None:
    await database.get_collection(into).insert_many(
        list(documents), bypass_document_validation=True
    )


async def index_of(database: Database, name: str, collection: str = "messages") -> Row | None:
    listed = await (await database.get_collection(collection).list_indexes()).to_list()
    return next((dict(index) for index in listed if index["name"] == name), None)


async def options_of(database: Database, name: str) -> Row:
    listed = await (await database.list_collections(filter={"name": name})).to_list()
    return listed[0]["options"]


def kinds(report: ApplyReport) -> list[tuple[str, str]]:
    return [(change.kind.value, change.target) for change in report.done]


async def differences(
    database: Database, catalogue: Catalogue = CATALOGUE
) -> list[tuple[str, str, str]]:
    plan = await make_plan(database, catalogue)
    return [(change.kind.value, change.target, change.by) for change in plan.changes]


class Commands(CommandListener):
    """Keeps the commands a client sends."""

    def __init__(self) -> None:
        self.sent: list[Mapping[str, Any]] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.sent.append(event.command)

    def succeeded(self, event: CommandSucceededEvent) -> None:
        pass

    def failed(self, event: CommandFailedEvent) -> None:
        pass

    def names(self) -> list[str]:
        return [next(iter(command)) for command in self.sent]
