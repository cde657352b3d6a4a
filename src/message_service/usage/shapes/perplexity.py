"""Perplexity's usage block of its research models.

Reasoning and citations are beside the completion and in no total; citations are what was read from
the web, at the price of the prompt (docs.perplexity.ai, "Pricing", deep research).
"""

from __future__ import annotations

from message_service.documents.token_usage import TokenClass as C
from message_service.usage.blocks import Block
from message_service.usage.shape import Counts, Shape


def _read(block: Block) -> Counts | None:
    prompt, completion = block.count("prompt_tokens"), block.count("completion_tokens")
    if prompt is None and completion is None:
        return None
    prompt, completion = prompt or 0, completion or 0
    block.differ("total_tokens", block.count("total_tokens"), prompt + completion)
    return {
        C.INPUT: prompt + (block.count("citation_tokens") or 0),
        C.OUTPUT: completion,
        C.REASONING: block.count("reasoning_tokens") or 0,
        C.WEB_SEARCH: block.count("num_search_queries") or 0,
    }


PERPLEXITY = Shape(
    name="perplexity",
    recognises=lambda block: block.has("num_search_queries", "citation_tokens"),
    read=_read,
)
