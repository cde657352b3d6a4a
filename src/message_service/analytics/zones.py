"""The time zones of tenants."""

from __future__ import annotations

from collections.abc import Iterable
from zoneinfo import ZoneInfo

from message_service.catalogue.queries.analytics import ANALYTICS_SETTINGS, ANALYTICS_SETTINGS_OF
from message_service.clock import Clock
from message_service.database.bulk import TargetedUpdate
from message_service.database.store import Store

UTC = ZoneInfo("UTC")


class Zones:
    """Tells whose days a tenant's summaries have; UTC unless it has set a zone.

    It is read anew each time: whoever puts work in hand has read it after the number of the work
    before, and a zone is changed by such work.

    Args:
        store: The database.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def of(self, tenant_ids: Iterable[str]) -> dict[str, ZoneInfo]:
        """Return the zones of tenants."""
        zones = dict.fromkeys(tenant_ids, UTC)
        rows = await self._store.find_everywhere(ANALYTICS_SETTINGS_OF, tenant_ids=[*zones])
        return zones | {row["tenant_id"]: ZoneInfo(row["time_zone"]) for row in rows}

    async def of_one(self, tenant_id: str) -> ZoneInfo:
        """Return the zone of a tenant."""
        return (await self.of([tenant_id]))[tenant_id]

    async def note(self, tenant_id: str, zone: ZoneInfo, clock: Clock) -> None:
        """Store the zone of a tenant."""
        values = {"time_zone": zone.key, "set_at": clock.now()}
        await self._store.update_each(
            ANALYTICS_SETTINGS, [TargetedUpdate(tenant_id, {}, {"$set": values})], upsert=True
        )
