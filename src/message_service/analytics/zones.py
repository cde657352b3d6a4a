"""The time zones of tenants."""

from __future__ import annotations

from collections.abc import Iterable
from zoneinfo import ZoneInfo

from message_service.database.store import Store

UTC = ZoneInfo("UTC")


class Zones:
    """Tells whose days a tenant's summaries have; UTC unless it has set a zone.

    Args:
        store: The database.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def of(self, tenant_ids: Iterable[str]) -> dict[str, ZoneInfo]:
        """Return the zones of tenants."""
        return dict.fromkeys(tenant_ids, UTC)
