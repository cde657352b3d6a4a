"""The rows of a usage report, put together from what the server added up."""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from message_service.database.decimals import decimal, plus
from message_service.documents.row import Row
from message_service.documents.token_usage import TokenClass, UsageState
from message_service.usage.report_pipeline import COSTS, COUNTS

MESSAGES = "messages"
TOKENS = "total_tokens"

MESSAGE_COUNTS = ("messages", "with_usage", "unknown", "inconsistent", "estimated", "unpriced")
"""The attributes of a row that count messages."""

TOKEN_COUNTS = COUNTS
"""Those that count tokens."""

_SUMMED = (MESSAGES, *COUNTS)
_FLAGGED = (UsageState.UNKNOWN, UsageState.INCONSISTENT, UsageState.ESTIMATED)
_UNPRICED = "unpriced"


@dataclass(frozen=True, slots=True)
class Spent:
    """Costs in one currency.

    Attributes:
        total: All of it.
        prompt: For the prompts; None in a report without details. Costs that callers gave as a
            total only are not in it.
        completion: For the replies, likewise.
    """

    total: Decimal
    prompt: Decimal | None = None
    completion: Decimal | None = None


@dataclass(frozen=True, slots=True)
class UsageRow:
    """A row of a usage report: what the messages of a group used and cost.

    Attributes:
        key: The group: a value for each dimension of the report, None for messages without one.
            Days, weeks and months are the `date` they begin at, weeks on Monday.
        messages: The messages, deleted ones too, since they were paid.
        with_usage: Those that have a usage; messages of users mostly have none.
        unknown: Those with usage whose tokens the provider did not report. They are in no sum of
            tokens.
        inconsistent: Those whose figures contradict one another; they are in the sums.
        estimated: Those that were counted by somebody else than the provider; likewise.
        unpriced: Those with tokens but no price; they are in no cost.
        prompt_tokens: Tokens of the prompts.
        completion_tokens: Tokens of the replies.
        total_tokens: All tokens.
        costs: The costs, by currency.
        classes: The tokens by class, without zeros; None in a report without details.
    """

    key: Mapping[str, str | date | None]
    messages: int
    with_usage: int
    unknown: int
    inconsistent: int
    estimated: int
    unpriced: int
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    costs: Mapping[str, Spent]
    classes: Mapping[TokenClass, int] | None = None


def added(first: UsageRow, second: UsageRow) -> UsageRow:
    """Return a row of two groups together, under the key of the first."""
    counts = {
        name: getattr(first, name) + getattr(second, name)
        for name in (*MESSAGE_COUNTS, *TOKEN_COUNTS)
    }
    costs = dict(first.costs)
    for currency, spent in second.costs.items():
        costs[currency] = _together(costs[currency], spent) if currency in costs else spent
    classes = None
    if first.classes is not None and second.classes is not None:
        classes = {
            kind: first.classes.get(kind, 0) + second.classes.get(kind, 0)
            for kind in TokenClass
            if kind in first.classes or kind in second.classes
        }
    return UsageRow(first.key, **counts, costs=costs, classes=classes)


def _together(first: Spent, second: Spent) -> Spent:
    return Spent(
        plus(first.total, second.total),
        None
        if first.prompt is None or second.prompt is None
        else plus(first.prompt, second.prompt),
        None
        if first.completion is None or second.completion is None
        else plus(first.completion, second.completion),
    )


class _Group:
    """The sums of one group, while the server's rows of it come."""

    __slots__ = ("_classes", "_costs", "_counts", "_states", "key")

    def __init__(self, key: tuple[Any, ...], *, detailed: bool) -> None:
        self.key = key
        self._states: dict[str, int] = {}
        self._counts = [0] * len(_SUMMED)
        self._costs: dict[str, list[Decimal]] = {}
        self._classes = dict.fromkeys(TokenClass, 0) if detailed else None

    def add(self, row: Row) -> None:
        counts, found, states = self._counts, row["_id"], self._states
        for place, name in enumerate(_SUMMED):
            counts[place] += row[name]
        state, currency = found["usage_state"], found["currency"]
        if state is not None:
            states[state] = states.get(state, 0) + row[MESSAGES]
            # Tokens that are known and have a price have it in some currency.
            if currency is None and state != UsageState.UNKNOWN:
                states[_UNPRICED] = states.get(_UNPRICED, 0) + row[MESSAGES]
        if currency is not None:
            costs = [decimal(row.get(name)) for name in COSTS]
            known = self._costs.get(currency)
            self._costs[currency] = costs if known is None else [*map(plus, known, costs)]
        if self._classes is not None:
            for kind in TokenClass:
                self._classes[kind] += row[kind.value]

    def size(self, order_by: str) -> Decimal:
        """Return how much it is of what rows are ordered by."""
        if order_by in _SUMMED:
            return Decimal(self._counts[_SUMMED.index(order_by)])
        costs = self._costs.get(order_by)
        return Decimal(-1) if costs is None else costs[0]

    def row(self, names: tuple[str, ...]) -> UsageRow:
        messages, prompt, completion, total = self._counts
        values = (v.date() if isinstance(v, datetime) else v for v in self.key)
        several = self._states
        unknown, inconsistent, estimated = (several.get(state, 0) for state in _FLAGGED)
        detailed = self._classes is not None
        return UsageRow(
            key=dict(zip(names, values, strict=True)),
            messages=messages,
            with_usage=sum(several.get(state, 0) for state in UsageState),
            unknown=unknown,
            inconsistent=inconsistent,
            estimated=estimated,
            unpriced=several.get(_UNPRICED, 0),
            prompt_tokens=prompt,
            completion_tokens=completion,
            total_tokens=total,
            costs={
                currency: Spent(*amounts) if detailed else Spent(amounts[0])
                for currency, amounts in sorted(self._costs.items())
            },
            classes=None
            if self._classes is None
            else {kind: count for kind, count in self._classes.items() if count},
        )


async def _groups(
    rows: AsyncIterator[Row], names: tuple[str, ...], *, detailed: bool
) -> AsyncIterator[_Group]:
    """Yield groups from rows in which those of each follow one another."""
    group: _Group | None = None
    async for row in rows:
        key = tuple(row["_id"][name] for name in names)
        if group is None or group.key != key:
            if group is not None:
                yield group
            group = _Group(key, detailed=detailed)
        group.add(row)
    if group is not None:
        yield group


async def all_rows(
    rows: AsyncIterator[Row], names: tuple[str, ...], *, detailed: bool
) -> AsyncIterator[UsageRow]:
    """Yield the rows of a report as they come, ordered by what tells them apart."""
    async for group in _groups(rows, names, detailed=detailed):
        yield group.row(names)


async def top_rows(
    rows: AsyncIterator[Row], names: tuple[str, ...], top: int, order_by: str, *, detailed: bool
) -> AsyncIterator[UsageRow]:
    """Yield the rows with the most of something; of equal ones, those that came first."""
    kept: list[tuple[Decimal, int, _Group]] = []
    place = 0
    async for group in _groups(rows, names, detailed=detailed):
        place -= 1  # unique, so that groups are never compared
        item = (group.size(order_by), place, group)
        if len(kept) < top:
            heapq.heappush(kept, item)
        elif item > kept[0]:
            heapq.heapreplace(kept, item)
    for _, _, group in sorted(kept, reverse=True):
        yield group.row(names)
