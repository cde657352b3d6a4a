"""One meaning for the usage blocks of all providers.

Providers differ in whether cached tokens are inside the prompt's count or beside it, and reasoning
inside the reply's count or beside it. Whoever adds them up alike bills tokens twice. Each shape
(`usage.shapes`) therefore gives classes that share no token, and checks that they add up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from message_service import errors
from message_service.arguments import check_mapping
from message_service.catalogue.discovery import declared_in
from message_service.documents.token_usage import UsageState
from message_service.usage import shapes
from message_service.usage.blocks import Block
from message_service.usage.classes import UNKNOWN, TokenCounts
from message_service.usage.shape import Shape
from message_service.usage.tiers import tier_of

SHAPES = tuple(sorted(declared_in(shapes, Shape), key=lambda shape: shape.order))
"""Every known shape, those with the clearest marks first."""


def normalise(provider: str | None, block: Mapping[str, Any] | None) -> TokenCounts:
    """Return a provider's usage block in our classes.

    Args:
        provider: The provider's canonical name (`tiers.provider_of`), if known. The shape is told
            by the block, because many providers answer in the shape of another.
        block: The block as it came; None or an empty one means that nothing is known.

    Raises:
        InvalidInput: A count is negative, fractional or absurd, or no shape is recognised.
    """
    if not block:
        return UNKNOWN
    read = Block(check_mapping("usage", block), provider)
    counts = _shape(read).read(read)
    if counts is None:
        return UNKNOWN
    state = UsageState.KNOWN
    if read.problems:
        state = UsageState.INCONSISTENT
    elif read.flag("estimated"):
        state = UsageState.ESTIMATED
    return TokenCounts(
        counts={kind: count for kind, count in counts.items() if count},
        state=state,
        problems=tuple(read.problems),
        tier=tier_of(read.text("service_tier") or read.text("serviceTier")),
    )


def _shape(block: Block) -> Shape:
    for shape in SHAPES:
        if shape.recognises(block):
            return shape
    raise errors.InvalidInput(
        "usage",
        "is not in a shape we know",
        "Give the provider's usage block as it came, or counts by class such as "
        '{"input": 12, "output": 3}',
    )
