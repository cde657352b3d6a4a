"""The arithmetic behind the cost of a message, line by line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from message_service.database.decimals import decimal
from message_service.documents.row import Row
from message_service.documents.token_usage import CostState, UsageState
from message_service.usage.classes import UNIT
from message_service.usage.costing import Cost, Line, cost_of
from message_service.usage.money import shown
from message_service.usage.provider_prices import ProviderPrices
from message_service.usage.recording import stored_usage
from message_service.usage.tiers import STANDARD


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a message costs what it costs.

    Attributes:
        provider: The provider, as the message names it.
        model: The model.
        tier: The tier of service.
        created_at: The moment whose prices count.
        priced_at: Up to when prices were known for it.
        usage_state: What is known of the tokens; None when the message has no usage at all.
        problems: What is contradictory in the provider's figures.
        cost_state: Where the cost comes from; None when the tokens are not known.
        prompt: Stored cost of the prompt.
        completion: Stored cost of the reply.
        total: Stored cost; None when there is none.
        currency: Its currency.
        lines: The arithmetic, if the price book priced it.
        agrees: Whether the arithmetic gives the stored cost.
        first_billed: The cost that was stored first, if it was revised.
    """

    provider: str | None
    model: str | None
    tier: str
    created_at: datetime
    priced_at: datetime | None
    usage_state: UsageState | None
    problems: tuple[str, ...]
    cost_state: CostState | None
    prompt: Decimal | None
    completion: Decimal | None
    total: Decimal | None
    currency: str | None
    lines: tuple[Line, ...]
    agrees: bool
    first_billed: Decimal | None

    def text(self) -> list[str]:
        """Return the explanation as lines of text."""
        told = [f"{self.provider or '?'} / {self.model or '?'}, tier {self.tier}"]
        told.append(f"said at {self.created_at:%Y-%m-%d %H:%M:%S} UTC")
        if self.priced_at is not None:
            told.append(f"prices as known on {self.priced_at:%Y-%m-%d %H:%M:%S} UTC")
        told.append(f"tokens: {self.usage_state.value if self.usage_state else 'none recorded'}")
        told += [f"  {problem}" for problem in self.problems]
        told += [_line(line) for line in self.lines]
        told.append(self._sum())
        if self.first_billed is not None:
            told.append(f"billed first: {shown(self.first_billed)} {self.currency or ''}".rstrip())
        return told

    def _sum(self) -> str:
        match self.cost_state:
            case None:
                return "cost: not known, because the tokens are not"
            case CostState.UNPRICED:
                return "cost: not known, because no price is (`prices missing` lists such models)"
            case CostState.GIVEN:
                return f"cost: {shown(self.total)} {self.currency}, as the caller gave it"
            case CostState.PRICED:
                agrees = "" if self.agrees else "; the arithmetic gives another cost"
                return (
                    f"cost: {shown(self.prompt)} for the prompt + {shown(self.completion)} for the "
                    f"reply = {shown(self.total)} {self.currency}{agrees}"
                )


def _line(line: Line) -> str:
    row = line.row
    unit = f"{UNIT[line.token_class]:,}"
    told = (
        f"  {line.token_class.value}: {line.count:,} x {shown(row.unit_price)} / {unit} = "
        f"{shown(line.cost)}"
    )
    notes = [f"price {row.price_id}", row.source]
    if row.token_class is not line.token_class:
        notes.insert(0, f"no price of its own, that of {row.token_class.value}")
    if row.above:
        notes.append(f"for prompts above {row.above:,} tokens")
    if row.hours:
        notes.append(f"from {row.hours} UTC")
    if row.valid_from:
        notes.append(f"since {row.valid_from:%Y-%m-%d}")
    return f"{told}  ({', '.join(notes)})"


def explain(message: Mapping[str, Any], prices: ProviderPrices | None) -> Explanation:
    """Explain the cost of a stored message.

    Args:
        message: The message, whole.
        prices: What its provider takes, the rows known now; None when it names none.
    """
    fields: Row = message.get("token_usage") or {}
    llm: Row = message.get("llm_metadata") or {}
    created_at: datetime = message["timestamps"]["created_at"]
    tier = fields.get("billing_tier") or STANDARD
    state = None if "cost_state" not in fields else CostState(fields["cost_state"])
    if state is None and fields.get("total_cost") is not None:
        state = CostState.GIVEN  # stored before there were states
    cost: Cost | None = None
    if state is CostState.PRICED and prices is not None:
        known = prices.as_known_at(llm["model"], tier, created_at, fields.get("priced_at"))
        cost = cost_of(stored_usage(fields), known)
    total = _amount(fields, "total_cost")
    first: Row = fields.get("first_billed") or {}
    return Explanation(
        provider=llm.get("provider"),
        model=llm.get("model"),
        tier=tier,
        created_at=created_at,
        priced_at=fields.get("priced_at"),
        usage_state=UsageState(fields["usage_state"]) if "usage_state" in fields else None,
        problems=tuple(fields.get("usage_problems", ())),
        cost_state=state,
        prompt=_amount(fields, "prompt_cost"),
        completion=_amount(fields, "completion_cost"),
        total=total,
        currency=fields.get("cost_currency"),
        lines=() if cost is None else cost.lines,
        agrees=state is not CostState.PRICED or (cost is not None and cost.total == total),
        first_billed=_amount(first, "total_cost"),
    )


def _amount(fields: Mapping[str, Any], name: str) -> Decimal | None:
    stored = fields.get(name)
    return None if stored is None else decimal(stored)
