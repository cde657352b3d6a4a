"""The classes of tokens, and a usage in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from message_service.documents.token_usage import TokenClass, UsageState

C = TokenClass

PROMPT = frozenset({
    C.INPUT,
    C.CACHED_INPUT,
    C.CACHE_WRITE_5M,
    C.CACHE_WRITE_1H,
    C.AUDIO_INPUT,
    C.CACHED_AUDIO_INPUT,
    C.IMAGE_INPUT,
})  # fmt: skip
"""The classes of the prompt; all others belong to the completion."""

NO_TOKENS = frozenset({C.WEB_SEARCH})
"""Classes that are billed beside the tokens and are in no total of tokens."""

UNIT = {kind: 1_000 if kind in NO_TOKENS else 1_000_000 for kind in TokenClass}
"""How many of a class its unit price is for."""

INSTEAD: Mapping[TokenClass, TokenClass] = {
    C.CACHED_INPUT: C.INPUT,
    C.CACHE_WRITE_5M: C.INPUT,
    C.CACHE_WRITE_1H: C.CACHE_WRITE_5M,
    C.AUDIO_INPUT: C.INPUT,
    C.CACHED_AUDIO_INPUT: C.CACHED_INPUT,
    C.IMAGE_INPUT: C.INPUT,
    C.REASONING: C.OUTPUT,
    C.AUDIO_OUTPUT: C.OUTPUT,
    C.IMAGE_OUTPUT: C.OUTPUT,
}
"""The class whose price holds for a class that a provider gives no price of its own."""


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """The tokens of one call of a model, in classes that share no token.

    Attributes:
        counts: Tokens by class, without zeros.
        state: What is known of them.
        problems: What is contradictory in the provider's figures.
        tier: The provider's tier of service, if its block names one.
    """

    counts: Mapping[TokenClass, int] = field(default_factory=dict[TokenClass, int])
    state: UsageState = UsageState.KNOWN
    problems: tuple[str, ...] = ()
    tier: str | None = None

    @property
    def prompt(self) -> int:
        """Tokens of the prompt, whatever they are billed at."""
        return sum(count for kind, count in self.counts.items() if kind in PROMPT)

    @property
    def completion(self) -> int:
        """Tokens of the reply, those of its reasoning among them."""
        return sum(
            count
            for kind, count in self.counts.items()
            if kind not in PROMPT and kind not in NO_TOKENS
        )


UNKNOWN = TokenCounts(state=UsageState.UNKNOWN)
"""Nothing was reported. That is not the same as nothing used."""
