"""The sentiment of a message: positive, neutral or negative, by word lists in 13 languages.

The score is computed from a hand-written lexicon per language (`data/sentiment.toml`), negation and
boosters before a word, and emoji and emoticons in every language. It is weak at sarcasm, at
feelings without words for them ("you did not read my question") and, for texts without spaces, at
negation; therefore the neutral band is wide.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

from message_service.enrichment.folding import fold
from message_service.enrichment.words import tokenize

BAND = 0.30
"""Scores between -BAND and BAND are neutral (measured: half the false alarms, without a loss)."""

NORMAL = 6.0
"""Divisor under the root that maps a sum of valences to -1..1, after VADER's (Hutto & Gilbert)."""

_SCANNED = 4_000
_REACH = 3
_NEGATED = -0.6
_BOOSTED = 1.4
_UNSPACED = frozenset({"zh", "ja", "ko"})
_EMOTICONS = re.compile(r"(?<!\w)(?:[:;=]-?[)D\]pP]|<3|\^_?\^|[:=]'?-?[(\[/|]|>:\()")
_GLAD = frozenset("😀😃😄😁😆😅😂🤣😊🙂😉😍🥰😘😋😎🤗🥳🎉👍👏💪❤💕💖💙💚💛🧡💜✨🌟😌🤩😇🙌☺♥")
_SAD = frozenset("😢😭😞😔😟🙁☹😕😠😡🤬😤😩😫😖😣😰😨😱💔👎😒😑🤢🤮😿🥺😓😥")

Label = Literal["positive", "neutral", "negative"]


@dataclass(frozen=True, slots=True)
class Sentiment:
    """The sentiment of a text.

    Attributes:
        label: positive, neutral or negative.
        score: -1 to 1.
        confidence: 0 to 1: the distance of the score from the value at which the label changes.
    """

    label: Label
    score: float
    confidence: float


@dataclass(frozen=True, slots=True)
class _Lexicon:
    valences: Mapping[str, float]
    negators: frozenset[str]
    boosters: frozenset[str]


def score_sentiment(text: str, language: str) -> Sentiment:
    """Return the sentiment of a text, judged by its first 4,000 characters.

    Args:
        text: The message's text.
        language: ISO 639-1 code, or `und` (then the English lexicon is tried).
    """
    head = text[:_SCANNED]
    total = _signs(head)
    lexicon = _lexicons().get("en" if language == "und" else language)
    if lexicon is not None:
        total += _unspaced(head, lexicon) if language in _UNSPACED else _spaced(head, lexicon)
    score = total / math.sqrt(total * total + NORMAL)
    if abs(score) < BAND:
        return Sentiment("neutral", round(score, 3), round(1 - abs(score) / BAND, 3))
    label: Label = "positive" if score > 0 else "negative"
    return Sentiment(label, round(score, 3), round((abs(score) - BAND) / (1 - BAND), 3))


def _signs(head: str) -> float:
    """Return the valence of emoji and emoticons."""
    total = 0.0
    if not head.isascii():
        total += 2 * min(3, sum(character in _GLAD for character in head))
        total -= 2 * min(3, sum(character in _SAD for character in head))
    for found in _EMOTICONS.findall(head):
        total += -1.5 if found[-1] in "([/|" else 1.5
    return total


def _spaced(head: str, lexicon: _Lexicon) -> float:
    total = 0.0
    words = tokenize(head)
    for place, word in enumerate(words):
        valence = lexicon.valences.get(word)
        if valence is None:
            continue
        before = words[max(0, place - _REACH) : place]
        if before and before[-1] in lexicon.boosters:
            valence *= _BOOSTED
        if any(previous in lexicon.negators for previous in before):
            valence *= _NEGATED
        total += valence
    return total


def _unspaced(head: str, lexicon: _Lexicon) -> float:
    folded = fold(head)
    total = 0.0
    taken: list[tuple[int, int]] = []
    for form, valence in lexicon.valences.items():  # longest first
        start = folded.find(form)
        if start < 0 or any(a < start + len(form) and start < b for a, b in taken):
            continue
        end = start + len(form)
        taken.append((start, end))
        near = folded[max(0, start - 2) : start] + "\n" + folded[end : end + 4]
        negated = any(negator in near for negator in lexicon.negators)
        total += valence * (_NEGATED if negated else 1.0)
    return total


@cache
def _lexicons() -> Mapping[str, _Lexicon]:
    data = resources.files("message_service.enrichment") / "data" / "sentiment.toml"
    found: dict[str, dict[str, list[str]]] = tomllib.loads(data.read_text("utf-8"))
    return {language: _lexicon(lists) for language, lists in found.items()}


def _lexicon(lists: Mapping[str, list[str]]) -> _Lexicon:
    valences = {
        fold(form): float(name)
        for name, forms in lists.items()
        if name not in ("negators", "boosters")
        for form in forms
    }
    longest_first = dict(sorted(valences.items(), key=lambda pair: -len(pair[0])))
    return _Lexicon(
        longest_first,
        frozenset(fold(form) for form in lists["negators"]),
        frozenset(fold(form) for form in lists["boosters"]),
    )
