"""The search index of the whole store, as operators see it: fill, watch, check, search across."""

from __future__ import annotations

from dataclasses import dataclass

from message_service import errors
from message_service.arguments import check_instance, check_whole_number
from message_service.catalogue.queries.search import INDEXED_TENANTS
from message_service.database.lease import Lease, holder_of
from message_service.enrichment.lemmas import dictionaries_read
from message_service.enrichment.pipeline import ENRICHMENT_VERSION
from message_service.loops.runner import LoopRunner
from message_service.messages.runtime import Runtime
from message_service.paging.page import check_limit
from message_service.search import freshness
from message_service.search.indexer import Indexer, IndexingProgress
from message_service.search.parsing import parse_query
from message_service.search.reconciler import Reconciler
from message_service.search.results import Freshness, Hit
from message_service.search.searcher import MAX_HITS, Search
from message_service.stopping import StopSignal

MAX_TENANTS = 1_000
"""Most tenants one search across the store looks at."""


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """How the index stands.

    Attributes:
        freshness: How far it has come.
        entries: About how many entries there are (those removed within the last day included).
        version: Version of enrichment this release writes.
        indexer: Who indexes now; None when nobody does.
    """

    freshness: Freshness
    entries: int
    version: str
    indexer: str | None


class SearchIndex:
    """The search index of all tenants.

    Args:
        runtime: What the process shares.
        holder: Name of this process as an indexer, unique.
    """

    def __init__(self, runtime: Runtime, holder: str) -> None:
        self._runtime = runtime
        self._store = store = runtime.store
        poll = runtime.settings.index_poll
        self._indexer = Indexer(
            store, runtime.clock, poll=poll, phone_regions=runtime.settings.phone_regions
        )
        lease = Lease(store.database, Indexer.name, holder, Indexer.lease_seconds)
        self._runner = LoopRunner(self._indexer, lease, runtime.clock, standby=poll)
        self.check = Reconciler(store, runtime.clock).check

    @property
    def progress(self) -> IndexingProgress:
        """What this process has indexed."""
        return self._indexer.progress

    async def run(self, stop: StopSignal | None = None) -> bool:
        """Index until asked to stop; one process of all works at a time, the others stand by.

        Args:
            stop: Asks to stop: the round under way is finished, for 5 seconds at most. Without
                it, cancel the task this runs in; that ends the round at once. Nothing is lost
                either way.

        Returns:
            Whether the last round was finished.
        """
        _check_stop(stop)
        return await self._runner.run(stop)

    async def drain(
        self, most: int | None = None, stop: StopSignal | None = None
    ) -> IndexingProgress:
        """Index until nothing is due.

        Args:
            most: Stop once about so many messages are done; None goes on to the end.
            stop: Asks to stop after the round under way.

        Raises:
            Unavailable: The database cannot be reached.
        """
        if most is not None:
            check_whole_number("most", most, 1, 2**63 - 1)
        _check_stop(stop)
        return await self._indexer.drain(most, stop)

    async def close(self) -> None:
        """End what was left on its way to the server."""
        await self._indexer.close()

    async def status(self) -> IndexStatus:
        """Return how the index stands."""
        return IndexStatus(
            freshness=await freshness.of_store(self._store),
            entries=await self._store.estimated_count("message_search_index"),
            version=ENRICHMENT_VERSION,
            indexer=await holder_of(self._store.database, Indexer.name),
        )

    async def find_everywhere(
        self, query: str, *, admin: bool = False, limit: int = 20
    ) -> list[tuple[str, Hit]]:
        """Search all tenants: for operators, never for what a tenant's user can reach.

        Args:
            query: As for `Search.find`.
            admin: Must be True: the caller answers for the right to see every tenant.
            limit: Most hits, 1 to 100.

        Returns:
            Tenant and hit, best first. Scores of different tenants compare, but a word's rarity is
            each tenant's own.

        Raises:
            InvalidQuery: As for `Search.find`, or `admin` is not set, or there are more than 1,000
                tenants.
        """
        if admin is not True:
            raise errors.InvalidQuery(
                "admin", "is not set", "A search across all tenants needs admin=True"
            )
        check_limit(limit, highest=MAX_HITS)
        await dictionaries_read()
        parse_query(query)  # also when there is no tenant to ask
        rows = await self._store.aggregate_everywhere(INDEXED_TENANTS)
        if len(rows) > MAX_TENANTS:
            raise errors.InvalidQuery(
                "scope", f"has {len(rows):,} tenants", "Search tenant by tenant"
            )
        found: list[tuple[str, Hit]] = []
        for row in rows:
            search = Search(self._runtime, self._runtime.scope(row["_id"]))
            page = await search.find(query, whole_tenant=True, limit=limit)
            found.extend((row["_id"], hit) for hit in page)
        found.sort(key=lambda one: one[1].score, reverse=True)
        return found[:limit]


def _check_stop(stop: StopSignal | None) -> None:
    if stop is not None:
        check_instance("stop", stop, StopSignal)
