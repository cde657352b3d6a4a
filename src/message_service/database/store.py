"""Where filters meet the tenant: the only way from the rest of the code to a collection.

A `Scope` belongs to one tenant. It takes declared queries, never filters, adds `tenant_id` to each,
forces the declared index, names the command after the query, and translates errors. So a query
without a tenant, or with one a caller made up, cannot be written. The few queries of the service's
own machinery that look at all tenants together (the indexer's work list) are declared as such and
asked of the `Store`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pymongo import DeleteOne, ReplaceOne, ReturnDocument, UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import BulkWriteError

from message_service import errors
from message_service.database.client import COMMITTED, Row
from message_service.database.query import Query
from message_service.database.translate import server_error, translated

Update = Mapping[str, Any] | Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Refused:
    """One document an insert did not write.

    Attributes:
        position: Its place in the list given.
        error: Why; `AlreadyExists` when it met a unique index.
        fields: The fields of that index, in order; empty otherwise.
    """

    position: int
    error: errors.MessageServiceError
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """One update of one document of one tenant.

    Attributes:
        tenant_id: The tenant.
        values: What the query's `build` takes.
        update: The update.
    """

    tenant_id: str
    values: Mapping[str, Any]
    update: Mapping[str, Any]


def _refused(failure: Mapping[str, Any]) -> Refused:
    return Refused(
        position=failure["index"],
        error=server_error(failure.get("code"), str(failure.get("errmsg"))),
        fields=tuple(failure.get("keyPattern", ())),
    )


class Store:
    """The database as the service sees it; hands out tenants' scopes.

    Args:
        database: A database opened by `client.open_database`.
    """

    def __init__(self, database: AsyncDatabase[Row]) -> None:
        self._database = database
        self._collections: dict[tuple[str, bool], AsyncCollection[Row]] = {}

    @property
    def database(self) -> AsyncDatabase[Row]:
        """The database itself, for the catalogue and other owners of whole collections."""
        return self._database

    def scope(self, tenant_id: str) -> Scope:
        """Return one tenant's scope; the name must have been checked."""
        return Scope(self, tenant_id)

    def collection(self, name: str, *, committed: bool = False) -> AsyncCollection[Row]:
        """Return a collection; `committed` reads only what a majority holds."""
        known = self._collections.get((name, committed))
        if known is None:
            concern = COMMITTED if committed else None
            known = self._database.get_collection(name, read_concern=concern)
            self._collections[(name, committed)] = known
        return known

    async def insert(
        self, collection: str, documents: Sequence[Row], *, ordered: bool, comment: str
    ) -> list[Refused]:
        """Insert documents of any tenants, durably.

        Args:
            collection: Where to.
            documents: Each must carry its own `tenant_id` and `conversation_id`.
            ordered: Stop at the first refusal (what follows it is then not written).
            comment: Name of the command in logs.

        Returns:
            Those the server refused; the others (before the first, when ordered) are in.

        Raises:
            OutcomeUnknown: No answer, or no majority; any part may have been written.
            Unavailable: No server to send to; nothing was written.
        """
        with translated():
            try:
                await self.collection(collection).insert_many(
                    documents, ordered=ordered, comment=comment
                )
            except BulkWriteError as error:
                if error.details.get("writeConcernErrors"):
                    raise
                return [_refused(failure) for failure in error.details["writeErrors"]]
        return []

    async def find_everywhere(
        self, query: Query, *, limit: int = 0, committed: bool = False, **values: Any
    ) -> list[Row]:
        """Return what a query declared for all tenants finds."""
        with translated():
            cursor = _find(
                self.collection(query.collection, committed=committed),
                query,
                _everywhere(query, values),
                limit,
            )
            return await cursor.to_list()

    async def aggregate_everywhere(self, query: Query, **values: Any) -> list[Row]:
        """Return the rows of an aggregating query declared for all tenants."""
        pipeline = [{"$match": _everywhere(query, values)}, *query.stages]
        with translated():
            cursor = await self.collection(query.collection).aggregate(
                pipeline, hint=query.index, comment=query.name, allowDiskUse=True
            )
            return await cursor.to_list()

    async def estimated_count(self, collection: str) -> int:
        """Return about how many documents a collection holds, from its metadata."""
        with translated():
            return await self.collection(collection).estimated_document_count(
                comment="catalogue.count"
            )

    async def stream_everywhere(
        self, query: Query, *, batch: int = 2_000, **values: Any
    ) -> AsyncIterator[Row]:
        """Yield what a query declared for all tenants finds, holding one batch in memory."""
        cursor = _find(
            self.collection(query.collection), query, _everywhere(query, values), 0
        ).batch_size(batch)
        async for row in _rows(cursor):
            yield row

    async def update_everywhere(
        self, query: Query, update: Mapping[str, Any], **values: Any
    ) -> int:
        """Change every document a query declared for all tenants finds; return how many."""
        with translated():
            result = await self.collection(query.collection).update_many(
                _everywhere(query, values), update, hint=query.index, comment=query.name
            )
        return result.modified_count

    async def replace_each(
        self, query: Query, documents: Sequence[tuple[Mapping[str, Any], Row]]
    ) -> None:
        """Put derived documents, of any tenants, in the place of older ones, in one round trip.

        Args:
            query: Finds the older one; a newer one it does not find is left as it is.
            documents: What the query's `build` takes, and the document (with its `tenant_id`).
        """
        operations = [
            ReplaceOne(
                self.scope(document["tenant_id"]).filter(query, values),
                document,
                upsert=True,
                hint=query.index if query.hinted else None,
            )
            for values, document in documents
        ]
        with translated():
            try:
                await self.collection(query.collection).bulk_write(
                    operations, ordered=False, comment=query.name
                )
            except BulkWriteError as error:
                if error.details.get("writeConcernErrors"):
                    raise
                for failure in error.details["writeErrors"]:
                    refused = _refused(failure).error
                    if not isinstance(refused, errors.AlreadyExists):  # that is a newer one
                        raise refused from error

    async def delete_each(
        self, query: Query, chosen: Sequence[tuple[str, Mapping[str, Any]]]
    ) -> int:
        """Remove derived documents, each a tenant and what the query's `build` takes."""
        operations = [
            DeleteOne(
                self.scope(tenant_id).filter(query, values),
                hint=query.index if query.hinted else None,
            )
            for tenant_id, values in chosen
        ]
        with translated():
            result = await self.collection(query.collection).bulk_write(
                operations, ordered=False, comment=query.name
            )
        return result.deleted_count

    async def update_each(self, query: Query, changes: Sequence[Change]) -> int:
        """Apply independent targeted updates, of any tenants, in one round trip.

        Returns:
            How many found their document.
        """
        operations = [
            UpdateOne(
                self.scope(change.tenant_id).filter(query, change.values),
                change.update,
                hint=query.index if query.hinted else None,
            )
            for change in changes
        ]
        with translated():
            result = await self.collection(query.collection).bulk_write(
                operations, ordered=False, comment=query.name
            )
        return result.matched_count


