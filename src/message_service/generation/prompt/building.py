"""Builds the prompt of a reply: the sections that fit, the window of the branch between them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from message_service import errors
from message_service.catalogue.queries.characters import CHARACTER_BY_ID
from message_service.database.scope import Scope
from message_service.documents.character import Character
from message_service.documents.conversation import PromptSettings, Summary
from message_service.enrichment import text_statistics
from message_service.generation.prompt.sections import (
    SECTIONS,
    Cast,
    Section,
    depth_of,
    system_turns,
)
from message_service.generation.prompt.turns import turns_of
from message_service.generation.provider import Turn
from message_service.messages import integrity
from message_service.messages.branch_summaries import summary_of
from message_service.messages.context import ContextReader, OpenWindow
from message_service.messages.window_view import MESSAGE_OVERHEAD, ContextWindow, cost_of

_SUMMARY_HEAD = "What was said before:"


@dataclass(frozen=True, slots=True)
class PromptSection:
    """A section as it is sent.

    Attributes:
        name: Its name.
        tokens: Its tokens, as counted here.
        turns: Its turns.
        left_out: How many of its texts or messages did not fit.
    """

    name: str
    tokens: int
    turns: tuple[Turn, ...]
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is sent.

    Attributes:
        sections: The sections, in order.
        turns: The turns, in the order in which they are sent.
        tokens: All tokens, as counted here.
        budget: How many there may be.
        window_size: Most messages of the window, as asked for.
        window: The window of the branch.
        digest: Digest of exactly what is sent.
        summarised_up_to: The last message the branch's summary covers; 0 without one.
        effective_tokens: Tokens of what the prompt stands for, with the messages that the summary
            replaces in its place; None when that is not known.
    """

    sections: tuple[PromptSection, ...]
    turns: tuple[Turn, ...]
    tokens: int
    budget: int
    window_size: int
    window: ContextWindow
    digest: str
    summarised_up_to: int
    effective_tokens: int | None

    @property
    def answers(self) -> tuple[str | None, str | None]:
        """The message that a reply to this prompt answers, and the digest of what it says."""
        if not self.window.messages:
            return None, None
        last = self.window.messages[-1]
        return last.message_id, last.raw["content"]["content_hash"]

    def context_metadata(self) -> dict[str, Any]:
        """Return the design's `context_metadata`."""
        known = self.effective_tokens
        measured = (
            {}
            if known is None
            else {
                "effective_context_length": known,
                "context_compression_ratio": round(self.tokens / known, 4) if known else 1.0,
            }
        )
        return {
            "context_window_size": self.window_size,
            "messages_in_context": len(self.window.messages),
            "context_tokens": self.tokens,
            "context_hash": self.digest,
            **measured,
        }


class PromptBuilder:
    """Builds the prompts of one tenant.

    Args:
        scope: The tenant's scope.
        context: Reads the windows.
    """

    def __init__(self, scope: Scope, context: ContextReader) -> None:
        self._scope = scope
        self._context = context

    async def build(
        self, conversation_id: str, branch: str | None, *, budget: int, window_size: int
    ) -> Prompt:
        """Return the prompt of a branch.

        Args:
            conversation_id: The conversation.
            branch: The branch; None for the active one.
            budget: Most tokens.
            window_size: Most messages of the window.

        Raises:
            NotFound: No such conversation or branch in this tenant.
            ContextBudgetTooSmall: What must be in the prompt does not fit; names the section.
        """
        opened = await self._context.open(
            conversation_id, branch, token_budget=budget, max_messages=window_size
        )
        cast = await self._cast(opened.conversation)
        own: dict[str, PromptSection] = {}
        left = budget
        # What must be there comes first, so that the rest is fitted to what remains.
        for section in sorted(SECTIONS, key=lambda section: not section.required):
            if section.texts is not None:
                made = _fitted(section, section.texts(cast), left, budget)
                own[section.name] = made
                left -= made.tokens
        window = await self._window(opened, left, budget, window_size)
        own |= _of_window(window)
        sections = tuple(own[section.name] for section in SECTIONS)
        turns = _in_order(own, depth_of(cast))
        tokens = sum(section.tokens for section in sections)
        summary = summary_of(opened.conversation, opened.branch)
        return Prompt(
            sections=sections,
            turns=turns,
            tokens=tokens,
            budget=budget,
            window_size=window_size,
            window=window,
            digest=integrity.digest(*(_written(turn) for turn in turns)),
            summarised_up_to=0 if summary is None else summary.up_to_sequence,
            effective_tokens=_effective(tokens, own["summary"], window, summary),
        )

    async def _cast(self, conversation: Mapping[str, Any]) -> Cast:
        settings = PromptSettings.model_validate(conversation.get("prompt") or {})
        character_id = conversation.get("character_id")
        row = (
            None
            if character_id is None
            else await self._scope.find_one(CHARACTER_BY_ID, character_id=character_id)
        )
        return Cast(None if row is None else Character.model_validate(row), settings)

    async def _window(
        self, opened: OpenWindow, left: int, budget: int, window_size: int
    ) -> ContextWindow:
        try:
            return await self._context.fitted(
                opened, token_budget=max(1, left), max_messages=window_size
            )
        except errors.ContextBudgetTooSmall as error:
            raise errors.ContextBudgetTooSmall(
                f"context_tokens: of {budget} tokens, {max(0, left)} remain for the messages, and "
                "they do not hold the newest message, its tool call, pins and summary. Raise it, "
                "or shorten the character's texts",
                field="context_tokens",
            ) from error


