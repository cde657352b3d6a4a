"""The keywords of a message: RAKE, with our own segmentation of text without spaces.

Rose, Engel, Cramer & Cowley (2010), "Automatic keyword extraction from individual documents": the
candidates are runs of words between stop words and punctuation; a word scores higher the longer the
runs are in which it occurs. We add a small bonus for an early position and for capitals, and count
all forms of a stem together. In Chinese, Japanese and Korean, runs of Han characters or katakana,
and Korean words without their particles, are used as words; this is coarser and does not split
compounds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

import stopwordsiso

from message_service.enrichment.folding import fold
from message_service.enrichment.stems import stem
from message_service.enrichment.words import Token, is_unspaced, occurrences

MAX_WORDS = 3
"""Maximum length of a phrase, in words."""

_SCANNED = 4_000
_HAN_OR_KATAKANA = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]{2,6}|[\u30a1-\u30fa\u30fc]{3,20}")
_HANGUL = re.compile(r"[\uac00-\ud7a3]{2,12}")
_PARTICLES = re.compile(
    r"(?:에서|에게|까지|부터|으로|이나|하고|이랑|처럼|보다|은|는|이|가|을|를|에|의|도|로|와|과|만|랑)$"
)
_KOREAN_VERBS = re.compile(r"(?:요|다|까|죠|네|게|지|고|어|아|해)$")
# Chinese characters that connect words and are not part of keywords.
_CHINESE_JOINTS = re.compile(
    r"[的了是在我你他她它们这那和与也都就很不没有会要把被让吗呢吧啊个着过去来]"
)


def find_keywords(text: str, language: str, limit: int = 8) -> tuple[str, ...]:
    """Return the keywords of a text, best first, folded.

    Args:
        text: The message's text; its first 4,000 characters are read.
        language: ISO 639-1 code that selects stop words and stemmer; `und` is read as English.
        limit: Maximum number of keywords returned.
    """
    head = text[:_SCANNED]
    code = "en" if language == "und" else language
    scores: dict[tuple[str, ...], tuple[float, str]] = {}
    phrases = list(_phrases(head, code))
    degree: dict[str, int] = {}
    frequency: dict[str, int] = {}
    for phrase in phrases:
        for word in phrase:
            base = stem(word.text, code)
            degree[base] = degree.get(base, 0) + len(phrase)
            frequency[base] = frequency.get(base, 0) + 1
    for place, phrase in enumerate(phrases):
        bases = tuple(stem(word.text, code) for word in phrase)
        score = sum(degree[base] / frequency[base] for base in bases)
        score += 0.5 / (1 + place)
        score += 0.5 * any(head[word.start].isupper() and word.start > 0 for word in phrase)
        shown = " ".join(word.text for word in phrase)
        if bases not in scores or scores[bases][0] < score:
            scores[bases] = (score, shown)
    if is_unspaced(head):
        for place, word in enumerate(_runs(head, code)):
            scores.setdefault((word,), (min(4.0, len(word) / 2) + 0.5 / (1 + place), word))
    ranked = sorted(scores.values(), key=lambda scored: (-scored[0], scored[1]))
    return tuple(shown for _, shown in ranked[:limit])


def _phrases(head: str, language: str) -> Iterator[list[Token]]:
    """Yield runs of words between stop words, punctuation and line ends."""
    stops = _stop_words(language)
    phrase: list[Token] = []
    end = 0
    for token in occurrences(head):
        stopped = token.piece or token.text in stops or len(token.text) < 2 or token.text.isdigit()
        apart = bool(head[end : token.start].strip(" \t"))
        if phrase and (stopped or apart or len(phrase) == MAX_WORDS):
            yield phrase
            phrase = []
        if not stopped:
            phrase.append(token)
        end = token.end
    if phrase:
        yield phrase


def _runs(head: str, language: str) -> Iterator[str]:
    """Yield the runs that are used as words in text without spaces."""
    spaced = _CHINESE_JOINTS.sub(" ", head) if language == "zh" else head
    for found in _HAN_OR_KATAKANA.findall(spaced):
        yield fold(found)
    for found in _HANGUL.findall(head):
        if _KOREAN_VERBS.search(found):
            continue
        bare = _PARTICLES.sub("", found)
        if len(bare) > 1:
            yield bare


@cache
def _stop_words(language: str) -> frozenset[str]:
    known = language if stopwordsiso.has_lang(language) else "en"
    return frozenset(fold(word) for word in stopwordsiso.stopwords(known))
