"""The topics of a message, from a fixed list, recognised by words in 12 languages.

Words of `data/topics.toml` match in any inflected form. A recognised topic is seldom wrong; texts
about a topic in other words are missed, and words with two meanings mislead ("bank", "rock").
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from message_service.enrichment.folding import fold
from message_service.enrichment.stems import stem
from message_service.enrichment.words import tokenize

UNSPACED = frozenset({"zh", "ja", "ko"})
_SCANNED = 4_000


@dataclass(frozen=True, slots=True)
class _Table:
    """Topics by folded word or stem; for unspaced languages, by substring."""

    by_word: Mapping[str, tuple[str, ...]]
    pieces: tuple[tuple[str, str], ...]


def find_topics(text: str, language: str, limit: int = 5) -> tuple[str, ...]:
    """Return the topics of a text, the topic with the most words first; empty if there are none.

    Args:
        text: The message's text; its first 4,000 characters are read.
        language: ISO 639-1 code, or `und` (then English is tried).
        limit: Maximum number of topics returned.
    """
    code = "en" if language == "und" else language
    table = _tables().get(code)
    if table is None:
        return ()
    head = text[:_SCANNED]
    found: Counter[str] = Counter()
    if code in UNSPACED:
        folded = fold(head)
        found.update(topic for piece, topic in table.pieces if piece in folded)
    else:
        for word in tokenize(head):
            topics = table.by_word.get(word)
            if topics is None:
                topics = table.by_word.get(stem(word, code), ())
            found.update(topics)
    ranked = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
    return tuple(topic for topic, _ in ranked[:limit])


@cache
def _tables() -> Mapping[str, _Table]:
    data = resources.files("message_service.enrichment") / "data" / "topics.toml"
    found: dict[str, dict[str, str]] = tomllib.loads(data.read_text("utf-8"))
    return {language: _table(language, topics) for language, topics in found.items()}


def _table(language: str, topics: Mapping[str, str]) -> _Table:
    by_word: dict[str, set[str]] = {}
    pieces: list[tuple[str, str]] = []
    for topic, words in topics.items():
        for word in words.split():
            pieces.append((fold(word), topic))
            for form in (fold(word), stem(word, language), stem(fold(word), language)):
                by_word.setdefault(form, set()).add(topic)
    return _Table(
        {word: tuple(sorted(several)) for word, several in by_word.items()}, tuple(pieces)
    )
