"""Finds stored documents that the declared validators would refuse, and the field at fault.

The server checks with the same schema that it enforces. A collection is read in ranges of `_id`, so
that no command runs for long and the server can serve others in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

from message_service.catalogue.declared import CATALOGUE
from message_service.catalogue.model import Catalogue, Collection
from message_service.database.translate import translated
from message_service.documents.row import Row
from message_service.schema.schema_checks import checks
from message_service.schema.validators import validator

DEFAULT_BATCH = 5_000
DEFAULT_SAMPLES = 5

_COMMENT = "catalogue.conformance"
_BY_ID = [("_id", 1)]

Bound = list[tuple[str, Any]]

Progress = Callable[[str, int], None]
"""Told the collection and how many of its documents have been judged so far."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One document that does not conform.

    Attributes:
        id: Its `_id`, in readable form.
        problems: Fields and problems; values are not repeated.
    """

    id: str
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CollectionConformance:
    """The result for one collection.

    Attributes:
        collection: Its name.
        documents: How many documents were checked.
        violations: How many do not conform.
        samples: The first of those.
    """

    collection: str
    documents: int
    violations: int
    samples: tuple[Violation, ...]


@dataclass(frozen=True, slots=True)
class ConformanceReport:
    """The result for a database."""

    collections: tuple[CollectionConformance, ...]

    @property
    def conforming(self) -> bool:
        """Whether every document would be accepted."""
        return not any(entry.violations for entry in self.collections)

    def to_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "conforming": self.conforming,
            "collections": [
                {
                    "collection": entry.collection,
                    "documents": entry.documents,
                    "violations": entry.violations,
                    "samples": [
                        {"id": sample.id, "problems": list(sample.problems)}
                        for sample in entry.samples
                    ],
                }
                for entry in self.collections
            ],
        }


async def conformance(
    database: AsyncDatabase[Row],
    catalogue: Catalogue = CATALOGUE,
    *,
    samples: int = DEFAULT_SAMPLES,
    batch: int = DEFAULT_BATCH,
    pause: float = 0.0,
    progress: Progress | None = None,
) -> ConformanceReport:
    """Check every document of every declared collection.

    Args:
        database: The database.
        catalogue: The declared catalogue.
        samples: How many violations to explain per collection.
        batch: Documents per command.
        pause: Seconds to rest between commands.
        progress: Called with the number of documents checked.

    Raises:
        MessageServiceError: The database cannot be read.
    """
    return ConformanceReport(
        tuple(
            [
                await judge(
                    database, collection, samples=samples, batch=batch, pause=pause,
                    progress=progress,
                )
                for collection in catalogue.collections
            ]
        )
    )  # fmt: skip


async def judge(
    database: AsyncDatabase[Row],
    declared: Collection,
    *,
    samples: int = DEFAULT_SAMPLES,
    batch: int = DEFAULT_BATCH,
    pause: float = 0.0,
    progress: Progress | None = None,
) -> CollectionConformance:
    """Check every document of one collection; see `conformance`."""
    collection = database.get_collection(declared.name)
    offending = {"$nor": [validator(declared)]}
    judged = violations = 0
    found: list[Any] = []
    start: Bound | None = None
    while True:
        end, size = await _range_end(collection, start, batch)
        if size == 0:
            break
        with translated():
            cursor = _between(collection.find(offending, {"_id": 1}, comment=_COMMENT), start, end)
            async for row in cursor:
                violations += 1
                if len(found) < samples:
                    found.append(row["_id"])
        judged += size
        if progress is not None:
            progress(declared.name, judged)
        if end is None:
            break
        start = end
        await asyncio.sleep(pause)
    explained = await _explain(collection, declared, found) if found else ()
    return CollectionConformance(declared.name, judged, violations, explained)


async def _range_end(
    collection: AsyncCollection[Row], start: Bound | None, batch: int
) -> tuple[Bound | None, int]:
    """Return where the next range ends (None: at the end) and how many documents it holds."""
    with translated():
        ids = _between(collection.find({}, {"_id": 1}, comment=_COMMENT), start, None)
        beyond = await ids.skip(batch).limit(1).to_list()
        if beyond:
            return [("_id", beyond[0]["_id"])], batch
        rest = _between(collection.find({}, {"_id": 1}, comment=_COMMENT), start, None)
        return None, len(await rest.limit(batch).to_list())


def _between(cursor: Any, start: Bound | None, end: Bound | None) -> Any:
    # Index bounds: unlike $gt, they do not stop where the type of _id changes.
    cursor = cursor.hint(_BY_ID).sort(_BY_ID)
    if start is not None:
        cursor = cursor.min(start)
    if end is not None:
        cursor = cursor.max(end)
    return cursor


async def _explain(
    collection: AsyncCollection[Row], declared: Collection, ids: list[Any]
) -> tuple[Violation, ...]:
    """Ask the server which parts of the schema each document fails."""
    parts = checks(validator(declared))
    failing = {
        f"check{number}": [{"$match": {"$nor": [part.query]}}, {"$project": {"_id": 1}}]
        for number, part in enumerate(parts)
    }
    chosen = {"_id": {"$in": ids}}
    with translated():
        documents = await collection.find(chosen, comment=_COMMENT).to_list()
        cursor = await collection.aggregate(
            [{"$match": chosen}, {"$facet": failing}], comment=_COMMENT
        )
        answer = (await cursor.to_list())[0]
    return tuple(
        Violation(
            str(document["_id"]),
            tuple(
                part.describe(document)
                for number, part in enumerate(parts)
                if {"_id": document["_id"]} in answer[f"check{number}"]
            ),
        )
        for document in documents
    )
