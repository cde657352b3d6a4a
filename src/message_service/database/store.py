"""The store: the only access of the service to collections.

A `Scope` belongs to one tenant. It takes declared queries, never filters, adds `tenant_id` to each,
forces the declared index, names the command after the query, and translates errors. So it is not
possible to write a query without a tenant. The few queries that the service itself runs for all
tenants together (the indexer's work list, for example) are declared as such and run by the `Store`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, TypeVar

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

from message_service.database import bulk
from message_service.database.access import Access, each_row
from message_service.database.bulk import Refused, TargetedUpdate, Update
from message_service.database.commands import unhurried
from message_service.database.query import Query
from message_service.database.scope import Scope
from message_service.database.transaction import SECONDS, Transaction, Work, run_transaction
from message_service.database.translate import translated
from message_service.database.unlocked import Updated, take_unlocked, update_unlocked
from message_service.documents.row import Row

T = TypeVar("T")


class Store:
    """Reads and writes for all tenants; returns the scopes of tenants.

    Args:
        database: A database opened by `client.open_database`.
        transaction: The transaction its reads and writes take part in.
    """

    def __init__(
        self, database: AsyncDatabase[Row], *, transaction: Transaction | None = None
    ) -> None:
        self._access = Access(database) if transaction is None else transaction.access

    @property
    def database(self) -> AsyncDatabase[Row]:
        """The database itself, for the schema engine, leases and records."""
        return self._access.database

    def scope(self, tenant_id: str) -> Scope:
        """Return one tenant's scope; the name must have been checked."""
        return Scope(self._access, tenant_id)

    async def transaction(self, work: Work[T], *, seconds: float = SECONDS) -> T:
        """Run work in a transaction and return its result once that is committed.

        When another write or a failover interrupts the work, it is run again from its beginning;
        a commit that is not answered is repeated.

        Args:
            work: Reads and writes through `within(transaction)`, of this store or of scopes.
            seconds: Time limit for all attempts together.

        Raises:
            Unsupported: The server has no transactions.
            OutcomeUnknown: The commit was not answered: all was written, or nothing.
            Unavailable: The server cannot be reached, or other writes interrupted the work until
                the deadline. Nothing was written.
            MessageServiceError: Raised by the work. Nothing was written.
        """
        return await run_transaction(self._access, work, seconds)

    def within(self, transaction: Transaction) -> Store:
        """Return the store inside a transaction."""
        return Store(self.database, transaction=transaction)

    def collection(self, name: str, *, committed: bool = False) -> AsyncCollection[Row]:
        """Return a collection; with `committed`, reads see only majority-committed data."""
        return self._access.collection(name, committed=committed)

    async def insert(
        self, collection: str, documents: Sequence[Row], *, ordered: bool, comment: str
    ) -> list[Refused]:
        """Insert documents of any tenants, durably.

        Args:
            collection: The collection.
            documents: Each must have its `tenant_id` and `conversation_id`.
            ordered: Stop at the first refusal; the documents after it are then not written.
            comment: Name of the command in logs.

        Returns:
            The refused documents; the others (when ordered, those before the first) are stored.

        Raises:
            OutcomeUnknown: No answer, or no majority; any of the documents may be stored.
            Unavailable: No server could be reached; nothing was written.
        """
        return await bulk.insert(
            self._access, collection, documents, ordered=ordered, comment=comment
        )

    async def find_everywhere(
        self, query: Query, *, limit: int = 0, skip: int = 0, committed: bool = False, **values: Any
    ) -> list[Row]:
        """Return the documents of a query declared for all tenants, after the first `skip`."""
        chosen = _everywhere(query, values)
        with translated():
            return await self._access.find(
                query, chosen, limit, committed=committed, skip=skip
            ).to_list()

    async def aggregate_everywhere(self, query: Query, **values: Any) -> list[Row]:
        """Return the rows of an aggregating query declared for all tenants."""
        cursor = await self._access.aggregate(query, _everywhere(query, values))
        with translated():
            return await cursor.to_list()

    async def summarise_everywhere(
        self, query: Query, stages: Sequence[Mapping[str, Any]], **values: Any
    ) -> list[Row]:
        """Return what further stages make of the documents of a query declared for all tenants.

        Only majority-committed data is read. Callers' values must not be operators in the stages.
        """
        chosen = _everywhere(query, values)
        with unhurried():
            cursor = await self._access.aggregate(query, chosen, stages, committed=True)
            with translated():
                return await cursor.to_list()

    async def estimated_count(self, collection: str) -> int:
        """Return the approximate number of documents of a collection, from its metadata."""
        with translated():
            return await self.collection(collection).estimated_document_count(
                comment="catalogue.count"
            )

    async def stream_everywhere(
        self, query: Query, *, batch: int = 2_000, **values: Any
    ) -> AsyncIterator[Row]:
        """Yield the documents of a query declared for all tenants, with one batch in memory."""
        cursor = self._access.find(query, _everywhere(query, values)).batch_size(batch)
        async for row in each_row(cursor):
            yield row

    async def update_everywhere(self, query: Query, update: Update, **values: Any) -> int:
        """Update every document of a query declared for all tenants; return how many."""
        with translated():
            result = await self.collection(query.collection).update_many(
                _everywhere(query, values),
                update,
                hint=query.index,
                comment=query.name,
                session=self._access.session,
            )
        return result.modified_count

    async def update_unlocked(
        self, query: Query, update: Update, *, ids: Sequence[Any], seconds: float, **values: Any
    ) -> Updated:
        """Update documents given by `_id`, but do not wait for those a transaction holds.

        Args:
            query: Finds the documents; it takes `ids`, and is declared for all tenants.
            update: The update.
            ids: Their `_id`s.
            seconds: How long all together may take, before each is tried by itself.
            **values: Further values for the query's `build`.

        Raises:
            DocumentRefused: The validator refuses one; others may have been changed.
            MessageServiceError: As for any write.
        """
        _everywhere(query, {**values, "ids": ids})
        return await update_unlocked(self._access, query, update, ids, values, seconds)

    async def take_unlocked(
        self, query: Query, update: Update, *, seconds: float, **values: Any
    ) -> tuple[Row | None, bool]:
        """Update one document, and return it as it is then, but do not wait for a transaction.

        Args:
            query: Finds the document; it is declared for all tenants.
            update: The update.
            seconds: How long it may take.
            **values: Values for the query's `build`.

        Returns:
            The document, or None, and whether the time was over: then it is not known whether it
            was updated.

        Raises:
            DocumentRefused: The validator refuses it.
            MessageServiceError: As for any write.
        """
        _everywhere(query, values)
        return await take_unlocked(self._access, query, update, values, seconds)

    async def replace_each(
        self, query: Query, documents: Sequence[tuple[Mapping[str, Any], Row]]
    ) -> None:
        """Replace derived documents of any tenants by newer ones, in one round trip.

        Args:
            query: Finds the older document; a newer one, which it does not find, is kept.
            documents: The values for the query's `build`, and the document (with `tenant_id`).
        """
        await bulk.replace_each(self._access, query, documents)

    async def delete_each(
        self, query: Query, chosen: Sequence[tuple[str, Mapping[str, Any]]]
    ) -> int:
        """Delete derived documents; each is given by tenant and values for the query's `build`."""
        return await bulk.delete_each(self._access, query, chosen)

    async def update_each(
        self, query: Query, updates: Sequence[TargetedUpdate], *, upsert: bool = False
    ) -> int:
        """Apply independent targeted updates, of any tenants, in one round trip.

        Args:
            query: Finds the document of each.
            updates: The updates.
            upsert: Whether to insert documents that are not found.

        Returns:
            How many found their document.
        """
        return await bulk.update_each(self._access, query, updates, upsert=upsert)

    async def update_groups(
        self, query: Query, groups: Sequence[tuple[Mapping[str, Any], Update]]
    ) -> int:
        """Apply updates of a query declared for all tenants, in one round trip.

        The server takes a third of the time that single updates of the same documents take, for
        which it keeps a record of the session each. In exchange the driver does not repeat them
        after a failover.

        Args:
            query: Finds the documents of each group.
            groups: The values for the query's `build`, and the update.

        Returns:
            How many documents were found.
        """
        if query.all_tenants is None:
            raise TypeError(f"{query.name} is a query of one tenant; ask it of a scope")
        return await bulk.update_groups(self._access, query, groups)


def _everywhere(query: Query, values: Mapping[str, Any]) -> Row:
    if query.all_tenants is None:
        raise TypeError(f"{query.name} is a query of one tenant; ask it of a scope")
    return query.build(**values)
