"""The search index of the whole store, for operators: fill, watch, check, search all tenants."""

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
    """The state of the index.

    Attributes:
        freshness: How far the index has come.
        entries: Approximate number of entries (including those removed within the last day).
        version: Version of enrichment this release writes.
        indexer: The process that indexes now; None when there is none.
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
        """Counts of messages this process has indexed."""
        return self._indexer.progress

    async def run(self, stop: StopSignal | None = None) -> bool:
        """Index until asked to stop; one process works at a time, the others stand by.

        Args:
            stop: Asks to stop: the step in progress is finished, for 5 seconds at most. Without
                it, cancel the task that runs this call, which ends the step at once. Nothing is
                lost either way.

        Returns:
            Whether the last step was finished.
        """
        _check_stop(stop)
        return await self._runner.run(stop)

    async def drain(
        self, most: int | None = None, stop: StopSignal | None = None
    ) -> IndexingProgress:
        """Index until nothing is due.

        Args:
            most: Stop after about this many messages; None goes on to the end.
            stop: Asks to stop after the step in progress.

        Raises:
            Unavailable: The database cannot be reached.
        """
        if most is not None:
            check_whole_number("most", most, 1, 2**63 - 1)
        _check_stop(stop)
        return await self._indexer.drain(most, stop)

    async def close(self) -> None:
        """End writes that are still in flight."""
        await self._indexer.close()

    async def status(self) -> IndexStatus:
        """Return the state of the index."""
        return IndexStatus(
            freshness=await freshness.of_store(self._store),
            entries=await self._store.estimated_count("message_search_index"),
            version=ENRICHMENT_VERSION,
            indexer=await holder_of(self._store.database, Indexer.name),
        )

    async def find_everywhere(
        self, query: str, *, admin: bool = False, limit: int = 20
    ) -> list[tuple[str, Hit]]:
        """Search all tenants. For operators only; never expose it to the users of a tenant.

        Args:
            query: As for `Search.find`.
            admin: Must be True; the caller is responsible for the right to see every tenant.
            limit: Most hits, 1 to 100.

        Returns:
            Tenant and hit, best first. Scores of different tenants are comparable, but the rarity
            of a word is computed for each tenant by itself.

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
        found.sort(key=lambda hit: hit[1].score, reverse=True)
        return found[:limit]


def _check_stop(stop: StopSignal | None) -> None:
    if stop is not None:
        check_instance("stop", stop, StopSignal)
