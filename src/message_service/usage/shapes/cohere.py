"""Cohere's usage block: what is billed, and what was read and written (docs.cohere.com, "Chat")."""

from __future__ import annotations

from message_service.documents.token_usage import TokenClass as C
from message_service.usage.blocks import Block
from message_service.usage.shape import Counts, Shape


def _read(block: Block) -> Counts | None:
    billed = block.inside("billed_units")
    if not billed.has("input_tokens", "output_tokens"):
        billed = block.inside("tokens")
    given, output = billed.count("input_tokens"), billed.count("output_tokens")
    if given is None and output is None:
        return None
    given = given or 0
    cached = block.within("cached tokens", block.count("cached_tokens") or 0, "the input", given)
    return {C.INPUT: given - cached, C.CACHED_INPUT: cached, C.OUTPUT: output or 0}


COHERE = Shape(
    name="cohere",
    recognises=lambda block: block.has("billed_units", "tokens"),
    read=_read,
)
