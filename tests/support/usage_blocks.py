"""Usage blocks as providers send them, with what they mean and cost (`usage_blocks.json`).

Written by us from the providers' public documentation (see the shapes in `usage/shapes`). Prices
are per million tokens (per thousand web searches) and belong to this table, not to today.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TABLE: dict[str, Any] = json.loads(Path(__file__).with_suffix(".json").read_text())


@dataclass(frozen=True)
class Example:
    """A block, the classes it must give, its state, and its cost to the last digit."""

    name: str
    provider: str
    model: str
    tier: str
    block: dict[str, Any]
    classes: dict[str, int]
    state: str
    cost: str


PRICES: dict[str, dict[str, str]] = _TABLE["prices"]
"""Price by class, of `provider/model/tier`."""

LONG_CONTEXT: dict[str, tuple[int, dict[str, str]]] = _TABLE["long_context"]
"""Above how many tokens of the prompt other prices hold, and these."""

EXAMPLES = tuple(Example(**each) for each in _TABLE["examples"])