class Scope:
    """One tenant's door to the database."""

    def __init__(self, store: Store, tenant_id: str) -> None:
        self._store = store
        self.tenant_id = tenant_id

    @property
    def store(self) -> Store:
        """The store this scope belongs to."""
        return self._store

    def filter(self, query: Query, values: Mapping[str, Any]) -> Row:
        """Return the query's filter for these values, inside this tenant."""
        return {**query.build(**values), "tenant_id": self.tenant_id}

    async def find(
        self,
        query: Query,
        *,
        limit: int = 0,
        committed: bool = False,
        whole: bool = False,
        **values: Any,
    ) -> list[Row]:
        """Return the documents a query finds, as plain dictionaries.

        Args:
            query: A declared query.
            limit: Most documents to return; 0 for all.
            committed: Read only what a majority holds.
            whole: Return whole documents instead of the declared projection.
            values: What the query's `build` takes.
        """
        with translated():
            return await self._cursor(query, limit, committed, whole, values).to_list()

    async def find_one(self, query: Query, *, committed: bool = False, **values: Any) -> Row | None:
        """Return the first document a query finds, or None."""
        found = await self.find(query, limit=1, committed=committed, **values)
        return found[0] if found else None

    async def stream(
        self, query: Query, *, batch: int = 500, whole: bool = False, **values: Any
    ) -> AsyncIterator[Row]:
        """Yield the documents a query finds, holding one batch in memory."""
        cursor = self._cursor(query, 0, False, whole, values).batch_size(batch)
        async for row in _rows(cursor):
            yield row

    async def aggregate(self, query: Query, **values: Any) -> list[Row]:
        """Return the rows of an aggregating query (one with stages)."""
        pipeline = [{"$match": self.filter(query, values)}, *query.stages]
        options: dict[str, Any] = {"comment": query.name, "allowDiskUse": True}
        if query.hinted:
            options["hint"] = query.index
        with translated():
            cursor = await self._store.collection(query.collection).aggregate(pipeline, **options)
            return await cursor.to_list()

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
            return await self._store.database.command(
                {"explain": command, "verbosity": "executionStats", "comment": query.name}
            )

    async def insert_one(self, collection: str, document: Row, *, comment: str) -> bool:
        """Insert one document of this tenant; False when a unique index refused it."""
        refused = await self._store.insert(
            collection,
            [{**document, "tenant_id": self.tenant_id}],
            ordered=True,
            comment=comment,
        )
        if refused and not isinstance(refused[0].error, errors.AlreadyExists):
            raise refused[0].error
        return not refused

    async def insert_many(
        self, collection: str, documents: Sequence[Row], *, comment: str
    ) -> list[Refused]:
        """Insert documents of this tenant; return those the server refused, the others are in."""
        return await self._store.insert(
            collection,
            [{**document, "tenant_id": self.tenant_id} for document in documents],
            ordered=False,
            comment=comment,
        )

    async def update_one(self, query: Query, update: Update, **values: Any) -> bool:
        """Change the one document a query finds; False when it finds none."""
        with translated():
            result = await self._store.collection(query.collection).update_one(
                self.filter(query, values),
                update,
                hint=query.index if query.hinted else None,
                comment=query.name,
            )
        return result.matched_count > 0

    async def find_and_update(self, query: Query, update: Update, **values: Any) -> Row | None:
        """Change the one document a query finds and return it as it is then."""
        with translated():
            return await self._store.collection(query.collection).find_one_and_update(
                self.filter(query, values),
                update,
                return_document=ReturnDocument.AFTER,
                hint=query.index if query.hinted else None,
                comment=query.name,
            )

    def _cursor(
        self,
        query: Query,
        limit: int,
        committed: bool,
        whole: bool,
        values: Mapping[str, Any],
    ) -> Any:
        collection = self._store.collection(query.collection, committed=committed)
        return _find(collection, query, self.filter(query, values), limit, whole=whole)


def _everywhere(query: Query, values: Mapping[str, Any]) -> Row:
    if query.all_tenants is None:
        raise TypeError(f"{query.name} is a query of one tenant; ask it of a scope")
    return query.build(**values)


def _find(
    collection: AsyncCollection[Row],
    query: Query,
    chosen: Row,
    limit: int,
    *,
    whole: bool = False,
) -> Any:
    return collection.find(
        chosen,
        projection=None if whole else query.projection,
        sort=list(query.sort) or None,
        limit=limit,
        # A known page comes whole in one batch instead of the default 101 documents.
        batch_size=limit + 1 if limit else 0,
        hint=query.index if query.hinted else None,
        comment=query.name,
    )


async def _rows(cursor: Any) -> AsyncIterator[Row]:
    try:
        while True:
            with translated():
                row = await anext(cursor, None)
            if row is None:
                return
            yield row
    finally:
        await cursor.close()
