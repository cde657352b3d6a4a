"""Anthropic's usage block.

Tokens read from and written to the cache are beside `input_tokens`; thinking is inside
`output_tokens` (docs.anthropic.com, "Prompt caching", section on tracking cache performance, and
"Extended thinking").
"""

from __future__ import annotations

from message_service.documents.token_usage import TokenClass as C
from message_service.usage.blocks import Block
from message_service.usage.shape import Counts, Shape

_MARKS = (
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "cache_creation",
    "server_tool_use",
)


def _read(block: Block) -> Counts | None:
    given, output = block.count("input_tokens"), block.count("output_tokens")
    if given is None and output is None:
        return None
    for name, value in (("input_tokens", given), ("output_tokens", output)):
        if value is None:
            block.problems.append(f"{name} is missing")
    output = output or 0
    written = block.count("cache_creation_input_tokens")
    by_age = block.inside("cache_creation")
    short = by_age.count("ephemeral_5m_input_tokens")
    long = by_age.count("ephemeral_1h_input_tokens")
    if short is None and long is None:
        short = written
    elif written is not None and written != (short or 0) + (long or 0):
        block.differ("cache_creation_input_tokens", written, (short or 0) + (long or 0))
    thinking = block.inside("output_tokens_details").count("thinking_tokens") or 0
    thinking = block.within("thinking tokens", thinking, "output_tokens", output)
    return {
        C.INPUT: given or 0,
        C.CACHED_INPUT: block.count("cache_read_input_tokens") or 0,
        C.CACHE_WRITE_5M: short or 0,
        C.CACHE_WRITE_1H: long or 0,
        C.OUTPUT: output - thinking,
        C.REASONING: thinking,
        C.WEB_SEARCH: block.inside("server_tool_use").count("web_search_requests") or 0,
    }


ANTHROPIC = Shape(
    name="anthropic",
    recognises=lambda block: block.has(*_MARKS),
    read=_read,
)
