"""What changes in summaries when grains change: a pure calculation.

A piece of work is a list of grains with their parts before and after. From it follows, for every
summary, what is added and what is taken away. Nothing else has to be read to carry it out, except
where the largest or smallest value was taken away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from message_service.analytics import subjects
from message_service.analytics.figures import (
    EXTREMES,
    HISTOGRAMS,
    TALLIES,
    add,
    read_part,
    stored_part,
)
from message_service.analytics.grains import GrainKey, Parts
from message_service.analytics.metrics import DISTINCT, Values
from message_service.analytics.periods import TYPES, period_of
from message_service.analytics.subjects import PartKey, Subject, subjects_of
from message_service.analytics.summaries import Members, Place, add_members, members_of
from message_service.documents.analytics import AggregationType
from message_service.documents.row import Row

_PART_BYTES = 1_200
_BUCKET_BYTES = 50


@dataclass(frozen=True, slots=True)
class GrainChange:
    """A grain before and after."""

    key: GrainKey
    before: Parts
    after: Parts

    def stored(self) -> Row:
        """Return the change as it is kept while it is carried out."""
        return {
            "tenant_id": self.key.tenant_id,
            "conversation_id": self.key.conversation_id,
            "day": self.key.day,
            "before": _stored(self.before),
            "after": _stored(self.after),
        }

    def size(self) -> int:
        """Return about how many bytes it takes as it is kept."""
        size = 0
        for values in (*self.before.values(), *self.after.values()):
            labels = [label for name in TALLIES for label in values.get(name, ())]
            buckets = sum(len(values.get(name, ())) for name in HISTOGRAMS)
            size += _PART_BYTES + _BUCKET_BYTES * (buckets + len(labels))
            size += sum(len(label.encode()) for label in labels)
        return size

    @classmethod
    def of(cls, row: Row) -> GrainChange:
        """Return a change as kept."""
        key = GrainKey(row["tenant_id"], row["conversation_id"], row["day"])
        return cls(key, _read(row["before"]), _read(row["after"]))


@dataclass(slots=True)
class Delta:
    """What changes in one summary.

    Attributes:
        added: Figures to add.
        removed: Figures to take away.
        members: Changes of its members, by key.
    """

    added: Values = field(default_factory=Values)
    removed: Values = field(default_factory=Values)
    members: Members = field(default_factory=Members)

    def apply(self, values: Values) -> set[str]:
        """Bring it into figures, in place.

        Returns:
            The extremes that may have been taken away: they must be found again.
        """
        lost = {
            name
            for name, further in EXTREMES.items()
            if name in self.removed
            and values.get(name) == self.removed[name]
            and further(self.removed[name], self.added.get(name, self.removed[name]))
            != self.added.get(name)
        }
        add(values, self.removed, -1)
        for name in lost:
            del values[name]
        add(values, self.added)
        return lost


def grain_place(key: GrainKey) -> Place:
    """Return the summary that a grain is."""
    subject = subjects.conversation(key.tenant_id, key.conversation_id)
    return Place(subject, AggregationType.DAILY, key.day)


def deltas(changes: Iterable[GrainChange]) -> dict[Place, Delta]:
    """Return what changes in every summary but the grains themselves."""
    found: dict[Place, Delta] = {}
    for change in changes:
        tenant_id, conversation_id, day = change.key
        whole = subjects.conversation(tenant_id, conversation_id)
        periods = [(kind, period_of(kind, day)) for kind in TYPES]
        for part in {*change.before, *change.after}:
            before, after = change.before.get(part, {}), change.after.get(part, {})
            if before == after:
                continue
            moved = members_of({part: after})
            add_members(moved, members_of({part: before}), -1)
            for subject in (whole, *subjects_of(tenant_id, part)):
                for kind, date in periods:
                    place = Place(subject, kind, date)
                    if subject is whole and kind is AggregationType.DAILY:
                        continue
                    delta = found.setdefault(place, Delta())
                    add(delta.added, after)
                    add(delta.removed, before)
                    if place.has_members:
                        add_members(delta.members, moved)
    return found


def different_counted(
    place: Place, before: Mapping[PartKey, int], after: Mapping[PartKey, int]
) -> dict[Subject, int]:
    """Return for which subjects a user or conversation counts from now on (1) or no longer (-1).

    Args:
        place: The summary of the user or conversation.
        before: Its members before.
        after: Its members after.
    """
    tenant_id = place.subject.tenant_id
    then = {subject for key in before for subject in subjects_of(tenant_id, key)}
    now = {subject for key in after for subject in subjects_of(tenant_id, key)}
    return dict.fromkeys(now - then, 1) | dict.fromkeys(then - now, -1)


def distinct_of(place: Place) -> str:
    """Return the count of different ones that a summary with members adds to."""
    return next(name for name, rule in DISTINCT.items() if rule.of == place.subject.dimension.value)


def _stored(parts: Mapping[PartKey, Values]) -> list[Row]:
    return [{**key.fields(), "figures": stored_part(values)} for key, values in parts.items()]


def _read(rows: Sequence[Row]) -> Parts:
    return {PartKey.of(row): read_part(row["figures"]) for row in rows}
