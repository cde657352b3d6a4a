"""What every evaluator of a reply is, and how several are asked."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from message_service import errors

_LOG = logging.getLogger(__name__)

ScoreField = Literal[
    "coherence_score",
    "relevance_score",
    "helpfulness_score",
    "factual_accuracy",
    "language_quality",
    "creativity_score",
    "repetition_score",
    "refusal_score",
]
"""The field of `QualityMetadata` that a score is stored in."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A reply to be judged.

    Attributes:
        question: What the reply answers; may be empty.
        answer: The reply's text.
        language: ISO 639-1 code of the reply's language, if it is known.
        earlier: A few earlier replies of the same conversation, newest first.
        refusal: Whether the provider marked the reply as a refusal.
        finish_reason: Why the reply ended, as `generation.provider.FinishReason` names it.
    """

    question: str
    answer: str
    language: str | None = None
    earlier: tuple[str, ...] = ()
    refusal: bool = False
    finish_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """What an evaluator found.

    Attributes:
        field: The field that the score belongs to.
        value: 0 to 1, four digits.
        evaluator: The evaluator's name.
        version: The evaluator's version.
    """

    field: ScoreField
    value: float
    evaluator: str
    version: str


@dataclass(frozen=True, slots=True)
class Evaluator:
    """A way to score replies.

    Attributes:
        name: Its name, unique among the evaluators.
        version: Changes whenever a reply may get another score.
        field: The field that it fills.
        purpose: One line for people.
        judge: Returns 0 to 1, or None if this reply cannot be judged.
    """

    name: str
    version: str
    field: ScoreField
    purpose: str
    judge: Callable[[Judged], float | None]


def judge_all(judged: Judged, evaluators: Iterable[Evaluator]) -> list[Score]:
    """Return the scores of a reply, in the order of the evaluators.

    An evaluator that cannot judge the reply gives no score. Neither does one that raises an error
    or returns a number outside 0 to 1; that is logged, without the text.
    """
    scores: list[Score] = []
    for evaluator in evaluators:
        try:
            value = evaluator.judge(judged)
            if value is None:
                continue
            if not 0.0 <= value <= 1.0:
                raise ValueError("not from 0 to 1")
        except Exception as error:
            _LOG.error("evaluator %s failed: %s", evaluator.name, errors.trace_of(error))
            continue
        scores.append(
            Score(evaluator.field, round(float(value), 4), evaluator.name, evaluator.version)
        )
    return scores
