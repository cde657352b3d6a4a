"""A listing of hits: stretches of candidates from new to old, each ranked and cut into pages.

The candidates of a stretch are the newest entries that may match, as many as can be ranked for a
page. The cursor of a page holds the stretch, the place in it, and the inputs of ranking that must
not change from page to page (the moment recency is counted to, the rarity of the words). A message
that is pinned or rated meanwhile is ranked by the weights it had at that moment, which its entry
keeps for an hour; so it is neither skipped nor shown twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from message_service.catalogue.demands import (
    Demand,
    Not,
    NotExpired,
    Said,
    SearchableSince,
)
from message_service.clock import Clock, epoch_milliseconds, from_epoch_milliseconds
from message_service.database.encoding import object_id
from message_service.database.scope import Scope
from message_service.documents.row import Row
from message_service.search import candidates, ranking, shown
from message_service.search.candidates import Candidates, Lookup, Where
from message_service.search.entry_ids import first_id
from message_service.search.filters import HIDDEN_ONLY
from message_service.search.parsing import ParsedQuery
from message_service.search.ranking import Scored
from message_service.search.results import Count, Hit, Matched

CANDIDATES_PER_HIT = 20
"""Entries ranked for each hit of a page: what bounds the documents a search reads."""

_STRETCHES = 5
_FETCHES = 4


@dataclass(frozen=True, slots=True)
class Place:
    """The place in a listing where a page begins; the content of a cursor.

    Attributes:
        as_of: The moment of the first page.
        below: Only entries with lower ids.
        floor: Only entries with this id or higher ones; None while the stretch is open.
        after: Score and id of the last hit shown of the stretch.
        matched: Whether hits have all the words or some.
        rarities: Rarity of each word; computed for the first page.
        counted: Matches of the stretches before this one.
    """

    as_of: datetime
    below: Any = None
    floor: Any = None
    after: tuple[float, Any] | None = None
    matched: Matched = "all"
    rarities: Sequence[float] | None = None
    counted: int = 0

    def to_json(self) -> list[Any]:
        """Return the place as JSON values for a cursor."""
        return [
            epoch_milliseconds(self.as_of),
            None if self.below is None else str(self.below),
            None if self.floor is None else str(self.floor),
            None if self.after is None else [self.after[0], str(self.after[1])],
            self.matched,
            self.rarities,
            self.counted,
        ]

    @classmethod
    def from_json(cls, values: list[Any]) -> Place:
        """Return the place from the JSON values of a cursor."""
        as_of, below, floor, after, matched, rarities, counted = values
        return cls(
            from_epoch_milliseconds(as_of),
            None if below is None else object_id(below),
            None if floor is None else object_id(floor),
            None if after is None else (after[0], object_id(after[1])),
            matched,
            rarities,
            counted,
        )


@dataclass(frozen=True, slots=True)
class _Stretch:
    """One stretch of the listing, best entries first.

    Attributes:
        place: Where it begins, with the rarities it was ranked by.
        ranked: Its entries.
        floor: Where it ends; None when it goes down to the oldest entry.
        bounded: Whether entries within it were left out.
        examined: Entries read.
    """

    place: Place
    ranked: list[Scored]
    floor: Any
    bounded: bool
    examined: int


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of a listing.

    Attributes:
        hits: The hits.
        count: How many messages match, as far as the listing was read.
        examined: Entries read.
        follows: Where the next page begins; None at the end.
    """

    hits: list[Hit]
    count: Count
    examined: int
    follows: Place | None


