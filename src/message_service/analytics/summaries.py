"""One summary: in memory, and as it is stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from message_service.analytics.figures import (
    add,
    read_groups,
    read_part,
    stored_groups,
    stored_part,
)
from message_service.analytics.grains import Parts
from message_service.analytics.metrics import DISTINCT, METRICS, Values
from message_service.analytics.subjects import PartKey, Subject
from message_service.catalogue.queries.summary_upkeep import SummaryKey
from message_service.documents.analytics import AggregationType, Dimension
from message_service.documents.row import Row

MESSAGES = "total_messages"

Members = dict[PartKey, int]
"""How many messages of a user or conversation have this user, character and model."""


class Place(NamedTuple):
    """Which summary: of what, how long, and the first day as midnight UTC."""

    subject: Subject
    kind: AggregationType
    date: datetime

    @property
    def key(self) -> SummaryKey:
        """What names it in the database."""
        return SummaryKey(
            self.subject.tenant_id,
            self.subject.conversation_id,
            self.subject.name,
            self.kind.value,
            self.date,
        )

    @property
    def is_grain(self) -> bool:
        """Whether it is a conversation's day, of which the others are made."""
        dimension = self.subject.dimension
        return dimension is Dimension.CONVERSATION and self.kind is AggregationType.DAILY

    @property
    def has_members(self) -> bool:
        """Whether it keeps members: they tell what its user or conversation is counted for."""
        dimension = self.subject.dimension
        return dimension in (Dimension.USER, Dimension.CONVERSATION) and not self.is_grain


@dataclass(slots=True)
class Summary:
    """A summary in memory.

    Attributes:
        place: Which one.
        values: Its figures, those of different users and conversations too.
        members: Its members, where it keeps them.
        parts: The parts of a conversation's day.
        applied: The number of the last piece of work that wrote it; 0 for one that is new.
        created_at: When it was stored first.
        groups: Takes the groups it is stored as, for all periods that have the same messages: a
            week whose messages are all of one day. Its figures do not change any more.
    """

    place: Place
    values: Values = field(default_factory=Values)
    members: Members = field(default_factory=Members)
    parts: Parts = field(default_factory=Parts)
    applied: int = 0
    created_at: datetime | None = None
    groups: dict[str, Row] | None = None

    @classmethod
    def of_grain(cls, place: Place, parts: Mapping[PartKey, Values]) -> Summary:
        """Return the summary of a conversation's day."""
        summary = cls(place, parts=dict(parts))
        for values in parts.values():
            add(summary.values, values)
        summary.members = members_of(parts)
        count_different(summary)
        return summary

    @classmethod
    def of_row(cls, place: Place, row: Row) -> Summary:
        """Return a summary as stored."""
        parts = {PartKey.of(part): read_part(part["figures"]) for part in row.get("parts") or ()}
        members = {PartKey.of(each): each["messages"] for each in row.get("members") or ()}
        return cls(
            place,
            read_groups(row),
            members or members_of(parts),
            parts,
            row["applied"],
            row["created_at"],
        )

    def stored_groups(self) -> dict[str, Row]:
        """Return its groups as they are stored: figures, and the metrics that follow from them."""
        if self.groups is None:
            return stored_groups(self.values)
        if not self.groups:
            self.groups |= stored_groups(self.values)
        own = dict(self.groups)
        for name in DISTINCT:  # counted for each period, and nothing follows from them
            group = METRICS[name].group
            own[group] = {**own[group], name: self.values.get(name, 0)}
        return own

    def stored(self, number: int, now: datetime, time_zone: str) -> Row:
        """Return the document to store.

        Args:
            number: The number of the work that writes it.
            now: The present moment.
            time_zone: The zone whose days are meant.
        """
        subject, kind, date = self.place
        row: Row = {
            "tenant_id": subject.tenant_id,
            "analytics_id": _name(self.place),
            "conversation_id": subject.conversation_id,
            **dict(subject.key),
            "dimension": subject.dimension.value,
            "subject": subject.name,
            "aggregation_type": kind.value,
            "date": date,
            **self.stored_groups(),
            "applied": number,
            "created_at": self.created_at or now,
            "updated_at": now,
            "version": 1,
        }
        if time_zone != "UTC":
            row["time_zone"] = time_zone
        if subject.dimension is Dimension.CONVERSATION and self.members:
            row["user_id"] = _main_user(self.members)
        if self.parts:
            row["parts"] = [
                {**key.fields(), "figures": stored_part(values)}
                for key, values in sorted(self.parts.items(), key=_by_key)
            ]
        if self.place.has_members and self.members:
            row["members"] = [
                {**key.fields(), "messages": count}
                for key, count in sorted(self.members.items(), key=_by_key)
            ]
        return row


def members_of(parts: Mapping[PartKey, Values]) -> Members:
    """Return the members that parts make."""
    return {key: values[MESSAGES] for key, values in parts.items() if values.get(MESSAGES)}


def count_different(summary: Summary) -> None:
    """Count the users and conversations of a user's or conversation's summary by its members."""
    counts = {"user": len({key.user_id for key in summary.members})}
    if summary.place.subject.dimension is Dimension.CONVERSATION:
        counts["conversation"] = 1 if summary.members else 0
    for name, rule in DISTINCT.items():
        count = counts.get(rule.of)
        if count:
            summary.values[name] = count
        elif count == 0:
            summary.values.pop(name, None)


def is_erased(before: Parts, now: Parts) -> bool:
    """Return whether a grain was made from more messages than are left: the others were erased."""
    return sum(members_of(now).values()) < sum(members_of(before).values())


def add_members(members: Members, more: Mapping[PartKey, int], sign: int = 1) -> None:
    """Add members to others, in place; or take them away."""
    for key, count in more.items():
        total = members.get(key, 0) + sign * count
        if total:
            members[key] = total
        else:
            members.pop(key, None)


def _main_user(members: Mapping[PartKey, int]) -> str:
    counts: Counter[str] = Counter()
    for key, count in members.items():
        counts[key.user_id] += count
    return min(counts, key=lambda name: (-counts[name], name))


def _name(place: Place) -> str:
    """Return a summary's `analytics_id`, as the source design makes it for a conversation's day."""
    subject, kind, date = place
    what = subject.conversation_id if subject.dimension is Dimension.CONVERSATION else subject.name
    length = "" if kind is AggregationType.DAILY else f"{kind.value.removesuffix('_summary')}_"
    return f"analytics_{length}{what}_{date:%Y%m%d}"


def _by_key(item: tuple[PartKey, object]) -> tuple[str, ...]:
    return tuple(name or "" for name in item[0])
