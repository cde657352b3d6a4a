"""The complexity of a text, 0 to 1: how demanding it is to read, in any script."""

from __future__ import annotations

import math
import re

from message_service.enrichment.words import is_unspaced, tokenize

_SCANNED = 4_000
_SENTENCE_END = re.compile(r"[.!?。！？؟।\n]+")
_CODE = re.compile(r"```|[{};]\s*$|^\s*(?:def|class|import|SELECT|function)\b|[=<>]=|\w\(\)", re.M)
_FORMULA = re.compile(r"[∑∫√≤≥≠∂∞±×÷]|\\frac|\^\d|\d\s*[+*/=]\s*\d")


def complexity_score(text: str) -> float:
    """Return how demanding a text is, judged by its first 4,000 characters.

    The score has four parts, each 0 to 1. Long sentences and long words are the two parts of common
    readability formulas (Flesch 1948 and others); vocabulary and code or formulas are our own:

        0.35 * sentence length / 30 words
      + 0.25 * (word length - 3) / 5 letters (spaced scripts; 0.5 for others, whose words are short)
      + 0.20 * vocabulary: distinct words / square root of twice the words, / 6 (Carroll's CTTR)
      + 0.20 * code or formulas present

    The score is a heuristic for routing and statistics: it ranks texts and is not a grade level.
    """
    head = text[:_SCANNED]
    tokens = tokenize(head)
    if not tokens:
        return 0.0
    words = tokens if head.isascii() else [t for t in tokens if not is_unspaced(t)]
    count = len(words) + (len(tokens) - len(words)) / 2  # an unspaced word has about two pieces
    sentences = max(1, len([part for part in _SENTENCE_END.split(head) if part.strip()]))
    long_sentences = min(1.0, count / sentences / 30)
    vocabulary = min(1.0, len(set(tokens)) / math.sqrt(2 * len(tokens)) / 6)
    technical = 1.0 if _CODE.search(head) or _FORMULA.search(head) else 0.0
    score = 0.35 * long_sentences + 0.25 * _long_words(words) + 0.2 * vocabulary + 0.2 * technical
    return round(min(1.0, score), 3)


def _long_words(words: list[str]) -> float:
    if not words:
        return 0.5
    mean = sum(len(word) for word in words) / len(words)
    return min(1.0, max(0.0, (mean - 3) / 5))
