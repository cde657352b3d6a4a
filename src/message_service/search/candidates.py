"""Which entries may match: lists of ids from the index alone, intersected here.

Each word asked for is one bounded walk of an index that holds the ids of its entries, newest first;
no document is read. The lists are intersected, and only what is left is fetched and ranked. A
list longer than the bound is known down to a point in time only, its horizon; the search is then
answered stretch by stretch, from new to old.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from message_service.catalogue.queries.search import ENTRIES, PREFIX_IDS, TERM_IDS, TERMS, Ids
from message_service.database.scope import Scope
from message_service.search.filters import Condition, Row
from message_service.search.query import Clause, Kind, ParsedQuery

MAX_LIST = 10_000
"""Ids read of one word at a time."""

Id = Any


@dataclass(frozen=True, slots=True)
class Where:
    """Where a search looks.

    Attributes:
        field: The field whose index is walked: `conversation_id`, `user_id` or "" (the tenant).
        scope: Equalities every entry must meet.
    """

    field: str
    scope: Mapping[str, str]

    @property
    def keyed(self) -> Mapping[str, Any]:
        """The equality the index is entered by."""
        return {self.field: self.scope[self.field]} if self.field else {}


@dataclass(frozen=True, slots=True)
class Lookup:
    """One list of ids.

    Attributes:
        ids: Newest first.
        capped: Whether the list goes on.
        condition: The same demand as a condition on an entry.
    """

    ids: list[Id]
    capped: bool
    condition: Condition


@dataclass(frozen=True, slots=True)
class Candidates:
    """Entries that may match.

    Attributes:
        ids: Their ids, newest first.
        conditions: What fetching must check, because a list was too long to intersect.
        horizon: Nothing older than this id was looked at; None when everything was.
        bounded: Whether something within was left out (a prefix with too many words).
    """

    ids: list[Id]
    conditions: tuple[Condition, ...]
    horizon: Id | None
    bounded: bool


async def look_up(
    scope: Scope, where: Where, clauses: Sequence[Clause], ids: Ids
) -> list[list[Lookup]]:
    """Return the lists of each clause.

    Args:
        scope: The tenant.
        where: Where to look.
        clauses: What must be found.
        ids: The stretch of ids to look at.
    """
    wanted = [_demands(clause) for clause in clauses]
    flat = [demand for demands in wanted for demand in demands]
    found = iter(await asyncio.gather(*(_list(scope, where, demand, ids) for demand in flat)))
    return [[next(found) for _ in demands] for demands in wanted]


def intersect(lists: Sequence[Lookup]) -> Candidates:
    """Return what is in every list."""
    whole = [one for one in lists if not one.capped]
    capped = [one for one in lists if one.capped]
    if whole:
        ids = _common(whole)
        return Candidates(ids, tuple(one.condition for one in capped), None, bounded=False)
    dated = [one for one in capped if one.ids and not _is_prefix(one)]
    if not dated:
        # Only prefixes, each of more words than were read: what was read is what there is to show.
        return Candidates(_common(capped), (), None, bounded=True)
    horizon = max(one.ids[-1] for one in dated)
    ids = [candidate for candidate in _common(dated) if candidate >= horizon]
    conditions = tuple(one.condition for one in capped if _is_prefix(one))
    return Candidates(ids, conditions, horizon, bounded=False)


def unite(lists: Sequence[Lookup], rarity: Sequence[float], limit: int) -> Candidates:
    """Return what is in any list, that of the rarest and most lists first, up to `limit`."""
    weights: dict[Id, float] = {}
    for one, weight in zip(lists, rarity, strict=True):
        for candidate in one.ids:
            weights[candidate] = weights.get(candidate, 0.0) + weight
    ranked = sorted(weights, key=lambda candidate: (weights[candidate], candidate), reverse=True)
    bounded = len(ranked) > limit or any(one.capped for one in lists)
    return Candidates(ranked[:limit], (), None, bounded=bounded)


async def fetch(
    scope: Scope, where: Where, ids: Sequence[Id], conditions: Sequence[Condition]
) -> list[Row]:
    """Return the entries with these ids that meet the conditions."""
    if not ids:
        return []
    return await scope.find(ENTRIES, ids=ids, scope=where.scope, conditions=conditions)


def excluding(parsed: ParsedQuery) -> list[Condition]:
    """Return conditions that keep out what is excluded; phrases are checked on the text later."""
    conditions: list[Condition] = []
    for clause in parsed.excluded:
        if clause.kind is Kind.PREFIX:
            [demand] = _demands(clause)
            conditions.append({"$nor": [demand]})
        elif clause.kind is not Kind.PHRASE:
            forms = [form for lookup in clause.lookups for form in lookup]
            conditions.append({TERMS: {"$nin": forms}})
    return conditions


def _demands(clause: Clause) -> list[Condition]:
    if clause.prefix is not None:
        end = clause.prefix + "\U0010ffff"
        return [{TERMS: {"$elemMatch": {"$gte": clause.prefix, "$lt": end}}}]
    return [{TERMS: {"$in": list(forms)}} for forms in clause.lookups]


def _is_prefix(one: Lookup) -> bool:
    return "$elemMatch" in one.condition[TERMS]


async def _list(scope: Scope, where: Where, demand: Condition, ids: Ids) -> Lookup:
    bounds = demand[TERMS]
    if "$elemMatch" in bounds:
        rows = await scope.find(
            PREFIX_IDS[where.field],
            limit=MAX_LIST + 1,
            prefix=bounds["$elemMatch"]["$gte"],
            **where.keyed,
        )
        # In the order of words, and once per word: sorted here, and cut to the stretch.
        distinct = {row["_id"] for row in rows}
        found = sorted((one for one in distinct if _within(one, ids)), reverse=True)
        return Lookup(found, len(rows) > MAX_LIST, demand)
    rows = await scope.find(
        TERM_IDS[where.field],
        limit=MAX_LIST + 1,
        forms=bounds["$in"],
        ids=ids,
        **where.keyed,
    )
    found = list(dict.fromkeys(row["_id"] for row in rows))
    return Lookup(found[:MAX_LIST], len(rows) > MAX_LIST, demand)


def _within(one: Id, ids: Ids) -> bool:
    return (ids[0] is None or one >= ids[0]) and (ids[1] is None or one < ids[1])


def _common(lists: Sequence[Lookup]) -> list[Id]:
    """Return what all lists hold, newest first."""
    shortest, *others = sorted(lists, key=lambda one: len(one.ids))
    sets = [set(one.ids) for one in others]
    return [candidate for candidate in shortest.ids if all(candidate in other for other in sets)]
