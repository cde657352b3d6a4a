"""What a prompt window shows of the messages chosen for it, and what it leaves out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from message_service.documents.row import Row
from message_service.enrichment.text_statistics import TOKENIZER
from message_service.messages import integrity
from message_service.messages.content import hash_of
from message_service.messages.parts import without_parts
from message_service.messages.rows import StoredMessage
from message_service.messages.tool_groups import tool_groups

MESSAGE_OVERHEAD = 4
"""Tokens a chat template adds to each message (role and separators), as commonly counted."""

OmissionReason = Literal["belongs_before_window", "result_without_call", "reasoning_only"]


@dataclass(frozen=True, slots=True)
class Omission:
    """A message, or a part of one, that fits the budget and is left out all the same.

    Attributes:
        message_id: The message.
        sequence_number: Its number.
        reason: `belongs_before_window`: it belongs to a tool call, or to the beginning of a long
            message, that does not fit. `result_without_call`: it answers a call that is not on the
            branch (never stored, deleted or hidden). `reasoning_only`: it holds nothing but
            reasoning.
        call_ids: The calls in question.
    """

    message_id: str
    sequence_number: int
    reason: OmissionReason
    call_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ContextWindow:
    """The messages to send to a model.

    Attributes:
        messages: Pinned messages that lie before the window, then the window, each in order.
            Reasoning is taken out of them unless asked for.
        summary: Summary of the messages before the window, if one is stored and asked for.
        pinned: How many of `messages` are pinned messages from before the window.
        token_count: Tokens of messages and summary, overheads included.
        tokenizer: The counter the token counts come from; "mixed" when there are several.
        budget: The budget given.
        first_sequence: Number of the window's first message; 0 when it is empty.
        last_sequence: Number of its last.
        left_out: Whether the branch has older messages outside the window.
        digest: Digest of the exact contents, to tell one window from another.
        omissions: What was left out although it fits, in order.
        unanswered_calls: Ids of tool calls in the window whose results are not in it (not stored
            yet, deleted or hidden). Most providers refuse a prompt that goes on after such a call.
    """

    messages: list[StoredMessage]
    summary: str | None
    pinned: int
    token_count: int
    tokenizer: str
    budget: int
    first_sequence: int
    last_sequence: int
    left_out: bool
    digest: str
    omissions: tuple[Omission, ...] = ()
    unanswered_calls: tuple[str, ...] = ()


def cost_of(row: Row, *, include_reasoning: bool) -> int:
    """Return the tokens a message takes in a prompt."""
    content: Row = row["content"]
    thought: int = content.get("reasoning_token_count", 0) if include_reasoning else 0
    return content["token_count"] + thought + MESSAGE_OVERHEAD


def shown_window(
    pinned: Sequence[Row],
    rows: Sequence[Row],
    separated: Sequence[Row],
    summary: Row | None,
    *,
    budget: int,
    left_out: bool,
    include_reasoning: bool,
) -> ContextWindow:
    """Return the window that shows these messages.

    Args:
        pinned: Pinned messages from before the window.
        rows: The messages of the window.
        separated: Messages that were taken out because their tool calls do not fit.
        summary: The branch's summary.
        budget: The budget given.
        left_out: Whether the branch has older messages outside the window.
        include_reasoning: Whether reasoning is shown.
    """
    groups = tool_groups([*pinned, *rows])
    omissions = [_omission(row, "belongs_before_window") for row in separated]
    views: list[Row] = []
    pins_shown = 0
    for place, row in enumerate((*pinned, *rows)):
        if place in groups.without_beginning and row["role"] == "tool":
            omissions.append(_omission(row, "result_without_call"))
            continue
        view, left = _view(row, groups.without_call.get(place, ()), include_reasoning)
        omissions.extend(left)
        if view is not None:
            views.append(view)
            pins_shown += place < len(pinned)
    omissions.sort(key=lambda omission: omission.sequence_number)
    tokenizers = {view["content"].get("tokenizer", TOKENIZER) for view in views} or {TOKENIZER}
    tokens = sum(cost_of(view, include_reasoning=include_reasoning) for view in views)
    if summary is not None:
        tokens += summary["token_count"] + MESSAGE_OVERHEAD
    window = views[pins_shown:]
    return ContextWindow(
        messages=[StoredMessage(view) for view in views],
        summary=None if summary is None else summary["text"],
        pinned=pins_shown,
        token_count=tokens,
        tokenizer=tokenizers.pop() if len(tokenizers) == 1 else "mixed",
        budget=budget,
        first_sequence=window[0]["sequence_number"] if window else 0,
        last_sequence=window[-1]["sequence_number"] if window else 0,
        left_out=left_out,
        digest=integrity.digest(
            None if summary is None else summary["text"],
            *(f"{view['message_id']}:{view['content']['content_hash']}" for view in views),
        ),
        omissions=tuple(omissions),
        unanswered_calls=tuple(groups.unanswered),
    )


def _view(
    row: Row, without_call: Sequence[str], include_reasoning: bool
) -> tuple[Row | None, Iterator[Omission] | Sequence[Omission]]:
    """Return a message as the window shows it, None when nothing is left of it; and what is not."""
    content: Row = row["content"]
    parts: Sequence[Row] = content.get("parts") or ()
    thinks = not include_reasoning and any(part["type"] == "reasoning" for part in parts)
    if not without_call and not thinks:
        return row, ()

    def is_left_out(part: Mapping[str, object]) -> bool:
        if part["type"] == "tool_result":
            return part["call_id"] in without_call
        return thinks and part["type"] == "reasoning"

    omissions = [_omission(row, "result_without_call", tuple(without_call))] if without_call else []
    kept = without_parts(content, is_left_out)
    if kept is None:
        return None, omissions or [_omission(row, "reasoning_only")]
    return {**row, "content": {**kept, "content_hash": hash_of(kept)}}, omissions


def _omission(row: Row, reason: OmissionReason, call_ids: tuple[str, ...] = ()) -> Omission:
    ids = call_ids or tuple(row["content"].get("call_ids") or ())
    return Omission(row["message_id"], row["sequence_number"], reason, ids)
