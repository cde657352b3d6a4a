"""The database as the service sees it: nobody else holds a collection.

A `Scope` belongs to one tenant. It takes declared queries, never filters, adds `tenant_id` to each,
forces the declared index, names the command after the query, and translates errors. So a query
without a tenant, or with one a caller made up, cannot be written. The few queries of the service's
own machinery that look at all tenants together (the indexer's work list) are declared as such and
asked of the `Store`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, TypeVar

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

from message_service.database import bulk
from message_service.database.access import Access, each_row
from message_service.database.bulk import Refused, TargetedUpdate
from message_service.database.query import Query
from message_service.database.scope import Scope
from message_service.database.transaction import SECONDS, Transaction, Work, run_transaction
from message_service.database.translate import translated
from message_service.documents.row import Row

T = TypeVar("T")


class Store:
    """The database as the service sees it; hands out tenants' scopes.

    Args:
        database: A database opened by `client.open_database`.
    """

    def __init__(self, database: AsyncDatabase[Row]) -> None:
        self._access = Access(database)

    @property
    def database(self) -> AsyncDatabase[Row]:
        """The database itself, for the owners of whole collections and of single records."""
        return self._access.database

    def scope(self, tenant_id: str) -> Scope:
        """Return one tenant's scope; the name must have been checked."""
        return Scope(self._access, tenant_id)

    async def transaction(self, work: Work[T], *, seconds: float = SECONDS) -> T:
        """Run work in a transaction and return its result once that is committed.

        The work is run again, from its beginning, when a write of somebody else or a failover
        interrupted it; a commit without an answer is repeated until there is one.

        Args:
            work: Reads and writes through `within(transaction)`, of this store or of scopes.
            seconds: How long it may take with all its repetitions.

        Raises:
            Unsupported: The server has no transactions.
            OutcomeUnknown: No answer to the commit: all of it was written, or nothing.
            Unavailable: The server cannot be reached, or others wrote in between all the time.
                Nothing was written.
            MessageServiceError: What the work raised. Nothing was written.
        """
        return await run_transaction(self._access, work, seconds)

    def within(self, transaction: Transaction) -> Store:
        """Return the store inside a transaction."""
        inside = Store(self.database)
        inside._access = transaction.access
        return inside

    def collection(self, name: str, *, committed: bool = False) -> AsyncCollection[Row]:
        """Return a collection; `committed` reads only what a majority holds."""
        return self._access.collection(name, committed=committed)

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
        return await bulk.insert(
            self._access, collection, documents, ordered=ordered, comment=comment
        )

    async def find_everywhere(
        self, query: Query, *, limit: int = 0, committed: bool = False, **values: Any
    ) -> list[Row]:
        """Return what a query declared for all tenants finds."""
        chosen = _everywhere(query, values)
        with translated():
            return await self._access.find(query, chosen, limit, committed=committed).to_list()

    async def aggregate_everywhere(self, query: Query, **values: Any) -> list[Row]:
        """Return the rows of an aggregating query declared for all tenants."""
        return await self._access.aggregate(query, _everywhere(query, values))

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
        cursor = self._access.find(query, _everywhere(query, values)).batch_size(batch)
        async for row in each_row(cursor):
            yield row

    async def update_everywhere(
        self, query: Query, update: Mapping[str, Any], **values: Any
    ) -> int:
        """Change every document a query declared for all tenants finds; return how many."""
        with translated():
            result = await self.collection(query.collection).update_many(
                _everywhere(query, values),
                update,
                hint=query.index,
                comment=query.name,
                session=self._access.session,
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
        await bulk.replace_each(self._access, query, documents)

    async def delete_each(
        self, query: Query, chosen: Sequence[tuple[str, Mapping[str, Any]]]
    ) -> int:
        """Remove derived documents, each a tenant and what the query's `build` takes."""
        return await bulk.delete_each(self._access, query, chosen)

    async def update_each(self, query: Query, updates: Sequence[TargetedUpdate]) -> int:
        """Apply independent targeted updates, of any tenants, in one round trip.

        Returns:
            How many found their document.
        """
        return await bulk.update_each(self._access, query, updates)


def _everywhere(query: Query, values: Mapping[str, Any]) -> Row:
    if query.all_tenants is None:
        raise TypeError(f"{query.name} is a query of one tenant; ask it of a scope")
    return query.build(**values)
