"""How far what was stored before is summarised: before anybody followed it, or by other rules."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from message_service.analytics.folding import Range
from message_service.analytics.metrics import RULES
from message_service.database.records import Record
from message_service.database.store import Store

_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Reached:
    """What is summarised.

    Attributes:
        done: Whether everything is.
        tenant_id: The tenant whose days were summarised last.
        until: The first day after these.
    """

    done: bool
    tenant_id: str
    until: datetime

    def is_before(self, part: Range) -> bool:
        """Return whether a part is not summarised yet; they come by tenant and day."""
        return (self.tenant_id, self.until) < (part.tenant_id, part.until)


class Progress:
    """The record of it. A release with other rules begins again.

    Args:
        store: The database.
    """

    def __init__(self, store: Store) -> None:
        self._record = Record(store.database, "analytics_begun")

    async def read(self) -> Reached:
        """Return how far it is."""
        row = await self._record.read()
        if row.get("rules") != RULES:
            return Reached(done=False, tenant_id="", until=_BEGINNING)
        return Reached(
            row.get("done", False), row.get("tenant_id", ""), row.get("until", _BEGINNING)
        )

    async def reached(self, part: Range) -> None:
        """Note that a part is summarised."""
        await self._record.write({"rules": RULES, "tenant_id": part.tenant_id, "until": part.until})

    async def finish(self) -> None:
        """Note that everything is."""
        await self._record.write({"rules": RULES, "done": True})
