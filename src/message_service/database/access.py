"""Access to collections by name, inside or outside a transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

from message_service import errors
from message_service.database.client import COMMITTED
from message_service.database.query import Query
from message_service.database.translate import translated
from message_service.documents.row import Row

TRANSIENT = "TransientTransactionError"
"""The driver's label of errors after which a transaction is run again."""


class Access:
    """The collections of one database.

    Args:
        database: A database opened by `client.open_database`.
        session: The session of a transaction every command takes part in; None outside of one.
    """

    def __init__(
        self, database: AsyncDatabase[Row], session: AsyncClientSession | None = None
    ) -> None:
        self.database = database
        self.session = session
        self._collections: dict[tuple[str, bool], AsyncCollection[Row]] = {}
        self.refusal: errors.MessageServiceError | None = None
        """The first refused write of a transaction, which the server has aborted then."""

    def collection(self, name: str, *, committed: bool = False) -> AsyncCollection[Row]:
        """Return a collection; with `committed`, reads see only majority-committed data."""
        known = self._collections.get((name, committed))
        if known is None:
            concern = COMMITTED if committed else None
            known = self.database.get_collection(name, read_concern=concern)
            self._collections[(name, committed)] = known
        return known

    def find(
        self,
        query: Query,
        chosen: Row,
        limit: int = 0,
        *,
        committed: bool = False,
        whole: bool = False,
        skip: int = 0,
    ) -> Any:
        """Return the cursor of a declared query with a finished filter."""
        return self.collection(query.collection, committed=committed).find(
            chosen,
            projection=None if whole else query.projection,
            sort=list(query.sort) or None,
            skip=skip,
            limit=limit,
            # A page of known size arrives in one batch instead of the default 101 documents.
            batch_size=limit + 1 if limit else 0,
            hint=hint_of(query),
            comment=query.name,
            session=self.session,
        )

    async def aggregate(
        self,
        query: Query,
        chosen: Row,
        further: Sequence[Mapping[str, Any]] = (),
        *,
        committed: bool = False,
        batch: int | None = None,
    ) -> Any:
        """Return the cursor of a declared aggregation with a finished filter."""
        options: dict[str, Any] = {"comment": query.name, "allowDiskUse": True}
        if batch is not None:  # the driver's own are of 16 MB
            options["batchSize"] = batch
        if query.hinted:
            options["hint"] = query.index
        with translated():
            return await self.collection(query.collection, committed=committed).aggregate(
                [{"$match": chosen}, *query.stages, *further], session=self.session, **options
            )


def hint_of(query: Query) -> str | None:
    """Return the index a command of this query forces."""
    return query.index if query.hinted else None


def tenant_filter(query: Query, values: Mapping[str, Any], tenant_id: str) -> Row:
    """Return the query's filter for these values, inside one tenant."""
    return {**query.build(**values), "tenant_id": tenant_id}


async def each_row(cursor: Any) -> AsyncIterator[Row]:
    """Yield a cursor's documents, and close it at the end, with errors translated."""
    try:
        while True:
            with translated():
                row = await anext(cursor, None)
            if row is None:
                return
            yield row
    finally:
        await cursor.close()
