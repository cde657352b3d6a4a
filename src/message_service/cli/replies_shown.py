"""Shows a reply while it is said."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

from rich.console import Console

from message_service import errors
from message_service.generation.failures import FailureKind
from message_service.generation.following import ReplyEvent

_UNWANTED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Characters that would steer the terminal, or turn what it shows around."""

STOPPED = "(stopped)"
AGAIN = "(it begins anew)"
INTERRUPTED = "(broken off)"


async def show_reply(
    events: AsyncIterator[ReplyEvent], console: Console, *, reasoning: bool = False
) -> ReplyEvent:
    """Print what a reply says as it comes; return its last event.

    Args:
        events: The reply's events.
        console: Where to.
        reasoning: Whether to show reasoning too.
    """
    begun = False
    last = ReplyEvent(-1, "failed", reason="unknown", problem="the reply has no end")
    async for event in events:
        last = event
        match event.kind:
            case "begin":
                if begun:
                    console.print(f"\n{AGAIN}", style="dim", markup=False, highlight=False)
                begun = True
            case "text" | "refusal":
                _write(console, event.text)
            case "reasoning" if reasoning:
                _write(console, event.text, style="dim")
            case "end":
                note = {"cancelled": f" {STOPPED}", "interrupted": f" {INTERRUPTED}"}
                _write(console, f"{note.get(event.finish_reason or '', '')}\n", style="dim")
            case "failed" | "cancelled":
                if begun:
                    _write(console, "\n")
            case _:
                pass
    return last


def check_ended(event: ReplyEvent) -> None:
    """Return if a reply is there.

    Raises:
        ProviderFailed: No provider gave one.
        JobFailed: There is none for another reason.
    """
    if event.kind == "end":
        return
    problem = event.problem or f"the reply is {event.kind}: {event.reason}"
    if event.reason in set(FailureKind):
        raise errors.ProviderFailed(problem, str(event.reason))
    raise errors.JobFailed(problem, reason=event.reason)


def _write(console: Console, text: str, **style: Any) -> None:
    shown = _UNWANTED.sub("", text)
    console.print(shown, end="", markup=False, highlight=False, soft_wrap=True, **style)
    console.file.flush()
