"""Finds the entries that may match: lists of ids read from an index and intersected here.

Each word of the query is one bounded walk of an index that holds the ids of its entries, newest
first; no document is read. The lists are intersected, and only the remaining entries are fetched
and ranked. A list longer than the bound is known down to a point in time only, its horizon; the
search is then answered stretch by stretch, from new to old.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from message_service.catalogue.demands import AnyTerm, Demand, Not, TermPrefix
from message_service.catalogue.queries.search import ENTRIES, PREFIX_IDS, TERM_IDS, Ids
from message_service.database.scope import Scope
from message_service.documents.row import Row
from message_service.search.parsing import Clause, ClauseKind, ParsedQuery

MAX_LIST = 10_000
"""Ids read of one word at a time."""

Id = Any


@dataclass(frozen=True, slots=True)
class Where:
    """The scope of a search.

    Attributes:
        field: The field whose index is walked: `conversation_id`, `user_id` or "" (the tenant).
        within: Values every entry must have, by field.
    """

    field: str
    within: Mapping[str, str]

    @property
    def keyed(self) -> Mapping[str, Any]:
        """The equality the index is entered by."""
        return {self.field: self.within[self.field]} if self.field else {}


@dataclass(frozen=True, slots=True)
class Lookup:
    """One list of ids.

    Attributes:
        ids: Newest first.
        capped: Whether there are more ids than were read.
        demand: The demand that every entry of the list meets.
    """

    ids: list[Id]
    capped: bool
    demand: AnyTerm | TermPrefix


@dataclass(frozen=True, slots=True)
class Candidates:
    """Entries that may match.

    Attributes:
        ids: Their ids, newest first.
        demands: Demands the fetch must check, because a list was too long to intersect.
        horizon: Older ids than this one were not considered; None when all were.
        bounded: Whether entries above the horizon were left out (a prefix of too many words).
    """

    ids: list[Id]
    demands: tuple[Demand, ...]
    horizon: Id | None
    bounded: bool


async def look_up(
    scope: Scope, where: Where, clauses: Sequence[Clause], ids: Ids
) -> list[list[Lookup]]:
    """Return the lists of each clause.

    Args:
        scope: The tenant's scope.
        where: The scope of the search.
        clauses: The clauses that must be found.
        ids: The stretch of ids to look at.
    """
    wanted = [_demands(clause) for clause in clauses]
    flat = [demand for demands in wanted for demand in demands]
    found = iter(await asyncio.gather(*(_list(scope, where, demand, ids) for demand in flat)))
    return [[next(found) for _ in demands] for demands in wanted]


def intersect(lists: Sequence[Lookup]) -> Candidates:
    """Return the entries that are in every list."""
    whole = [found for found in lists if not found.capped]
    capped = [found for found in lists if found.capped]
    if whole:
        ids = _common(whole)
        return Candidates(ids, tuple(found.demand for found in capped), None, bounded=False)
    dated = [found for found in capped if found.ids and not _is_prefix(found)]
    if not dated:
        # Only prefixes, each of more words than were read: only the entries read can be shown.
        return Candidates(_common(capped), (), None, bounded=True)
    horizon = max(found.ids[-1] for found in dated)
    ids = [candidate for candidate in _common(dated) if candidate >= horizon]
    demands = tuple(found.demand for found in capped if _is_prefix(found))
    return Candidates(ids, demands, horizon, bounded=False)


def unite(lists: Sequence[Lookup], rarity: Sequence[float], limit: int) -> Candidates:
    """Return entries that are in any list, best first (rarest words, most lists), up to `limit`."""
    weights: dict[Id, float] = {}
    for found, weight in zip(lists, rarity, strict=True):
        for candidate in found.ids:
            weights[candidate] = weights.get(candidate, 0.0) + weight
    ranked = sorted(weights, key=lambda candidate: (weights[candidate], candidate), reverse=True)
    bounded = len(ranked) > limit or any(found.capped for found in lists)
    return Candidates(ranked[:limit], (), None, bounded=bounded)


async def fetch(
    scope: Scope, where: Where, ids: Sequence[Id], demands: Sequence[Demand]
) -> list[Row]:
    """Return the entries with these ids that meet the demands."""
    if not ids:
        return []
    return await scope.find(ENTRIES, ids=ids, within=where.within, demands=demands)


def excluding(parsed: ParsedQuery) -> list[Demand]:
    """Return demands for the excluded clauses; phrases are checked on the text later."""
    demands: list[Demand] = []
    for clause in parsed.excluded:
        if clause.prefix is not None:
            demands.append(Not(TermPrefix(clause.prefix)))
        elif clause.kind is not ClauseKind.PHRASE:
            forms = tuple(form for lookup in clause.lookups for form in lookup)
            demands.append(Not(AnyTerm(forms)))
    return demands


def _demands(clause: Clause) -> list[AnyTerm | TermPrefix]:
    if clause.prefix is not None:
        return [TermPrefix(clause.prefix)]
    return [AnyTerm(tuple(forms)) for forms in clause.lookups]


def _is_prefix(found: Lookup) -> bool:
    return isinstance(found.demand, TermPrefix)


async def _list(scope: Scope, where: Where, demand: AnyTerm | TermPrefix, ids: Ids) -> Lookup:
    if isinstance(demand, TermPrefix):
        rows = await scope.find(
            PREFIX_IDS[where.field],
            limit=MAX_LIST + 1,
            prefix=demand.prefix,
            **where.keyed,
        )
        # The index returns an entry once per word, in the order of words: sort and cut here.
        distinct = {row["_id"] for row in rows}
        found = sorted((entry for entry in distinct if _within(entry, ids)), reverse=True)
        return Lookup(found, len(rows) > MAX_LIST, demand)
    rows = await scope.find(
        TERM_IDS[where.field],
        limit=MAX_LIST + 1,
        forms=demand.terms,
        ids=ids,
        **where.keyed,
    )
    found = list(dict.fromkeys(row["_id"] for row in rows))
    return Lookup(found[:MAX_LIST], len(rows) > MAX_LIST, demand)


def _within(entry: Id, ids: Ids) -> bool:
    return (ids[0] is None or entry >= ids[0]) and (ids[1] is None or entry < ids[1])


def _common(lists: Sequence[Lookup]) -> list[Id]:
    """Return the ids that all lists hold, newest first."""
    shortest, *others = sorted(lists, key=lambda found: len(found.ids))
    sets = [set(found.ids) for found in others]
    return [candidate for candidate in shortest.ids if all(candidate in other for other in sets)]