def _fitted(section: Section, texts: Sequence[str], left: int, budget: int) -> PromptSection:
    turns = system_turns(texts)
    most = min(left, int(budget * section.share))
    kept: list[Turn] = []
    tokens = 0
    for turn in turns:
        cost = text_statistics.measure(turn.text).token_count + MESSAGE_OVERHEAD
        if tokens + cost > most:
            if section.required:
                raise errors.ContextBudgetTooSmall(
                    f"context_tokens: the section {section.name!r} takes {cost} tokens, and "
                    f"{most} of {budget} remain for it. Shorten it, or raise context_tokens",
                    field="context_tokens",
                )
            break
        kept.append(turn)
        tokens += cost
    return PromptSection(section.name, tokens, tuple(kept), len(turns) - len(kept))


def _of_window(window: ContextWindow) -> dict[str, PromptSection]:
    pinned, newest = window.messages[: window.pinned], window.messages[window.pinned :]
    costs = [cost_of(message.raw, include_reasoning=False) for message in window.messages]
    summary = system_turns([] if window.summary is None else [f"{_SUMMARY_HEAD}\n{window.summary}"])
    parts = (
        ("summary", window.token_count - sum(costs), summary),
        ("pinned", sum(costs[: window.pinned]), turns_of(pinned, window.unanswered_calls)),
        ("history", sum(costs[window.pinned :]), turns_of(newest, window.unanswered_calls)),
    )
    return {
        name: PromptSection(name, tokens, tuple(turns), len(window.omissions) * (name == "history"))
        for name, tokens, turns in parts
    }


def _in_order(own: Mapping[str, PromptSection], depth: int) -> tuple[Turn, ...]:
    """Return all turns in order; the note stands between messages, never inside a tool call."""
    history = [*own["history"].turns]
    place = max(0, len(history) - depth)
    while 0 < place < len(history) and history[place].role == "tool":
        place -= 1
    turns: list[Turn] = []
    for section in SECTIONS:
        match section.place:
            case "depth":
                pass
            case _ if section.name == "history":
                turns += (*history[:place], *own["author_note"].turns, *history[place:])
            case _:
                turns += own[section.name].turns
    return tuple(turns)


def _written(turn: Turn) -> str:
    plain = {**asdict(turn), "calls": [call.model_dump() for call in turn.calls]}
    return json.dumps(plain, ensure_ascii=False, sort_keys=True)


def _effective(
    tokens: int, section: PromptSection, window: ContextWindow, stored: Summary | None
) -> int | None:
    """Return the tokens of what the prompt stands for; None when nobody knows them."""
    if window.summary is None:
        return tokens
    if stored is None or stored.text != window.summary or stored.source_tokens is None:
        return None
    return tokens - section.tokens + stored.source_tokens
