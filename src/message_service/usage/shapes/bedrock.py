"""The block of Bedrock's Converse API: cached tokens, read and written, are beside the input.

docs.aws.amazon.com/bedrock, `TokenUsage`.
"""

from __future__ import annotations

from message_service.documents.token_usage import TokenClass as C
from message_service.usage.blocks import Block
from message_service.usage.shape import Counts, Shape


def _read(block: Block) -> Counts | None:
    given, output = block.count("inputTokens"), block.count("outputTokens")
    if given is None and output is None:
        return None
    given, output = given or 0, output or 0
    cached, written = (
        block.count(f"cache{done}InputTokens", f"cache{done}InputTokenCount") or 0
        for done in ("Read", "Write")
    )
    by_age = block.listed("cacheDetails", "ttl", "inputTokens")
    long = block.within("cache writes of an hour", by_age.get("1h", 0), "all writes", written)
    block.differ("totalTokens", block.count("totalTokens"), given + output + cached + written)
    return {
        C.INPUT: given,
        C.CACHED_INPUT: cached,
        C.CACHE_WRITE_5M: written - long,
        C.CACHE_WRITE_1H: long,
        C.OUTPUT: output,
    }


BEDROCK = Shape(
    name="bedrock",
    recognises=lambda block: block.has("inputTokens", "outputTokens"),
    read=_read,
)
