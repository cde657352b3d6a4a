"""What a message says of its tokens and their price.

Additions to the design's eight fields: the state of the figures, the classes of tokens behind the
totals, the provider's own block, and what was billed first when the price was revised later.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import StringConstraints

from message_service.documents.fields import Count, Embedded, Labels, Moment, Money, Name

CURRENCY = r"[A-Z]{3}"
"""A currency's ISO 4217 code."""

Currency = Annotated[str, StringConstraints(pattern=rf"^{CURRENCY}$")]


class TokenClass(StrEnum):
    """What is billed at a rate of its own. No token is in two classes."""

    INPUT = "input"
    CACHED_INPUT = "cached_input"
    CACHE_WRITE_5M = "cache_write_5m"
    CACHE_WRITE_1H = "cache_write_1h"
    AUDIO_INPUT = "audio_input"
    CACHED_AUDIO_INPUT = "cached_audio_input"
    IMAGE_INPUT = "image_input"
    OUTPUT = "output"
    REASONING = "reasoning"
    AUDIO_OUTPUT = "audio_output"
    IMAGE_OUTPUT = "image_output"
    WEB_SEARCH = "web_search"


class UsageState(StrEnum):
    """What is known of a message's tokens.

    `unknown`: the provider reported none. `inconsistent`: its figures contradict one another.
    `estimated`: counted by somebody else than the provider.
    """

    KNOWN = "known"
    UNKNOWN = "unknown"
    INCONSISTENT = "inconsistent"
    ESTIMATED = "estimated"


class CostState(StrEnum):
    """Where a message's cost comes from.

    `priced`: from the price book. `given`: from the caller, and never recomputed. `unpriced`: the
    tokens are known, but no price is.
    """

    PRICED = "priced"
    GIVEN = "given"
    UNPRICED = "unpriced"


class TokenClasses(Embedded):
    """Tokens by class (`TokenClass`), as far as there are any; web searches count requests."""

    input: Count | None = None
    cached_input: Count | None = None
    cache_write_5m: Count | None = None
    cache_write_1h: Count | None = None
    audio_input: Count | None = None
    cached_audio_input: Count | None = None
    image_input: Count | None = None
    output: Count | None = None
    reasoning: Count | None = None
    audio_output: Count | None = None
    image_output: Count | None = None
    web_search: Count | None = None


class GivenUsage(Embedded):
    """Token counts and their exact price: the fields of the design, which a caller may give."""

    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    total_tokens: Count | None = None
    prompt_cost: Money | None = None
    completion_cost: Money | None = None
    total_cost: Money | None = None
    cost_currency: Currency | None = None
    billing_tier: Name | None = None


class Billed(Embedded):
    """A cost as it was before it was revised; absent figures were not known."""

    prompt_cost: Money | None = None
    completion_cost: Money | None = None
    total_cost: Money | None = None
    cost_currency: Currency | None = None
    billing_tier: Name | None = None
    priced_at: Moment | None = None


class CountedUsage(Embedded):
    """What the counters of budgets have of a message."""

    tokens: Count
    cost: Money | None = None
    currency: Currency | None = None
    state: Name


class TokenUsage(GivenUsage):
    """Token counts and their exact price, as stored.

    Attributes:
        usage_state: What is known of the tokens.
        usage_problems: What is contradictory in the provider's figures.
        classes: The tokens by class; they add up to `total_tokens`, web searches apart.
        provider_usage: The provider's block, as it came.
        cost_state: Where the cost comes from.
        priced_at: The moment whose knowledge of prices the cost rests on.
        first_billed: The first cost, if it was revised.
        revision: Counts the changes of the figures, from 1; guards them like a message's revision.
        counted: What the counters of budgets have of the message; absent before they do.
    """

    usage_state: UsageState | None = None
    usage_problems: Labels | None = None
    classes: TokenClasses | None = None
    provider_usage: dict[str, Any] | None = None
    cost_state: CostState | None = None
    priced_at: Moment | None = None
    first_billed: Billed | None = None
    revision: Count | None = None
    counted: CountedUsage | None = None
