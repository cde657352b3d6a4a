"""Our own classes, for callers who count themselves: `{"input": 12, "output": 3}`.

With `estimated: true` the figures are taken as estimates.
"""

from __future__ import annotations

from message_service import errors
from message_service.documents.token_usage import TokenClass
from message_service.usage.blocks import Block
from message_service.usage.classes import NO_TOKENS
from message_service.usage.shape import Counts, Shape

_BESIDE = frozenset({"estimated", "total_tokens", "service_tier"})
_CLASSES = tuple(kind.value for kind in TokenClass)


def _read(block: Block) -> Counts | None:
    for name in block.names():
        if name not in _BESIDE and name not in _CLASSES:
            raise errors.InvalidInput(
                f"usage.{name}", "is not a class of tokens", f"Use {', '.join(_CLASSES)}"
            )
    counts = {kind: block.count(kind.value) for kind in TokenClass}
    if all(count is None for count in counts.values()):
        return None
    found = {kind: count or 0 for kind, count in counts.items()}
    added = sum(count for kind, count in found.items() if kind not in NO_TOKENS)
    block.differ("total_tokens", block.count("total_tokens"), added)
    return found


RAW = Shape(
    name="raw",
    recognises=lambda block: block.has(*_CLASSES),
    read=_read,
    order=90,
)
