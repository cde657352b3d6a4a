"""How much of a reply repeats the reply itself, or an earlier reply of the conversation.

Within the reply this is seq-rep-4 of Welleck et al. (2019), "Neural Text Generation with
Unlikelihood Training": 1 - (distinct 4-grams / 4-grams). A text written twice scores about 0.5, a
loop close to 1. Of 3,520 answers of MT-bench half score below 0.02 and nine of ten below 0.2.

Against an earlier reply it is the containment of Broder (1997), "On the resemblance and containment
of documents", with the same n-grams: the share of the reply's 4-grams that the earlier one has too.
The greatest of the numbers counts. A rewrite that the user asked for scores high as well.

The units are the search's tokens: words, and overlapping pairs of characters in text without
spaces, so that four units there are five characters.
"""

from __future__ import annotations

from message_service.enrichment.words import tokenize
from message_service.generation.quality.evaluator import Evaluator, Judged

SIZE = 4
"""Tokens of an n-gram."""

MIN_TOKENS = 8
"""Shorter replies are compared only as a whole: one chance repetition would decide the score."""

_SCANNED = 50_000

Grams = list[tuple[str, ...]]


def judge_repetition(judged: Judged) -> float | None:
    """Return the greatest share of repeated n-grams; None for a short reply that is new."""
    tokens = tokenize(judged.answer[:_SCANNED])
    if len(tokens) < MIN_TOKENS:
        own = tokens or judged.answer.split()
        same = any(own == (tokenize(text) or text.split()) for text in _near(judged) if own)
        return 1.0 if same else None
    grams = _grams(tokens)
    score = 1 - len(set(grams)) / len(grams)
    for text in judged.earlier:
        known = set(_grams(tokenize(text[:_SCANNED])))
        score = max(score, sum(gram in known for gram in grams) / len(grams))
    return score


def _near(judged: Judged) -> list[str]:
    """Return the earlier replies of about the length of the reply."""
    longest = 2 * len(judged.answer) + 20
    return [text for text in judged.earlier if len(text) <= longest]


def _grams(tokens: list[str]) -> Grams:
    return list(zip(*(tokens[start:] for start in range(SIZE)), strict=False))


REPETITION = Evaluator(
    name="repetition",
    version="1",
    field="repetition_score",
    purpose="Share of the reply that repeats itself or an earlier reply (1: all of it).",
    judge=judge_repetition,
)
