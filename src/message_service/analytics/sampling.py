"""The loop that checks summaries of days drawn by chance, so that drift is seen without asking."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime

from message_service.analytics.applying import Applying
from message_service.analytics.checking import Checked
from message_service.analytics.folding import Range
from message_service.analytics.periods import DAY
from message_service.analytics.rebuilding import Rebuilding
from message_service.analytics.work import Work
from message_service.analytics.zones import Zones
from message_service.catalogue.queries.summary_upkeep import SUMMARIES_FROM, SUMMARY_STORED_LAST
from message_service.clock import Clock
from message_service.database.encoding import object_id
from message_service.database.records import Record
from message_service.database.store import Store
from message_service.documents.analytics import EVERY, AggregationType
from message_service.loops.loop import Loop, Poll
from message_service.stopping import StopSignal

_DRAWN = 100
"""Summaries that are looked at to find one of a day."""

_LOG = logging.getLogger(__name__)


class SampledCheck(Loop):
    """Checks the summaries of a day of a tenant, of its week and its month, now and then.

    A day that was wrong is checked again until it is right; `wrong` tells how many of its summaries
    are, in `db status` too.

    Args:
        store: The database.
        clock: The present moment.
        random: Source of random bytes.
        every: Seconds between two days.
    """

    name = "analytics_check"
    step_seconds = 3_600.0  # a month with millions of messages

    def __init__(
        self, store: Store, clock: Clock, random: Callable[[int], bytes], every: float
    ) -> None:
        self._store = store
        self._random = random
        applying = Applying(store, clock)
        self._ranges = Rebuilding(store, Work(store, applying, clock), applying, Zones(store))
        self._wrong_day = Record(store.database, "analytics_wrong")
        self.wake = Poll(every)
        self._days = 0
        self._summaries = 0
        self._wrong = 0

    def figures(self) -> Mapping[str, int]:
        """Return how many days and summaries were checked, and how many are wrong."""
        return {"days": self._days, "summaries": self._summaries, "wrong": self._wrong}

    async def step(self) -> bool:
        """Check a day; never more right now."""
        day = await self._day()
        if day is None:
            return False
        found = Checked()
        await self._ranges.check(day, found, StopSignal(), repair=False)
        self._days += 1
        self._summaries += found.summaries
        self._wrong = found.wrong
        await self._wrong_day.write(
            {} if found.is_right else {"tenant_id": day.tenant_id, "date": day.since}
        )
        if not found.is_right:
            _LOG.error(
                "%d summaries of %s or its week or month are wrong (%s); repair them: "
                "message-service analytics check --from %s --to %s --repair",
                found.wrong,
                day.since.date(),
                ", ".join(found.drift) or "missing, or of nothing",
                day.since.date(),
                day.until.date(),
            )
        return False

    async def _day(self) -> Range | None:
        """Return the day that was wrong last, or one drawn by chance."""
        known = await self._wrong_day.read()
        if known:
            return _day(known["tenant_id"], known["date"])
        first = await self._store.find_everywhere(SUMMARIES_FROM, limit=1, at=object_id("0" * 24))
        last = await self._store.find_everywhere(SUMMARY_STORED_LAST, limit=1)
        if not first or not last:
            return None
        low, high = (int(str(rows[0]["_id"]), 16) for rows in (first, last))
        place = low + int.from_bytes(self._random(16)) % (high - low + 1)
        drawn = await self._store.find_everywhere(
            SUMMARIES_FROM, limit=_DRAWN, at=object_id(f"{place:024x}")
        )
        days = [
            _day(row["tenant_id"], row["date"])
            for row in (*drawn, *first)
            if row["aggregation_type"] == AggregationType.DAILY and row["tenant_id"] != EVERY
        ]
        return days[0] if days else None


def _day(tenant_id: str, date: datetime) -> Range:
    return Range(tenant_id, date, date + DAY)
