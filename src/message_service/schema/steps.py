"""Carries out the changes of a plan; every step is idempotent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase

from message_service import errors
from message_service.catalogue.model import Catalogue, Index
from message_service.clock import Clock
from message_service.database.commands import (
    CANNOT_CONVERT_TO_UNIQUE,
    DUPLICATE_KEY,
    INDEX_NOT_FOUND,
    NAMESPACE_NOT_FOUND,
    run_command,
    unhurried,
)
from message_service.database.translate import translated
from message_service.documents.row import Row
from message_service.schema import conformance, schema_state
from message_service.schema.changes import Change, ChangeKind
from message_service.schema.index_forms import create_spec, declared_form, live_form
from message_service.schema.validators import validator

_GONE = frozenset({INDEX_NOT_FOUND, NAMESPACE_NOT_FOUND})
_MAJORITY = {"writeConcern": {"w": "majority"}}
_SAMPLES = 3
_COMMENT = "catalogue.apply"
_IN_FORCE = {"validationLevel": "strict", "validationAction": "error"}
_WARNING = {"validationLevel": "strict", "validationAction": "warn"}

Progress = Callable[[str], None]
"""Told, in a line, what is being done."""


class Steps:
    """Carries out changes on one database.

    Args:
        database: The database.
        catalogue: The declared catalogue.
        clock: The present moment, for the record.
        progress: Called with the step that begins.
    """

    def __init__(
        self,
        database: AsyncDatabase[Row],
        catalogue: Catalogue,
        clock: Clock,
        progress: Progress | None = None,
    ) -> None:
        self._database = database
        self._catalogue = catalogue
        self._clock = clock
        self._progress = progress

    async def carry_out(self, change: Change) -> str | None:
        """Carry out one change; return the reason if it was not carried out.

        Raises:
            CatalogueError: The data forbids the change.
            MessageServiceError: The server refused, or did not answer.
        """
        self._say(f"{change.kind.value}: {change.collection}.{change.target}")
        match change.kind:
            case ChangeKind.CREATE_COLLECTION:
                await self._create_collection(change.collection)
            case ChangeKind.SET_VALIDATOR:
                await self._set_validator(change.collection)
            case ChangeKind.PROMOTE_VALIDATOR:
                return await self._promote_validator(change.collection)
            case ChangeKind.CREATE_INDEX:
                await self.create_indexes(change.collection, [_index(change)])
            case ChangeKind.REPLACE_INDEX:
                await self._replace_index(change, _index(change))
            case ChangeKind.UNHIDE_INDEX:
                await self._change_index(change, {"hidden": False})
            case ChangeKind.HIDE_INDEX:
                await self._change_index(change, {"hidden": True})
            case ChangeKind.STOP_PREPARE_UNIQUE:
                await self._change_index(change, {"prepareUnique": False})
            case ChangeKind.CHANGE_TTL:
                seconds = _index(change).expire_after_seconds
                await self._change_index(change, {"expireAfterSeconds": seconds})
            case ChangeKind.CONVERT_UNIQUE:
                await self._convert_unique(change)
            case ChangeKind.DROP_INDEX:
                await self._drop_index(change.collection, change.target)
            case ChangeKind.CREATE_VIEW:
                await self._view("create", change.target)
            case ChangeKind.CHANGE_VIEW:
                await self._view("collMod", change.target)
            case ChangeKind.DROP_VIEW:
                await self._run({"drop": change.target, **_MAJORITY}, _GONE)
                await schema_state.forget_view(self._database, change.target)
            case ChangeKind.RECORD_VERSION:
                await self.wait_for_builds(frozenset())
                version = self._catalogue.version
                await schema_state.record_version(self._database, version, self._clock)
            case (
                ChangeKind.SHARD_COLLECTION
                | ChangeKind.WRONG_KIND
                | ChangeKind.FOREIGN_OPTIONS
                | ChangeKind.UNKNOWN_COLLECTION
            ):
                return "not done by apply"
        return None

    async def create_indexes(self, collection: str, indexes: Sequence[Index]) -> None:
        """Build indexes in one pass over the collection.

        Raises:
            CatalogueError: A unique index meets duplicates.
        """
        specs = [create_spec(index) for index in indexes]
        self._say(f"building {collection}: {', '.join(index.name for index in indexes)}")
        answer = await self._run(
            {"createIndexes": collection, "indexes": specs, **_MAJORITY}, frozenset({DUPLICATE_KEY})
        )
        if answer["ok"]:
            return
        for index in indexes:
            if index.unique:
                await self._refuse_duplicates(collection, index)
        raise errors.CatalogueError(
            f"{collection}: duplicates stopped the build of "
            f"{', '.join(index.name for index in indexes)}"
        )

    async def wait_for_builds(self, missing: frozenset[tuple[str, str]]) -> None:
        """Wait for index builds left running by a dead apply; the server lists them as finished.

        Args:
            missing: Collections and indexes (or collections twice) that are not as declared.
        """
        for collection in self._catalogue.collections:
            if (collection.name, collection.name) in missing:
                continue
            specs = [
                create_spec(index)
                for index in collection.indexes
                if (collection.name, index.name) not in missing
            ]
            if specs:
                # Nothing is built: the server answers once all of these are there.
                await self._run({"createIndexes": collection.name, "indexes": specs, **_MAJORITY})

    async def _create_collection(self, name: str) -> None:
        declared = self._catalogue.collection(name)
        # Nothing is in it yet, so nothing needs to be warned about.
        await self._run(
            {"create": name, "validator": validator(declared), **_IN_FORCE, **_MAJORITY}
        )

    async def _set_validator(self, name: str) -> None:
        with translated():
            first = await self._database.get_collection(name).find_one(
                {}, {"_id": 1}, comment=_COMMENT
            )
        rule = validator(self._catalogue.collection(name))
        force = _IN_FORCE if first is None else _WARNING
        await self._run({"collMod": name, "validator": rule, **force, **_MAJORITY})

    async def _promote_validator(self, name: str) -> str | None:
        found = await conformance.judge(
            self._database,
            self._catalogue.collection(name),
            progress=lambda judged, count: self._say(f"judging {judged}: {count:,} documents"),
        )
        if found.violations:
            return (
                f"{found.violations:,} of {found.documents:,} documents do not conform; "
                "`db conformance` names them"
            )
        await self._run({"collMod": name, **_IN_FORCE, **_MAJORITY})
        return None

    async def _replace_index(self, change: Change, index: Index) -> None:
        """Drop conflicting indexes and build the index; if that fails, restore the old ones."""
        form = declared_form(index)
        collection = self._database.get_collection(change.collection)
        with translated():
            listed = await (await collection.list_indexes()).to_list()
        in_the_way = [
            raw for raw in listed if raw["name"] in change.drops and live_form(raw).excludes(form)
        ]
        if index.unique:
            await self._refuse_duplicates(change.collection, index)
        for raw in in_the_way:
            await self._drop_index(change.collection, raw["name"])
        try:
            await self.create_indexes(change.collection, [index])
        except errors.MessageServiceError:
            specs = [{k: v for k, v in raw.items() if k != "v"} for raw in in_the_way]
            if specs:
                await self._run({"createIndexes": change.collection, "indexes": specs, **_MAJORITY})
            raise

    async def _convert_unique(self, change: Change) -> None:
        await self._change_index(change, {"prepareUnique": True})
        target = {"name": change.target, "unique": True}
        answer = await self._run(
            {"collMod": change.collection, "index": target, **_MAJORITY},
            frozenset({CANNOT_CONVERT_TO_UNIQUE}),
        )
        if answer["ok"]:
            return
        await self._change_index(change, {"prepareUnique": False})
        violations: list[Mapping[str, Any]] = answer.get("violations", [])
        samples = [[str(_id) for _id in group["ids"]] for group in violations[:_SAMPLES]]
        raise _duplicates_error(change.collection, change.target, len(violations), samples)

    async def _change_index(self, change: Change, options: Mapping[str, Any]) -> None:
        target = {"name": change.target, **options}
        await self._run({"collMod": change.collection, "index": target, **_MAJORITY})

    async def _drop_index(self, collection: str, name: str) -> None:
        await self._run({"dropIndexes": collection, "index": name, **_MAJORITY}, _GONE)
        await schema_state.forget_index(self._database, collection, name)

    async def _view(self, command: str, name: str) -> None:
        view = next(view for view in self._catalogue.views if view.name == name)
        pipeline = [dict(stage) for stage in view.pipeline]
        await self._run({command: name, "viewOn": view.on, "pipeline": pipeline, **_MAJORITY})

    async def _refuse_duplicates(self, collection: str, index: Index) -> None:
        """Look for documents that a unique index would refuse."""
        key = {f"k{place}": f"${path}" for place, (path, _) in enumerate(index.keys)}
        stages: list[dict[str, Any]] = [
            {
                "$group": {
                    "_id": key,
                    "ids": {"$firstN": {"input": "$_id", "n": 4}},
                    "n": {"$sum": 1},
                }
            },
            {"$match": {"n": {"$gt": 1}}},
            {"$limit": 100},
        ]
        if index.partial is not None:
            stages.insert(0, {"$match": dict(index.partial)})
        with translated(), unhurried():
            cursor = await self._database.get_collection(collection).aggregate(
                stages, allowDiskUse=True, comment=_COMMENT
            )
            groups = await cursor.to_list()
        if groups:
            samples = [[str(_id) for _id in group["ids"]] for group in groups[:_SAMPLES]]
            raise _duplicates_error(collection, index.name, len(groups), samples)

    async def _run(self, command: Mapping[str, Any], tolerate: frozenset[int] = frozenset()) -> Row:
        with unhurried():
            return await run_command(self._database, command, tolerate=tolerate)

    def _say(self, line: str) -> None:
        if self._progress is not None:
            self._progress(line)


def _index(change: Change) -> Index:
    if change.index is None:
        raise errors.Internal(f"the change {change.kind.value} of {change.target} names no index")
    return change.index


def _duplicates_error(
    collection: str, index: str, groups: int, samples: list[list[str]]
) -> errors.CatalogueError:
    return errors.CatalogueError(
        f"{collection}.{index} cannot be unique: {groups} or more groups of documents share a key, "
        f"for example _id {' and '.join(samples[0])}; resolve them and apply again",
        collection=collection,
        index=index,
        samples=samples,
    )
