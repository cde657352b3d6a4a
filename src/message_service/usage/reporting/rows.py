"""The rows of a usage report, put together from what the server added up."""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from message_service.database.decimals import plus
from message_service.documents.row import Row
from message_service.documents.token_usage import TokenClass, UsageState
from message_service.usage.reporting.pipeline import COSTS, COUNTS

MESSAGES = "messages"
TOKENS = "total_tokens"

MESSAGE_COUNTS = ("messages", "with_usage", "unknown", "inconsistent", "estimated", "unpriced")
"""The attributes of a row that count messages."""

TOKEN_COUNTS = COUNTS
"""Those that count tokens."""


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
    return UsageRow(first.key, **counts, costs=dict(sorted(costs.items())), classes=classes)


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


async def all_rows(
    batches: AsyncIterator[Sequence[Row]], names: Sequence[str], *, detailed: bool
) -> AsyncIterator[UsageRow]:
    """Yield the rows of a report as they come, ordered by what tells them apart.

    Args:
        batches: The server's rows; those of one group follow one another.
        names: The dimensions.
        detailed: Whether they are detailed.
    """
    group: UsageRow | None = None
    async for batch in batches:
        for part in batch:
            row = _row(part, names, detailed=detailed)
            if group is None:
                group = row
            elif group.key == row.key:
                group = added(group, row)
            else:
                yield group
                group = row
    if group is not None:
        yield group


async def top_rows(
    rows: AsyncIterator[UsageRow], top: int, order_by: str
) -> AsyncIterator[UsageRow]:
    """Yield the rows with the most of something; of equal ones, those that came first."""
    kept: list[tuple[Decimal, int, UsageRow]] = []
    place = 0
    async for row in rows:
        place -= 1  # unique, so that rows are never compared
        item = (_size(row, order_by), place, row)
        if len(kept) < top:
            heapq.heappush(kept, item)
        elif item > kept[0]:
            heapq.heapreplace(kept, item)
    for _, _, row in sorted(kept, reverse=True):
        yield row


def _size(row: UsageRow, order_by: str) -> Decimal:
    if order_by in (MESSAGES, TOKENS):
        return Decimal(getattr(row, order_by))
    spent = row.costs.get(order_by)
    return Decimal(-1) if spent is None else spent.total


def _row(part: Row, names: Sequence[str], *, detailed: bool) -> UsageRow:
    """Return a row of what the server added up: of one state of usage and one currency."""
    found: Row = part["_id"]
    state, currency, messages = found["usage_state"], found["currency"], part[MESSAGES]
    key: dict[str, Any] = {name: found[name] for name in names}
    for name, value in key.items():
        if isinstance(value, datetime):
            key[name] = value.date()
    costs: dict[str, Spent] = {}
    if currency is not None:
        amounts = [Decimal(part[name]) for name in (COSTS if detailed else COSTS[:1])]
        costs[currency] = Spent(*amounts)
    return UsageRow(
        key,
        messages,
        messages if state is not None else 0,
        messages if state == UsageState.UNKNOWN else 0,
        messages if state == UsageState.INCONSISTENT else 0,
        messages if state == UsageState.ESTIMATED else 0,
        # Tokens that are known and have a price have it in some currency.
        messages if currency is None and state not in (None, UsageState.UNKNOWN) else 0,
        part["prompt_tokens"],
        part["completion_tokens"],
        part["total_tokens"],
        costs,
        {kind: part[kind.value] for kind in TokenClass if part[kind.value]} if detailed else None,
    )
