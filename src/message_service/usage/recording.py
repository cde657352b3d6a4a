"""What is stored of a usage: the design's fields, and what they were made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from message_service import errors
from message_service.database.decimals import decimal, exact
from message_service.documents.row import Row
from message_service.documents.token_usage import (
    CostState,
    GivenUsage,
    TokenClass,
    UsageState,
)
from message_service.usage.classes import UNKNOWN, TokenCounts
from message_service.usage.costing import Cost, cost_of
from message_service.usage.normaliser import normalise
from message_service.usage.provider_prices import ProviderPrices
from message_service.usage.tiers import STANDARD, provider_of, tier_of

DEFAULT_CURRENCY = "USD"
"""The currency of a cost that a caller gives without one."""

COSTS = ("prompt_cost", "completion_cost", "total_cost")
"""The fields of a cost, by `cost_state` priced or given."""

ONE_SIDED = "the tokens of prompt and completion are not both told"
"""The problem of figures that cannot be priced, because a part of them is not known."""

_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")


@dataclass(frozen=True, slots=True)
class Said:
    """What a caller says of a message's usage.

    Attributes:
        block: The provider's usage block; None when there is none, empty when it reported nothing.
        given: The caller's own figures.
        provider: The provider, as the caller names it.
        model: The model.
    """

    block: Mapping[str, Any] | None
    given: GivenUsage | None
    provider: str | None
    model: str | None

    @property
    def priced_by(self) -> str | None:
        """The provider whose prices are needed; None when no price is needed or can be had."""
        if self.block is None and self.given is None:
            return None
        return provider_of(self.provider) if self.model else None


def token_usage_of(said: Said, created_at: datetime, prices: ProviderPrices | None) -> Row:
    """Return the `token_usage` of a message.

    Args:
        said: What the caller says; its block or its own figures must be there.
        created_at: The moment of the message, whose prices count.
        prices: What the provider takes; None when provider or model is not known.

    Raises:
        InvalidInput: The figures are wrong, contradict one another, or are given twice.
    """
    given = GivenUsage() if said.given is None else checked_totals(said.given)
    usage = _of_caller(given) if said.block is None else _of_block(said, given)
    fields: Row = {"usage_state": usage.state.value}
    if usage.problems:
        fields["usage_problems"] = list(usage.problems)
    if said.block is None:
        told = {name: getattr(given, name) for name in _COUNTS}
        fields |= {name: count for name, count in told.items() if count is not None}
    elif usage.state is not UsageState.UNKNOWN:
        prompt, completion = usage.prompt, usage.completion
        fields["prompt_tokens"] = prompt
        fields["completion_tokens"] = completion
        fields["total_tokens"] = prompt + completion
    if usage.counts:
        fields["classes"] = {kind.value: count for kind, count in usage.counts.items()}
    if said.block:
        fields["provider_usage"] = dict(said.block)
    tier = tier_of(given.billing_tier) or usage.tier or STANDARD
    fields["billing_tier"] = tier
    if any(getattr(given, name) is not None for name in COSTS):
        for name in COSTS:
            if (amount := getattr(given, name)) is not None:
                fields[name] = exact(amount)
        fields["cost_currency"] = given.cost_currency or DEFAULT_CURRENCY
        fields["cost_state"] = CostState.GIVEN.value
    else:
        fields |= cost_fields(usage, said.model, tier, created_at, prices)
    fields["revision"] = 1
    return fields


def cost_fields(
    usage: TokenCounts,
    model: str | None,
    tier: str,
    created_at: datetime,
    prices: ProviderPrices | None,
) -> Row:
    """Return the stored cost of a usage; nothing for one that is not known.

    Args:
        usage: Tokens by class.
        model: The model.
        tier: The tier of service.
        created_at: The moment whose prices count.
        prices: What the provider takes; None when it is not known.
    """
    if usage.state is UsageState.UNKNOWN:
        return {}
    cost: Cost | None = None
    if prices is not None and model and ONE_SIDED not in usage.problems:
        cost = cost_of(usage, prices.find(model, tier, created_at))
    known = {} if prices is None or prices.known_at is None else {"priced_at": prices.known_at}
    if cost is None:
        return {"cost_state": CostState.UNPRICED.value, **known}
    return {
        "prompt_cost": exact(cost.prompt),
        "completion_cost": exact(cost.completion),
        "total_cost": exact(cost.total),
        "cost_currency": cost.currency,
        "cost_state": CostState.PRICED.value,
        **known,
    }


def stored_usage(fields: Mapping[str, Any]) -> TokenCounts:
    """Return the usage of a stored `token_usage`, of those stored before there were classes too."""
    state = fields.get("usage_state")
    if state is None:
        return _of_caller(GivenUsage(**{name: fields.get(name) for name in _COUNTS}))
    classes: Mapping[str, int] = fields.get("classes", {})
    return TokenCounts(
        counts={TokenClass(name): count for name, count in classes.items()},
        state=UsageState(state),
        problems=tuple(fields.get("usage_problems", ())),
    )


def revised(stored: Mapping[str, Any] | None, fields: Row) -> Row:
    """Return new figures with their revision, and with what was billed first.

    Args:
        stored: The figures so far; None when there were none.
        fields: The new ones, as by `token_usage_of`.
    """
    if not stored:
        return fields
    fields["revision"] = stored.get("revision", 0) + 1
    first = stored.get("first_billed")
    if first is None and stored.get("total_cost") is not None and _differ(stored, fields):
        names = (*COSTS, "cost_currency", "billing_tier", "priced_at")
        first = {name: stored[name] for name in names if stored.get(name) is not None}
    if first is not None:
        fields["first_billed"] = first
    return fields


def replacing(stored: Mapping[str, Any] | None, fields: Row) -> dict[str, Row]:
    """Return the update that puts new figures in the place of the stored ones.

    It leaves `counted` alone, which the counters write without raising the revision: a whole
    `token_usage` would take it back.

    Args:
        stored: The figures so far; the update must be guarded by their revision.
        fields: The new ones.
    """
    gone = {name for name in stored or () if name not in fields and name != "counted"}
    update: dict[str, Row] = {
        "$set": {f"token_usage.{name}": value for name, value in fields.items()}
    }
    if gone:
        update["$unset"] = {f"token_usage.{name}": "" for name in gone}
    return update


def _differ(stored: Mapping[str, Any], fields: Row) -> bool:
    return stored.get("cost_currency") != fields.get("cost_currency") or any(
        decimal(stored.get(name)) != decimal(fields.get(name)) for name in COSTS
    )


def _of_block(said: Said, given: GivenUsage) -> TokenCounts:
    for name in _COUNTS:
        if getattr(given, name) is not None:
            raise errors.InvalidInput(
                f"token_usage.{name}",
                "is given beside the provider's block",
                "Give the counts by usage only",
            )
    return normalise(provider_of(said.provider), said.block)


def _of_caller(given: GivenUsage) -> TokenCounts:
    """Return a caller's own figures: the prompt counts as input, the completion as output."""
    sides = {TokenClass.INPUT: given.prompt_tokens, TokenClass.OUTPUT: given.completion_tokens}
    counts = {kind: count for kind, count in sides.items() if count}
    missing = [kind for kind, count in sides.items() if count is None]
    if not missing:
        return TokenCounts(counts)
    if len(missing) == 2 and given.total_tokens is None:
        return UNKNOWN
    return TokenCounts(counts, UsageState.INCONSISTENT, (ONE_SIDED,))


def checked_totals(usage: GivenUsage) -> GivenUsage:
    """Return a caller's figures with the totals filled in.

    Raises:
        InvalidInput: A total is not the sum of its parts.
    """
    totals = (
        ("total_tokens", usage.prompt_tokens, usage.completion_tokens, usage.total_tokens),
        ("total_cost", usage.prompt_cost, usage.completion_cost, usage.total_cost),
    )
    filled: dict[str, Any] = {}
    for name, first, second, total in totals:
        if first is None or second is None:
            continue
        added = first + second
        if total is None:
            filled[name] = added
        elif total != added:
            raise errors.InvalidInput(
                f"token_usage.{name}",
                f"is {total}, but its parts add up to {added}",
                "Correct it, or leave it out: it is then computed",
            )
    return usage.model_copy(update=filled) if filled else usage
