"""Scores a reply before it is stored, so that the scores are part of its first revision.

Scoring it afterwards would be one more change of the message: a job, and the work of every follower
a second time.
"""

from __future__ import annotations

import asyncio
from typing import Any

from message_service.documents.message import Role
from message_service.enrichment.lemmas import dictionaries_read
from message_service.generation.draft import Draft
from message_service.generation.prompt.building import Prompt
from message_service.generation.quality.evaluator import Judged, Score, judge_all
from message_service.generation.quality.local import EVALUATORS

_EARLIER = 3


async def quality_of(
    draft: Draft, finish_reason: str, prompt: Prompt | None
) -> dict[str, Any] | None:
    """Return the `quality_metadata` of a reply; None when there is no text to be judged.

    Args:
        draft: What was said.
        finish_reason: Why it ended.
        prompt: What it answers; None when that is not known.
    """
    text = draft.text or draft.refusal
    if not text.strip():
        return None
    await dictionaries_read()
    messages = [] if prompt is None else prompt.window.messages
    asked = [message.text for message in messages if message.role == Role.USER]
    earlier = [message.text for message in messages if message.role == Role.ASSISTANT]
    judged = Judged(
        question=asked[-1] if asked else "",
        answer=text,
        earlier=tuple(earlier[: -_EARLIER - 1 : -1]),
        refusal=bool(draft.refusal),
        finish_reason=finish_reason,
    )
    scores: list[Score] = []
    for evaluator in EVALUATORS:
        # On this thread, because stemming is not thread-safe; one at a time, for other replies.
        scores += judge_all(judged, [evaluator])
        await asyncio.sleep(0)
    if not scores:
        return None
    return {
        **{score.field: score.value for score in scores},
        "evaluated_by": {score.field: f"{score.evaluator}/{score.version}" for score in scores},
        "evaluated_revision": 1,
    }
