"""Makes a database anew from what is known of another one: collections, bytes, indexes, views."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

from bson.raw_bson import RawBSONDocument
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import BulkWriteError

from message_service.database.access import each_row
from message_service.database.client import DURABLE
from message_service.database.commands import run_command, unhurried
from message_service.database.raw_documents import EXACT, RAW, wrapped
from message_service.database.translate import server_error, translated
from message_service.documents.row import Row

STATE = "restore_state"
"""The collection that tells how far a restore is; it is gone when the restore is done."""

_EXISTS, _NOT_FOUND, _DUPLICATE = 48, 26, 11000
_LATER = ("validator", "validationLevel", "validationAction")
_COMMENT = "backup.restore"
_COMMAND_BYTES = 8_000_000
_COMMAND_WRITES = 1_000


class Rebuilding:
    """A database that is made anew.

    Args:
        database: The database.
    """

    def __init__(self, database: AsyncDatabase[Row]) -> None:
        self.name = database.name
        self._database: AsyncDatabase[Row] = database.with_options(codec_options=EXACT)
        self._raw: AsyncDatabase[RawBSONDocument] = database.with_options(codec_options=RAW)

    async def names(self) -> list[str]:
        """Return the names of all collections and views, without the server's own."""
        with translated():
            found = await self._database.list_collection_names()
        return sorted(name for name in found if not name.startswith("system."))

    async def read_state(self) -> Row | None:
        """Return how far the restore is; None when there is none."""
        with translated():
            return await self._database.get_collection(STATE).find_one({"_id": STATE})

    async def write_state(self, state: Row) -> None:
        """Note how far the restore is."""
        with translated():
            await self._database.get_collection(STATE).replace_one(
                {"_id": STATE}, state, upsert=True
            )

    async def note_part(self, name: str) -> None:
        """Note that a file is loaded."""
        with translated():
            await self._database.get_collection(STATE).update_one(
                {"_id": STATE}, {"$push": {"loaded": name}}
            )

    async def create(self, name: str, options: Mapping[str, Any]) -> None:
        """Make a collection, without validator; one that is there stays."""
        chosen = {key: value for key, value in options.items() if key not in (*_LATER, "uuid")}
        await run_command(self._database, {"create": name, **chosen}, tolerate=frozenset({_EXISTS}))

    async def drop(self, name: str) -> None:
        """Remove a collection or view, if it is there."""
        await run_command(self._database, {"drop": name}, tolerate=frozenset({_NOT_FOUND}))

    async def rename(self, source: str, target: str) -> None:
        """Rename a collection, if it was not renamed already; one of the new name goes."""
        command = {
            "renameCollection": f"{self.name}.{source}",
            "to": f"{self.name}.{target}",
            "dropTarget": True,
        }
        await run_command(
            self._database.client.get_database("admin"), command, tolerate=frozenset({_NOT_FOUND})
        )

    async def insert(self, name: str, documents: Sequence[bytes]) -> int:
        """Store documents; those that are there already stay.

        Returns:
            How many were there, or have a unique key that another one has.
        """
        if not documents:
            return 0
        with translated():
            try:
                await self._raw.get_collection(name).insert_many(
                    [wrapped(each) for each in documents], ordered=False, comment=_COMMENT
                )
            except BulkWriteError as error:
                refused = (error.details or {}).get("writeErrors", [])
                if not refused or any(each.get("code") != _DUPLICATE for each in refused):
                    raise
                return len(refused)
        return 0

    async def read(self, name: str, ids: Sequence[Any]) -> list[bytes]:
        """Return the documents of these `_id`s."""
        with translated():
            cursor = self._raw.get_collection(name).find(
                {"_id": {"$in": list(ids)}}, hint="_id_", comment=_COMMENT
            )
        rows: AsyncIterator[Any] = each_row(cursor)
        return [bytes(row.raw) async for row in rows]

    async def documents(self, name: str) -> AsyncIterator[bytes]:
        """Yield all documents of a collection."""
        with translated():
            cursor = self._raw.get_collection(name).find({}, comment=_COMMENT)
        rows: AsyncIterator[Any] = each_row(cursor)
        async for row in rows:
            yield bytes(row.raw)

    async def write(self, name: str, changes: Iterable[tuple[Any, bytes | None]]) -> None:
        """Put documents in their places.

        Args:
            name: The collection.
            changes: The `_id` of each, and its bytes; None removes it.
        """
        updates: list[Row] = []
        deletes: list[Row] = []
        size = 0
        for identity, document in changes:
            chosen = {"_id": {"$eq": identity}}
            if document is None:
                deletes.append({"q": chosen, "limit": 1})
            else:
                updates.append({"q": chosen, "u": wrapped(document), "upsert": True})
                size += len(document)
            if size >= _COMMAND_BYTES or len(updates) + len(deletes) >= _COMMAND_WRITES:
                await self._send(name, updates, deletes)
                updates, deletes, size = [], [], 0
        await self._send(name, updates, deletes)

    async def _send(self, name: str, updates: list[Row], deletes: list[Row]) -> None:
        # As commands: the driver's bulk writes take three times as long for the same.
        for kind, parts, writes in (("update", "updates", updates), ("delete", "deletes", deletes)):
            if not writes:
                continue
            answer = await run_command(
                self._database,
                {
                    kind: name,
                    parts: writes,
                    "ordered": False,
                    "writeConcern": DURABLE.document,
                    "comment": _COMMENT,
                },
            )
            for refused in answer.get("writeErrors", ()):
                raise server_error(refused.get("code"), str(refused.get("errmsg")))

    async def create_indexes(self, name: str, indexes: Sequence[Row]) -> None:
        """Make indexes; those that are there stay."""
        if indexes:
            with unhurried():
                await run_command(self._database, {"createIndexes": name, "indexes": list(indexes)})

    async def put_validator(self, name: str, options: Mapping[str, Any]) -> None:
        """Put a collection's validator in force."""
        chosen = {key: options[key] for key in _LATER if key in options}
        if chosen:
            await run_command(self._database, {"collMod": name, **chosen})

    async def create_view(self, name: str, options: Mapping[str, Any]) -> None:
        """Make a view; one that is there stays."""
        await run_command(
            self._database, {"create": name, **options}, tolerate=frozenset({_EXISTS})
        )

    async def remove(self) -> None:
        """Remove the whole database."""
        with translated():
            await self._database.client.drop_database(self.name)

    async def finish(self) -> None:
        """Note that the restore is done: remove its state."""
        await self.drop(STATE)
