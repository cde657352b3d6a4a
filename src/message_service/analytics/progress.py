"""How far what was stored before is summarised: before anybody followed it, or by other rules."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from message_service.analytics.folding import Range
from message_service.analytics.metrics import RULES
from message_service.database.records import Record
from message_service.database.store import Store
from message_service.documents.row import Row

_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Reached:
    """What is summarised.

    Attributes:
        done: Whether everything is.
        tenant_id: The tenant whose days were summarised last.
        until: The first day after these.
        row: The record.
    """

    done: bool
    tenant_id: str
    until: datetime
    row: Row

    def is_before(self, part: Range) -> bool:
        """Return whether a part is not summarised yet; they come by tenant and day."""
        return (self.tenant_id, self.until) < (part.tenant_id, part.until)


class Progress:
    """The record of it. A release with other rules begins again.

    Args:
        store: The database.

    Attributes:
        rules: Names the rules of this release.
    """

    def __init__(self, store: Store) -> None:
        self._record = Record(store.database, "analytics_begun")
        self.rules = RULES

    async def read(self) -> Reached:
        """Return how far it is."""
        row = await self._record.read()
        if row.get("rules") != self.rules:
            return Reached(False, "", _BEGINNING, row)
        return Reached(
            row.get("done", False), row.get("tenant_id", ""), row.get("until", _BEGINNING), row
        )

    async def reached(self, part: Range, before: Reached) -> None:
        """Note that a part is summarised, unless somebody has begun again since."""
        await self._record.follow(
            before.row, {"rules": self.rules, "tenant_id": part.tenant_id, "until": part.until}
        )

    async def begin_again(self) -> None:
        """Note that nothing is: somebody has written summaries by other rules."""
        await self._record.write({"rules": self.rules})

    async def finish(self, before: Reached) -> None:
        """Note that everything is, unless somebody has begun again since."""
        await self._record.follow(before.row, {"rules": self.rules, "done": True})
