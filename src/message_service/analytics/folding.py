"""Makes summaries of the grains of a range of days, from nothing."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from message_service.analytics import subjects
from message_service.analytics.changes import distinct_of
from message_service.analytics.figures import add
from message_service.analytics.grains import GrainKey, Parts
from message_service.analytics.metrics import Values
from message_service.analytics.periods import TYPES, after, period_of, periods
from message_service.analytics.subjects import Subject, subjects_of
from message_service.analytics.summaries import (
    Members,
    Place,
    Summary,
    add_members,
    count_different,
    members_of,
)
from message_service.documents.analytics import EVERY, AggregationType, Dimension


@dataclass(frozen=True, slots=True)
class Range:
    """Days of a tenant whose summaries, and those of their weeks and months, are made.

    Attributes:
        tenant_id: The tenant.
        since: The first day.
        until: The first day after it.
    """

    tenant_id: str
    since: datetime
    until: datetime

    @property
    def first(self) -> datetime:
        """The first day of all whose grains are needed."""
        return min(period_of(kind, self.since) for kind in TYPES)

    @property
    def end(self) -> datetime:
        """The first day after those."""
        return max(after(kind, [*periods(kind, self.since, self.until)][-1]) for kind in TYPES)

    def stretches(self, length: timedelta) -> Iterator[Range]:
        """Yield the range in pieces of a length, and what is left."""
        since = self.since
        while since < self.until:
            until = min(since + length, self.until)
            yield replace(self, since=since, until=until)
            since = until

    def has(self, kind: AggregationType, first: datetime) -> bool:
        """Return whether a period has days of the range."""
        return first < self.until and after(kind, first) > self.since


def of_everybody(wanted: Range) -> Range:
    """Return the same days of all tenants together."""
    return replace(wanted, tenant_id=EVERY)


def months_of(wanted: Range) -> Iterator[Range]:
    """Yield a range month by month."""
    for month in periods(AggregationType.MONTHLY, wanted.since, wanted.until):
        end = after(AggregationType.MONTHLY, month)
        yield Range(wanted.tenant_id, max(wanted.since, month), min(wanted.until, end))


class Fold:
    """The summaries of one part of the subjects.

    A summary of a week or month is added up from its days. What is too much to be held in memory
    at once is made in several parts, each from all the grains.

    Args:
        wanted: The range.
        part: Which part of the subjects, from 0.
        parts: How many parts there are.
        dimensions: Of which dimensions.
    """

    def __init__(
        self, wanted: Range, part: int, parts: int, dimensions: Collection[Dimension]
    ) -> None:
        self._wanted = wanted
        self._dimensions = dimensions
        self._part = part
        self._parts = parts
        self._days: dict[Subject, dict[datetime, Values]] = defaultdict(lambda: defaultdict(Values))
        self._members: dict[Place, Members] = defaultdict(Members)

    def take(self, key: GrainKey, parts: Parts) -> None:
        """Take in a grain."""
        tenant_id, conversation_id, day = key
        whole = subjects.conversation(tenant_id, conversation_id)
        if self._holds(whole):
            values = self._days[whole][day]
            for part in parts.values():
                add(values, part)
            self._take_members(whole, day, members_of(parts))
        for part, values in parts.items():
            for subject in subjects_of(tenant_id, part):
                if not self._holds(subject):
                    continue
                add(self._days[subject][day], values)
                if subject.dimension is Dimension.USER:
                    self._take_members(subject, day, members_of({part: values}))

    def summaries(self) -> Iterator[Summary]:
        """Yield the summaries, without the numbers of different users and conversations."""
        while self._days:
            subject, days = self._days.popitem()
            several: dict[Place, list[Summary]] = defaultdict(list)
            for date, values in days.items():
                day = Summary(Place(subject, AggregationType.DAILY, date), values, groups={})
                for kind in TYPES:
                    several[Place(subject, kind, period_of(kind, date))].append(day)
            for place, parts in several.items():
                if self._wanted.has(place.kind, place.date) and not place.is_grain:
                    yield self._total(place, parts)

    def _total(self, place: Place, days: Sequence[Summary]) -> Summary:
        """Return the summary of a period from those of its days."""
        if len(days) == 1:
            total = Summary(place, {**days[0].values}, groups=days[0].groups)
        else:
            total = Summary(place)
            for day in days:
                add(total.values, day.values)
        if place.has_members:
            total.members = self._members[place]
            count_different(total)
        return total

    def different(self) -> dict[tuple[Place, str], int]:
        """Return how many users and conversations of this part the summaries of others count."""
        found: dict[tuple[Place, str], int] = defaultdict(int)
        for place, members in self._members.items():
            name = distinct_of(place)
            tenant_id = place.subject.tenant_id
            for subject in {each for key in members for each in subjects_of(tenant_id, key)}:
                if subject.dimension is not place.subject.dimension:
                    found[place._replace(subject=subject), name] += 1
        return found

    def _holds(self, subject: Subject) -> bool:
        return subject.dimension in self._dimensions and (
            self._parts == 1 or zlib.crc32(subject.name.encode()) % self._parts == self._part
        )

    def _take_members(self, subject: Subject, day: datetime, members: Members) -> None:
        for kind in TYPES:
            first = period_of(kind, day)
            if self._wanted.has(kind, first):
                add_members(self._members[Place(subject, kind, first)], members)
