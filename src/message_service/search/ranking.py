"""How hits are ordered: relevance of the text, times the design's weights.

    score  = text * weight
    text   = sum over words of rarity * tf / (sum of rarity)  +  0.3 * proximity
    tf     = f * 2.2 / (f + 1.2 * (0.25 + 0.75 * length / 20))
    f      = places with the word itself + 0.6 * places with another form of it
    rarity = 1 / log2(2 + messages of the scope that have the word, up to 10,000)
    weight = 0.5 + 0.5 * (0.30 importance + 0.30 recency + 0.15 engagement + 0.25 quality)
    recency = 2 ** (-age / 30 days)

`tf` is the saturating term frequency of BM25 with its usual constants (k1 = 1.2, b = 0.75;
Robertson & Zaragoza 2009, Foundations and Trends in IR 3:4) for an average length of 20 words.
Proximity is the share of neighbouring words of the query that stand side by side, in order. The
weight is at least one half, so that it reorders hits but cannot outweigh a much better text.
Importance, engagement and quality are stored in the entry (`entries`); recency is computed at query
time, because a score stored at indexing would be wrong a week later.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from message_service.documents.row import Row
from message_service.enrichment.words import is_unspaced
from message_service.search.parsing import Clause, ClauseKind
from message_service.search.results import Explanation

K1 = 1.2
B = 0.75
AVERAGE_LENGTH = 20
OTHER_FORM = 0.6
PROXIMITY = 0.3
HALF_LIFE = timedelta(days=30)
WEIGHTS: Mapping[str, float] = {
    "importance": 0.30,
    "recency": 0.30,
    "engagement": 0.15,
    "quality": 0.25,
}
NEUTRAL = 0.5
"""A weight nothing is known of."""


@dataclass(frozen=True, slots=True)
class Scored:
    """An entry with its score."""

    entry: Row
    score: float
    explanation: Explanation


def rarity(found: int) -> float:
    """Return the rarity of a word that `found` messages of the scope have."""
    return round(1 / math.log2(2 + found), 4)


def score(
    entry: Row, clauses: Sequence[Clause], rarities: Sequence[float], as_of: datetime
) -> Scored | None:
    """Return an entry's score; None when it has none of the clauses.

    Args:
        entry: The entry, as `ENTRY_FIELDS` has it.
        clauses: The clauses of the query.
        rarities: Their rarities.
        as_of: The moment recency is counted to.
    """
    normalized: str = entry["indexed_content"].get("normalized_text", "")
    words = normalized.split(" ")
    stems: list[str] = entry["indexed_content"].get("stemmed_text", "").split(" ")
    length = sum(1 if part.isascii() else max(1, len(part) // 2) for part in words)
    given: dict[str, float] = {}
    total = 0.0
    for clause, rare in zip(clauses, rarities, strict=True):
        frequency = _frequency(clause, normalized, words, stems)
        if frequency:
            norm = K1 * (1 - B + B * length / AVERAGE_LENGTH)
            part = rare * frequency * (K1 + 1) / (frequency + norm)
            given[clause.text] = part
            total += part
    if not given:
        return None
    whole = sum(rarities)
    near = _proximity(clauses, normalized)
    text = total / whole + PROXIMITY * near
    weights = _weights(entry, as_of)
    weight = 0.5 + 0.5 * sum(WEIGHTS[name] * value for name, value in weights.items())
    return Scored(
        entry,
        round(text * weight, 6),
        Explanation(
            text=round(text, 6),
            words={name: round(part / whole, 6) for name, part in given.items()},
            proximity=round(PROXIMITY * near, 6),
            weight=round(weight, 6),
            weights=weights,
        ),
    )


def holds(clause: Clause, normalized: str) -> bool:
    """Whether a text holds a phrase."""
    return _phrase_count(clause.text, normalized) > 0


def _frequency(clause: Clause, normalized: str, words: list[str], stems: list[str]) -> float:
    match clause.kind:
        case ClauseKind.PHRASE:
            return _phrase_count(clause.text, normalized)
        case ClauseKind.PREFIX:
            exact = words.count(clause.text)
            begun = sum(1 for word in words if word.startswith(clause.text)) - exact
            if exact + begun == 0:  # inside unspaced text, or part of a compound word
                begun = normalized.count(clause.text)
            return exact + OTHER_FORM * begun
        case ClauseKind.LABEL:
            return 1.0
        case ClauseKind.WORD:
            exact = words.count(clause.text)
            other = 0
            for word, base in zip(words, stems, strict=False):
                if word != clause.text and (base in clause.stems or word in clause.stems):
                    other += 1
            if exact + other == 0 and any(form in normalized for form in clause.stems):
                other = 1  # a part of a compound word
            return exact + OTHER_FORM * other


def _phrase_count(phrase: str, normalized: str) -> int:
    """Count a phrase; words must be whole, pieces of unspaced text need not."""
    count = place = 0
    while (place := normalized.find(phrase, place)) >= 0:
        end = place + len(phrase)
        before = normalized[place - 1 : place] if place else ""
        if _bounded(before, phrase[0]) and _bounded(normalized[end : end + 1], phrase[-1]):
            count += 1
        place = end
    return count


def _bounded(outside: str, inside: str) -> bool:
    return outside in ("", " ") or is_unspaced(inside)


def _proximity(clauses: Sequence[Clause], normalized: str) -> float:
    texts = [clause.text for clause in clauses if clause.kind is not ClauseKind.LABEL]
    if len(texts) < 2:
        return 0.0
    padded = f" {normalized} "
    pairs = list(itertools.pairwise(texts))
    return sum(f" {a} {b}" in padded or a + b in padded for a, b in pairs) / len(pairs)


def _stored_weights(entry: Row, as_of: datetime) -> Mapping[str, float]:
    """Return the weights an entry had at a moment."""
    for earlier in entry.get("earlier_weights", ()):
        if earlier["until"] > as_of:
            return earlier["weights"]
    return entry.get("search_weights") or {}


def _weights(entry: Row, as_of: datetime) -> dict[str, float]:
    stored: Mapping[str, float] = _stored_weights(entry, as_of)
    age = max(0.0, (as_of - entry["created_at"]) / HALF_LIFE)
    return {
        "importance": stored.get("importance_score", NEUTRAL),
        "recency": round(2.0**-age, 6),
        "engagement": stored.get("engagement_score", NEUTRAL),
        "quality": stored.get("quality_score", NEUTRAL),
    }
