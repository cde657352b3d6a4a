"""A place in the history of a replica set: the timestamp and the term of an oplog entry."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from bson import Timestamp

_TEXT = re.compile(r"(\d{10})-(\d{1,10})-(\d{1,19})", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class OplogPoint:
    """A place in the oplog. Points of one history are ordered.

    Attributes:
        seconds: Seconds since 1970, as the server counts them; never less than in an entry before.
        increment: The number of the entry in its second.
        term: The election term it was written in. Two histories that part have the same timestamps
            at most in different terms.
    """

    seconds: int
    increment: int
    term: int = field(compare=False, default=0)

    @classmethod
    def of(cls, stamp: Any, term: int) -> OplogPoint:
        """Return the point of a BSON timestamp."""
        return cls(stamp.time, stamp.inc, term)

    @classmethod
    def parse(cls, text: str) -> OplogPoint | None:
        """Return the point a text of `str(point)` names; None when it is none."""
        found = _TEXT.fullmatch(text)
        return None if found is None else cls(*(int(part) for part in found.groups()))

    def __str__(self) -> str:
        return f"{self.seconds:010d}-{self.increment:06d}-{self.term}"

    @property
    def stamp(self) -> Timestamp:
        """The BSON timestamp."""
        return Timestamp(self.seconds, self.increment)

    @property
    def second(self) -> datetime:
        """The second it is in."""
        return datetime.fromtimestamp(self.seconds, UTC)

    def same_entry(self, other: OplogPoint) -> bool:
        """Return whether both are the same entry of the same history."""
        return self == other and self.term == other.term
