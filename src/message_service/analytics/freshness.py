"""Up to when summaries are complete."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from message_service.analytics.progress import Progress
from message_service.catalogue.follower import BACKLOG, LIVE
from message_service.catalogue.followers.analytics import ANALYTICS
from message_service.catalogue.queries.summarised_messages import (
    FIRST_MESSAGE,
    TENANTS_WITH_MESSAGES,
)
from message_service.clock import Clock
from message_service.database.store import Store
from message_service.documents.analytics import EVERY

_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)


class Freshness:
    """Knows how fresh the summaries of a tenant are.

    Args:
        store: The database.
        tenant_id: The tenant; `*` for all of them together.
        clock: The present moment.
    """

    def __init__(self, store: Store, tenant_id: str, clock: Clock) -> None:
        self._store = store
        self._tenant_id = tenant_id
        self._clock = clock
        self._progress = Progress(store)
        self._coming: asyncio.Future[datetime | None] | None = None

    async def complete_up_to(self) -> datetime:
        """Return the moment before which all that happened to messages, of any tenant, is in.

        It must be asked for before the summaries it is said of are read. Until all that was stored
        before an upgrade is summarised, by the rules of today, it is that of the first message.
        Who asks while another asks gets the same answer: a dashboard asks for many series at once.
        """
        if self._coming is None:
            return await self._ask()
        # Nothing is told when who asked has failed or given up.
        told = await asyncio.shield(self._coming)
        return await self._read() if told is None else told

    async def _ask(self) -> datetime:
        """Read it, and tell others meanwhile."""
        self._coming = coming = asyncio.get_running_loop().create_future()
        told: datetime | None = None
        try:
            told = moment = await self._read()
        finally:
            self._coming = None
            coming.set_result(told)
        return moment

    async def _read(self) -> datetime:
        moment = self._clock.now()
        for rank in (LIVE, BACKLOG):
            for message in await self._store.find_everywhere(ANALYTICS.oldest, limit=1, rank=rank):
                moment = min(moment, message["marks"][ANALYTICS.name]["pending_since"])
        # Not kept: another release's process may begin again.
        if (await self._progress.read()).done:
            return moment
        return min([moment, *await self._first(moment)])

    async def _first(self, moment: datetime) -> list[datetime]:
        """Return the moment of the first message, if there is one before a moment."""
        if self._tenant_id == EVERY:
            rows = await self._store.aggregate_everywhere(TENANTS_WITH_MESSAGES)
            return [row["first"] for row in rows]
        first = await self._store.scope(self._tenant_id).find_one(
            FIRST_MESSAGE, since=_BEGINNING, until=moment
        )
        return [] if first is None else [first["timestamps"]["created_at"]]
