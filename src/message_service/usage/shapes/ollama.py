"""The counts of Ollama's own API, which stand in the answer itself (`/api/chat`)."""

from __future__ import annotations

from message_service.documents.token_usage import TokenClass as C
from message_service.usage.blocks import Block
from message_service.usage.shape import Counts, Shape


def _read(block: Block) -> Counts | None:
    given, output = block.count("prompt_eval_count"), block.count("eval_count")
    if given is None and output is None:
        return None
    # A prompt that is wholly in the cache has no count; see Ollama's API reference.
    return {C.INPUT: given or 0, C.OUTPUT: output or 0}


OLLAMA = Shape(
    name="ollama",
    recognises=lambda block: block.has("prompt_eval_count", "eval_count"),
    read=_read,
)
