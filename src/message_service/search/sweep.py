"""Finds messages enriched by another version and puts them on the work list, a stretch at a time.

The sweep goes on only while nothing else is due, and stores its position. So a new version of an
enricher reaches every message without delaying live messages, across any number of restarts.
"""

from __future__ import annotations

from typing import Any

from message_service.catalogue.follower import BACKLOG
from message_service.catalogue.followers.enrichment import ENRICHMENT
from message_service.catalogue.queries.indexing import INDEXING_OUTDATED, INDEXING_SWEEP
from message_service.clock import Clock
from message_service.database.records import Record
from message_service.database.store import Store
from message_service.enrichment.pipeline import ENRICHMENT_VERSION

STATE = "enrichment_sweep"
_STRETCH = 1_000


class Sweep:
    """Walks all messages once per enrichment version.

    Args:
        store: The database.
        clock: The present moment.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._record = Record(store.database, STATE)
        self._done = False

    async def step(self) -> bool:
        """Check the next stretch; False when all messages have been checked."""
        if self._done:
            return False
        state = await self._record.read()
        if state.get("version") != ENRICHMENT_VERSION:
            state = {"version": ENRICHMENT_VERSION, "after": None, "done": False}
        if state["done"]:
            self._done = True
            return False
        after: Any = state["after"]
        rows = await self._store.find_everywhere(INDEXING_SWEEP, limit=_STRETCH, after=after)
        if rows:
            last = rows[-1]["_id"]
            await self._store.update_everywhere(
                INDEXING_OUTDATED,
                {"$min": ENRICHMENT.marked(self._clock.now(), BACKLOG)},
                after=after,
                up_to=last,
                version=ENRICHMENT_VERSION,
            )
            await self._record.write({**state, "after": last})
            return True
        await self._record.write({**state, "done": True})
        self._done = True
        return False
