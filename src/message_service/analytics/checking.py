"""Compares summaries with what they are made of: grains with the messages, the others with grains.

Nothing writes summaries meanwhile, because the check holds the slot for work. Messages may change;
a grain whose messages are marked is only waiting for its turn.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, cast
from zoneinfo import ZoneInfo

from message_service.analytics.applying import Applying
from message_service.analytics.changes import grain_place
from message_service.analytics.figures import OTHERS
from message_service.analytics.folding import Range, of_everybody
from message_service.analytics.grains import GrainKey, Parts
from message_service.analytics.metrics import METRICS
from message_service.analytics.pages import pages_of
from message_service.analytics.periods import DAY, moments_of
from message_service.analytics.sections import (
    count_messages,
    folded,
    grains_of,
    of_all_tenants,
)
from message_service.analytics.summaries import Place, Summary, is_erased, members_of
from message_service.catalogue.queries.summarised_messages import MARKED_IN
from message_service.database.decimals import decimal
from message_service.database.store import Store
from message_service.documents.row import Row


@dataclass(slots=True)
class MetricDrift:
    """A metric that summaries do not say as it is.

    Attributes:
        metric: Its name.
        summaries: In how many summaries it is wrong.
        difference: What these have too much of it (or too little), added up; None where that means
            nothing.
        example: One of them: its `analytics_id`, what it says, and what it must say.
    """

    metric: str
    summaries: int = 0
    difference: Decimal | None = None
    example: tuple[str, Any, Any] = ("", None, None)


@dataclass(slots=True)
class Checked:
    """What a check found.

    Attributes:
        messages: The messages that were added up again.
        summaries: The summaries that were compared.
        missing: Those that are not there.
        stray: Those of which there are no messages.
        waiting: Days of conversations whose messages changed and are not summarised yet.
        erased: Messages that summaries were made from and that are no longer stored; what these
            say of them cannot be checked.
        drift: The metrics that are wrong, by name.
        repaired: Whether the summaries were made again.
        finished: Whether the check came to its end.
    """

    messages: int = 0
    summaries: int = 0
    missing: int = 0
    stray: int = 0
    waiting: int = 0
    erased: int = 0
    drift: dict[str, MetricDrift] = field(default_factory=dict[str, MetricDrift])
    repaired: bool = False
    finished: bool = True

    @property
    def wrong(self) -> int:
        """How many summaries are wrong: missing, of nothing, or in the metric most are wrong in."""
        most = max((each.summaries for each in self.drift.values()), default=0)
        return self.missing + self.stray + most

    @property
    def is_right(self) -> bool:
        """Whether every summary says what it must."""
        return not (self.drift or self.missing or self.stray)

    def add(self, more: Checked) -> None:
        """Add what another check found."""
        for name in ("messages", "summaries", "missing", "stray", "waiting", "erased"):
            setattr(self, name, getattr(self, name) + getattr(more, name))
        for name, drift in more.drift.items():
            known = self.drift.setdefault(name, MetricDrift(name, example=drift.example))
            known.summaries += drift.summaries
            if drift.difference is not None:
                known.difference = (known.difference or Decimal(0)) + drift.difference

    def compare(self, expected: Summary, stored: Row | None) -> None:
        """Compare a summary with what it must be."""
        self.summaries += 1
        if stored is None:
            if expected.members or expected.values:
                self.missing += 1
            return
        wanted = expected.stored_groups()
        for name, metric in METRICS.items():
            found, right = stored.get(metric.group, {}).get(name), wanted[metric.group].get(name)
            if found == right or _plain(found) == _plain(right):
                continue
            if not _is_cut(found):
                self._note(name, stored["analytics_id"], _plain(found), _plain(right))

    def _note(self, name: str, analytics_id: str, found: Any, right: Any) -> None:
        drift = self.drift.setdefault(name, MetricDrift(name))
        drift.summaries += 1
        if drift.summaries == 1:
            drift.example = (analytics_id, found, right)
        if all(isinstance(each, (int, Decimal)) for each in (found, right)):
            drift.difference = (drift.difference or Decimal(0)) + Decimal(found) - Decimal(right)


class Checking:
    """Checks ranges of days.

    Args:
        store: The database.
        applying: Reads summaries.
    """

    def __init__(self, store: Store, applying: Applying) -> None:
        self._store = store
        self._applying = applying

    async def check(
        self,
        wanted: Range,
        zone: ZoneInfo,
        into: Checked,
        go_on: Callable[[], Awaitable[None]],
        *,
        first: bool,
    ) -> None:
        """Compare the summaries of a range.

        Args:
            wanted: The range.
            zone: The tenant's time zone.
            into: Takes what is found.
            go_on: Called every few seconds.
            first: Whether it is the first part of a longer range; of others, the week before is
                checked already.
        """
        into.erased += await count_messages(self._store, wanted)
        async with aclosing(grains_of(self._store, wanted, zone)) as grains:
            async for page in pages_of(grains):
                await go_on()
                await self._check_grains(dict(page), zone, into)
        seen = set[Place]()
        for summaries in (folded(self._store, wanted), of_all_tenants(self._store, wanted)):
            async for made in pages_of(summaries):
                await go_on()
                rows = await self._applying.rows(summary.place for summary in made)
                for summary in made:
                    seen.add(summary.place)
                    if first or summary.place.date >= wanted.since:
                        into.compare(summary, rows.get(summary.place))
        for each in (wanted, of_everybody(wanted)):
            async for place in self._applying.with_messages(each):
                into.stray += place not in seen

    async def _check_grains(
        self, made: Mapping[GrainKey, Parts], zone: ZoneInfo, into: Checked
    ) -> None:
        rows = await self._applying.rows(grain_place(key) for key in made)
        for key, parts in made.items():
            into.messages += sum(members_of(parts).values())
            place = grain_place(key)
            row = rows.get(place)
            stored = None if row is None else Summary.of_row(place, row)
            if stored is not None:
                # What is left of all that summaries were made from is erased.
                into.erased -= sum(members_of(stored.parts).values())
                if is_erased(stored.parts, parts):
                    into.erased += sum(members_of(stored.parts).values())
                    into.erased -= sum(members_of(parts).values())
                    parts = stored.parts
            wrong = stored is None or stored.parts != parts
            if wrong and await self._is_waiting(key, zone):
                into.waiting += 1
            else:
                into.compare(Summary.of_grain(place, parts), row)

    async def _is_waiting(self, key: GrainKey, zone: ZoneInfo) -> bool:
        since, until = moments_of(key.day, key.day + DAY, zone)
        found = await self._store.scope(key.tenant_id).find_one(
            MARKED_IN, conversation_id=key.conversation_id, since=since, until=until
        )
        return found is not None


def _is_cut(value: Any) -> bool:
    """Return whether a tally has too many labels to tell all apart: its counts are not exact."""
    if isinstance(value, dict):
        return OTHERS in value
    labels = cast("list[Row]", value) if isinstance(value, list) else []
    return any(each["name"] == OTHERS for each in labels)


def _plain(value: Any) -> Any:
    """Return a stored value in a form in which equal amounts are equal."""
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value)
        return {name: _plain(inner) for name, inner in items.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in cast("list[Any]", value)]
    if value is None or isinstance(value, (int, float, str)):
        return value
    return decimal(value)
