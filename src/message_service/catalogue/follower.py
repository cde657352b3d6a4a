"""Followers: work that must be done after every change of a message, and its mark.

The write that changes the message sets the mark in the same document, so no change can be missed.
The follower clears the mark under the revision, so a newer change keeps its mark. A partial index
over the marks is the follower's work list. See decisions 10 and 17.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from message_service.catalogue.model import Index
from message_service.database.query import Filter, Query

LIVE = 1
BACKLOG = 2
REVISION = "revision"
USAGE_REVISION = "token_usage.revision"
ENRICHED = "enrichment.version"
"""Ranks of a mark: what a caller just wrote comes before what can wait.

`REVISION` counts the changes of a message, `USAGE_REVISION` those of its usage; `ENRICHED` is
there once its text has been enriched.
"""

_ALL = "a follower serves every tenant"
_KEY = {"tenant_id": 1, "conversation_id": 1, "message_id": 1, REVISION: 1}


@dataclass(frozen=True)
class Follower:
    """One follower of messages.

    Attributes:
        name: Its name; mark, index and queries are named after it.
        purpose: Its work after a change, in one line.
        fields: Fields of a message it reads, besides the ids and the revision.
        group: Path of its mark in a message; empty for the default, `marks.<name>`.
        guards: Paths of which each change it follows sets one to another value. A new message is
            marked if it has one of them.
        keys: Keys of its work list; the default begins with the most urgent.
        notes: Path of what it keeps in a message for itself, if anything.
    """

    name: str
    purpose: str
    fields: Mapping[str, int] = field(default_factory=dict[str, int])
    group: str = ""
    guards: tuple[str, ...] = (REVISION,)
    keys: tuple[tuple[str, int], ...] = ()
    notes: str = ""

    @cached_property
    def path(self) -> tuple[str, ...]:
        """Names that lead to the mark in a message, outermost first."""
        return tuple((self.group or f"marks.{self.name}").split("."))

    @cached_property
    def pending(self) -> str:
        """Path of the mark's rank."""
        return ".".join((*self.path, "pending"))

    @cached_property
    def since(self) -> str:
        """Path of the moment the mark was set."""
        return ".".join((*self.path, "pending_since"))

    def marked(self, now: datetime, rank: int) -> dict[str, Any]:
        """Return what `$min` takes to mark a message, by path.

        A message that waits already keeps its place: the moment since when, and the urgency.
        """
        return {self.pending: rank, self.since: now}

    @cached_property
    def cleared(self) -> Mapping[str, str]:
        """The `$unset` that clears the mark, by path."""
        return {self.pending: "", self.since: ""} if self.group else {".".join(self.path): ""}

    @cached_property
    def index(self) -> Index:
        """The index of its work list, most urgent and longest waiting first."""
        return Index(
            f"idx_{self.name}_work",
            self._order,
            self.purpose,
            partial={self.pending: {"$exists": True}},
            added=True,
        )

    @cached_property
    def work(self) -> Query:
        """The query for due messages, most urgent and longest waiting first."""

        def due() -> Filter:
            return {self.pending: {"$exists": True}}

        return Query(
            name=f"{self.name}.work",
            collection="messages",
            purpose=self.purpose,
            index=self.index.name,
            build=due,
            example={},
            sort=self._order,
            projection={**_KEY, **dict.fromkeys(self.guards, 1), **self.fields},
            scatter=_ALL,
            all_tenants=_ALL,
        )

    @cached_property
    def _order(self) -> tuple[tuple[str, int], ...]:
        return self.keys or ((self.pending, 1), (self.since, 1), ("_id", 1))

    @property
    def queries(self) -> tuple[Query, ...]:
        """Its queries; the longest waiting message is found only in the default order."""
        return (self.work,) if self.keys else (self.work, self.oldest)

    @cached_property
    def oldest(self) -> Query:
        """The query for the longest waiting message of one rank."""

        def of_rank(rank: int) -> Filter:
            return {self.pending: rank}

        return Query(
            name=f"{self.name}.oldest",
            collection="messages",
            purpose="The longest waiting message of one rank",
            index=self.index.name,
            build=of_rank,
            example={"rank": LIVE},
            sort=((self.since, 1), ("_id", 1)),
            projection={"_id": 0, self.since: 1},
            scatter=_ALL,
            all_tenants=_ALL,
        )
