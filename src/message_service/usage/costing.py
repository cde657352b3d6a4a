"""The cost of a usage: its classes times the prices in force.

Everything is `Decimal` and exact: nothing is rounded before it is displayed.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from message_service.documents.token_usage import TokenClass
from message_service.usage.classes import PROMPT, UNIT, TokenCounts
from message_service.usage.prices import ModelPrices, PriceRow

_EXPONENT = {1_000: -3, 1_000_000: -6}
_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class Line:
    """One class of a message's cost.

    Attributes:
        token_class: The class.
        count: Its tokens.
        row: The price in force.
        cost: Count times price.
    """

    token_class: TokenClass
    count: int
    row: PriceRow
    cost: Decimal


@dataclass(frozen=True, slots=True)
class Cost:
    """The exact cost of a usage.

    Attributes:
        prompt: Cost of the prompt.
        completion: Cost of the reply.
        currency: ISO 4217 code of both.
        lines: The arithmetic, a line for each class.
    """

    prompt: Decimal
    completion: Decimal
    currency: str
    lines: tuple[Line, ...] = ()

    @property
    def total(self) -> Decimal:
        """Prompt and reply."""
        return self.prompt + self.completion


def cost_of(usage: TokenCounts, prices: ModelPrices | None) -> Cost | None:
    """Return what a usage costs, or None when one of its classes has no price.

    Args:
        usage: Tokens by class.
        prices: The prices in force; None when there are none.
    """
    if prices is None:
        return None
    prompt_tokens = usage.prompt
    prompt = completion = _NOTHING
    lines: list[Line] = []
    for kind, count in usage.counts.items():
        row = prices.row(kind, prompt_tokens)
        if row is None:
            return None
        # At most 10 digits times 18: exact within the 28 digits of the default context.
        cost = (row.unit_price * count).scaleb(_EXPONENT[UNIT[kind]])
        if kind in PROMPT:
            prompt += cost
        else:
            completion += cost
        lines.append(Line(kind, count, row, cost))
    priced = lines[0].row if lines else next(iter(prices.by_class.values()))[0]
    return Cost(prompt, completion, priced.currency, tuple(lines))