class Listing:
    """The hits of one query in one scope.

    Args:
        scope: The tenant's scope.
        clock: The present moment.
        parsed: The query.
        where: The scope of the search.
        limit: Most hits of a page.
        hidden: Whether hidden messages are found.
    """

    def __init__(
        self,
        scope: Scope,
        clock: Clock,
        parsed: ParsedQuery,
        where: Where,
        limit: int,
        *,
        hidden: bool,
    ) -> None:
        self._scope = scope
        self._clock = clock
        self._parsed = parsed
        self._where = where
        self._limit = limit
        self._hidden = hidden

    async def page(self, place: Place) -> Listed:
        """Return the page that begins at a place."""
        examined = 0
        listed = Listed([], Count(place.counted, exact=True), 0, None)
        for _ in range(_STRETCHES):
            stretch = await self._stretch(place)
            place = stretch.place
            examined += stretch.examined
            hits, last = await self._hits(stretch.ranked, place)
            counted = place.counted + len(stretch.ranked)
            count = Count(counted, exact=stretch.floor is None and not stretch.bounded)
            listed = Listed(hits, count, examined, None)
            if last is not None and stretch.ranked[-1].entry["_id"] != last[1]:
                return replace(listed, follows=replace(place, floor=stretch.floor, after=last))
            if stretch.floor is None:
                return listed
            place = replace(place, below=stretch.floor, floor=None, after=None, counted=counted)
            if hits:
                break
        return replace(listed, follows=place)

    async def _stretch(self, place: Place) -> _Stretch:
        """Gather and rank the next candidates, newest first, until there are enough."""
        lists = await candidates.look_up(
            self._scope, self._where, self._parsed.clauses, _bounds(self._parsed, place)
        )
        if place.rarities is None:
            rarities = [ranking.rarity(min(len(each.ids) for each in found)) for found in lists]
            place = replace(place, rarities=rarities)
        wanted = CANDIDATES_PER_HIT * self._limit
        found = self._candidates(lists, place, wanted)
        demands = [*self._demands(place), *found.demands]
        scored: list[Scored] = []
        examined = 0
        floor = found.horizon if place.floor is None else place.floor
        for start in range(0, len(found.ids), wanted):
            part = found.ids[start : start + wanted]
            rows = await candidates.fetch(self._scope, self._where, part, demands)
            examined += len(part)
            scored.extend(self._scored(rows, place))
            full = len(scored) >= wanted or examined >= _FETCHES * wanted
            if full and place.floor is None and start + wanted < len(found.ids):
                floor = part[-1]
                break
        scored.sort(key=_order, reverse=True)
        return _Stretch(place, scored, floor, found.bounded, examined)

    @staticmethod
    def _candidates(lists: list[list[Lookup]], place: Place, wanted: int) -> Candidates:
        if place.matched == "all":
            return candidates.intersect([each for found in lists for each in found])
        # A phrase has several lists; among alternatives only its rarest list counts.
        single = [min(found, key=lambda each: len(each.ids)) for found in lists]
        return candidates.unite(single, place.rarities or (), wanted)

    def _scored(self, rows: list[Row], place: Place) -> list[Scored]:
        kept: list[Scored] = []
        for row in rows:
            normalized: str = row["indexed_content"].get("normalized_text", "")
            if not shown.fits(self._parsed, normalized, place.matched):
                continue
            scored = ranking.score(row, self._parsed.clauses, place.rarities or (), place.as_of)
            if scored is not None:
                kept.append(scored)
        return kept

    def _demands(self, place: Place) -> list[Demand]:
        demands: list[Demand] = [
            *self._parsed.demands,
            *candidates.excluding(self._parsed),
            NotExpired(self._clock.now()),
        ]
        if not self._hidden:
            demands.append(Not(HIDDEN_ONLY))
        if place.after is not None or place.below is not None:
            demands.append(SearchableSince(place.as_of))
        return demands

    async def _hits(
        self, ranked: list[Scored], place: Place
    ) -> tuple[list[Hit], tuple[float, Any] | None]:
        """Return the next hits as the messages are now, and the place of the last one looked at."""
        after = place.after
        rest = [scored for scored in ranked if after is None or _order(scored) < after]
        hits: list[Hit] = []
        last: tuple[float, Any] | None = after if not rest else None
        now = self._clock.now()
        while rest and len(hits) < self._limit:
            part, rest = rest[: self._limit - len(hits)], rest[self._limit - len(hits) :]
            messages = await shown.read_messages(self._scope, [scored.entry for scored in part])
            for scored in part:
                last = _order(scored)
                message = messages.get(scored.entry["message_id"])
                if message is not None and shown.is_shown(message, now, hidden=self._hidden):
                    hit = shown.make_hit(self._parsed, scored, message, place.matched)
                    if hit is not None:
                        hits.append(hit)
        return hits, last


def _order(scored: Scored) -> tuple[float, Any]:
    """Return the sort key of a hit, best first; the id breaks ties."""
    return scored.score, scored.entry["_id"]


def _bounds(parsed: ParsedQuery, place: Place) -> tuple[Any, Any]:
    """Return the stretch of ids to look at: that of the page, narrowed by `from:`."""
    low = place.floor
    for demand in parsed.demands:
        if isinstance(demand, Said) and demand.since is not None:
            start = first_id(demand.since)
            low = start if low is None else max(low, start)
    # `to:` is checked by the fetch: later entries may share its last second.
    return low, place.below
