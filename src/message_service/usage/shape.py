"""The shape of a provider's usage block."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from message_service.documents.token_usage import TokenClass
from message_service.usage.blocks import Block

Counts = Mapping[TokenClass, int]


@dataclass(frozen=True, slots=True)
class Shape:
    """How one kind of usage block is read.

    Attributes:
        name: Its name.
        recognises: Whether a block looks like it.
        read: Takes the counts from a block; None when it says nothing of tokens. What does not
            add up is noted in `Block.problems`.
        order: Shapes of lower order are tried first.
    """

    name: str
    recognises: Callable[[Block], bool]
    read: Callable[[Block], Counts | None]
    order: int = 10
