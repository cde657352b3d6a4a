"""Totals of token figures given by a caller."""

from __future__ import annotations

from typing import Any

from message_service import errors
from message_service.documents.token_usage import GivenUsage


def check_usage(usage: GivenUsage) -> GivenUsage:
    """Return token figures with the totals filled in.

    Raises:
        InvalidInput: A total is not the sum of its parts.
    """
    totals = (
        ("total_tokens", usage.prompt_tokens, usage.completion_tokens, usage.total_tokens),
        ("total_cost", usage.prompt_cost, usage.completion_cost, usage.total_cost),
    )
    filled: dict[str, Any] = {}
    for name, first, second, total in totals:
        if first is None or second is None:
            continue
        added = first + second
        if total is None:
            filled[name] = added
        elif total != added:
            raise errors.InvalidInput(
                f"token_usage.{name}",
                f"is {total}, but its parts add up to {added}",
                "Correct it, or leave it out: it is then computed",
            )
    return usage.model_copy(update=filled) if filled else usage
