"""A tenant's scope: takes declared queries and adds the tenant to each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, TypeVar

from pymongo import ReturnDocument
from pymongo.asynchronous.database import AsyncDatabase

from message_service import errors
from message_service.database.access import Access, each_row, hint_of, tenant_filter
from message_service.database.bulk import Refused, TargetedUpdate, Update, insert, update_each
from message_service.database.commands import unhurried
from message_service.database.query import Query
from message_service.database.transaction import SECONDS, Transaction, Work, run_transaction
from message_service.database.translate import translated
from message_service.documents.row import Row

_BATCH = 5_000
"""Rows of a summary in memory."""

T = TypeVar("T")


class Scope:
    """Reads and writes of one tenant."""

    def __init__(self, access: Access, tenant_id: str) -> None:
        self._access = access
        self.tenant_id = tenant_id

    @property
    def database(self) -> AsyncDatabase[Row]:
        """The database itself, for change streams."""
        return self._access.database

    def within(self, transaction: Transaction) -> Scope:
        """Return this tenant's scope inside a transaction."""
        return Scope(transaction.access, self.tenant_id)

    async def transaction(self, work: Work[T], *, seconds: float = SECONDS) -> T:
        """Run work in a transaction; see `Store.transaction`."""
        return await run_transaction(self._access, work, seconds)

    def filter(self, query: Query, values: Mapping[str, Any]) -> Row:
        """Return the query's filter for these values, inside this tenant."""
        return tenant_filter(query, values, self.tenant_id)

    async def find(
        self,
        query: Query,
        *,
        limit: int = 0,
        committed: bool = False,
        whole: bool = False,
        **values: Any,
    ) -> list[Row]:
        """Return the documents of a query, as plain dictionaries.

        Args:
            query: A declared query.
            limit: Most documents to return; 0 for all.
            committed: Read only majority-committed data.
            whole: Return whole documents instead of the declared projection.
            values: The values for the query's `build`.
        """
        with translated():
            return await self._cursor(query, limit, committed, whole, values).to_list()

    async def find_one(self, query: Query, *, committed: bool = False, **values: Any) -> Row | None:
        """Return the first document of a query, or None."""
        found = await self.find(query, limit=1, committed=committed, **values)
        return found[0] if found else None

    async def stream(
        self, query: Query, *, batch: int = 500, whole: bool = False, **values: Any
    ) -> AsyncIterator[Row]:
        """Yield the documents of a query, with one batch in memory."""
        cursor = self._cursor(query, 0, False, whole, values).batch_size(batch)
        async for row in each_row(cursor):
            yield row

    async def aggregate(self, query: Query, **values: Any) -> list[Row]:
        """Return the rows of an aggregating query (one with stages)."""
        chosen = self.filter(query, values)
        cursor = await self._access.aggregate(query, chosen)
        with translated():
            return await cursor.to_list()

    async def summarise(
        self, query: Query, stages: Sequence[Mapping[str, Any]], **values: Any
    ) -> AsyncIterator[list[Row]]:
        """Yield what further stages make of a query's documents, in batches.

        Only majority-committed data is read.

        Args:
            query: A declared query.
            stages: What is done with its documents. Callers' values must not be operators in it.
            values: The values for the query's `build`.
        """
        chosen = self.filter(query, values)
        with unhurried():
            cursor = await self._access.aggregate(
                query, chosen, stages, committed=True, batch=_BATCH
            )
        try:
            while True:
                with translated():
                    rows = await cursor.to_list(_BATCH)
                if not rows:
                    break
                yield rows
        finally:
            await cursor.close()

    async def explain(self, query: Query, *, limit: int = 0, **values: Any) -> Row:
        """Run a query under the server's `explain` and return its execution statistics."""
        chosen = self.filter(query, values)
        command: Row
        if query.stages:
            command = {
                "aggregate": query.collection,
                "pipeline": [{"$match": chosen}, *query.stages],
                "cursor": {},
            }
        else:
            command = {"find": query.collection, "filter": chosen}
            if query.sort:
                command["sort"] = dict(query.sort)
            if query.projection is not None:
                command["projection"] = dict(query.projection)
            if limit:
                command["limit"] = limit
        if query.hinted:
            command["hint"] = query.index
        with translated():
            return await self._access.database.command(
                {"explain": command, "verbosity": "executionStats", "comment": query.name}
            )

    async def insert_one(self, collection: str, document: Row, *, comment: str) -> bool:
        """Insert one document of this tenant; False when a unique index refused it."""
        refused = await insert(
            self._access,
            collection,
            [{**document, "tenant_id": self.tenant_id}],
            ordered=True,
            comment=comment,
        )
        if refused and not isinstance(refused[0].error, errors.AlreadyExists):
            raise refused[0].error
        return not refused

    async def insert_many(
        self, collection: str, documents: Sequence[Row], *, comment: str, ordered: bool = False
    ) -> list[Refused]:
        """Insert documents of this tenant; return the refused ones.

        The others are stored; when `ordered`, only those before the first refused one.
        """
        return await insert(
            self._access,
            collection,
            [
                document
                if document.get("tenant_id") == self.tenant_id
                else {**document, "tenant_id": self.tenant_id}
                for document in documents
            ],
            ordered=ordered,
            comment=comment,
        )

    async def update_each(
        self, query: Query, updates: Sequence[tuple[Row, Row]], *, upsert: bool = False
    ) -> int:
        """Apply independent updates in one round trip; return how many found their document.

        Args:
            query: Finds the document of each.
            updates: The values for the query's `build`, and the update.
            upsert: Whether to insert documents that are not found.
        """
        return await update_each(
            self._access,
            query,
            [TargetedUpdate(self.tenant_id, values, update) for values, update in updates],
            upsert=upsert,
        )

    async def update_one(self, query: Query, update: Update, **values: Any) -> bool:
        """Update the first document of a query; False when there is none."""
        with translated():
            result = await self._access.collection(query.collection).update_one(
                self.filter(query, values),
                update,
                hint=hint_of(query),
                comment=query.name,
                session=self._access.session,
            )
        return result.matched_count > 0

    async def update_many(self, query: Query, update: Update, **values: Any) -> int:
        """Update every document of a query; return how many there are."""
        with translated():
            result = await self._access.collection(query.collection).update_many(
                self.filter(query, values),
                update,
                hint=hint_of(query),
                comment=query.name,
                session=self._access.session,
            )
        return result.matched_count

    async def delete_many(self, query: Query, **values: Any) -> int:
        """Delete the documents of a query; return how many."""
        with translated():
            result = await self._access.collection(query.collection).delete_many(
                self.filter(query, values),
                hint=hint_of(query),
                comment=query.name,
                session=self._access.session,
            )
        return result.deleted_count

    async def find_and_update(self, query: Query, update: Update, **values: Any) -> Row | None:
        """Update the first document of a query and return the updated document, or None."""
        with translated():
            return await self._access.collection(query.collection).find_one_and_update(
                self.filter(query, values),
                update,
                return_document=ReturnDocument.AFTER,
                hint=hint_of(query),
                comment=query.name,
                session=self._access.session,
            )

    def _cursor(
        self,
        query: Query,
        limit: int,
        committed: bool,
        whole: bool,
        values: Mapping[str, Any],
    ) -> Any:
        chosen = self.filter(query, values)
        return self._access.find(query, chosen, limit, committed=committed, whole=whole)
