"""Dictionary forms of inflected words, and the parts of compounds (simplemma).

Stemmers only cut endings; they cannot find that "duermo" is a form of "dormir" or "الأطفال" the
plural of "طفل". `tests/relevance/test_misses.py` counts the additional hits in each language.

The dictionaries stay in their packed form, 35 MB together, and take about a second to read:
`dictionaries_read` reads them in a thread, before they are needed on the event loop.
"""

from __future__ import annotations

import asyncio
import threading
from functools import lru_cache

from simplemma.strategies import DefaultStrategy
from simplemma.strategies.dictionaries import StreamDictionaryFactory

LEMMATISED = frozenset({"ar", "de", "en", "es", "fr"})
"""Languages whose words are looked up in a dictionary."""

SPLIT = frozenset({"de"})
"""Languages whose compounds are split. Dutch was split wrongly: its nouns have no capitals."""

REMEMBERED = 32_768
"""Number of words whose forms are cached; without the cache a word takes about 50 microseconds."""

_MIN_PART = 4
_MIN_COMPOUND = 8
_MAX_COMPOUND = 40
_LINKS = ("", "s", "es", "n", "en")
# Suffixes that form words from other words, and are also words of the dictionary.
_ENDINGS = frozenset({
    "schaft", "schaften", "heit", "heiten", "keit", "keiten", "lich", "weise", "ling", "linge",
    "isch", "ische", "stag", "stage",
})  # fmt: skip
# Prefixes of verbs and their nouns; some of them are also nouns of the dictionary.
_PREFIXES = frozenset({
    "nach", "unter", "über", "wider", "wieder", "gegen", "durch", "hinter", "zurück", "vorbei",
})  # fmt: skip


def lemma(word: str, language: str) -> str | None:
    """Return the dictionary form of a word as written, or None when it is not known.

    Args:
        word: The word, with its accents and its case.
        language: ISO 639-1 code.
    """
    if language not in LEMMATISED or not word.isalpha():
        return None
    known = _DICTIONARIES.read().get_lemma(word, language)
    if known is None and language == "ar":
        known = _without_pronoun(word)
    return known


@lru_cache(maxsize=REMEMBERED)
def parts(word: str, language: str) -> tuple[str, ...]:
    """Return the parts of a compound, or an empty tuple.

    Every part has at least four letters and is a noun of the dictionary; a word that is a verb or
    adjective of the dictionary is not split ("unterhalten").
    """
    if language not in SPLIT or not word.isalpha():
        return ()
    if not _MIN_COMPOUND <= len(word) <= _MAX_COMPOUND:
        return ()
    lowered = word.lower()
    if _is_word(lowered, language) and not _is_word(lowered.capitalize(), language):
        return ()
    return _split(lowered, language)


def _split(word: str, language: str) -> tuple[str, ...]:
    """Return the split with the longest last word, which carries the meaning of the compound."""
    for place in range(_MIN_PART, len(word) - _MIN_PART + 1):
        head, last = word[:place], word[place:]
        if last in _ENDINGS or not _is_part(last, language):
            continue
        for link in _LINKS:
            first = head.removesuffix(link)
            if len(first) < _MIN_PART or (link and first == head) or first in _PREFIXES:
                continue
            if _is_part(first, language):
                return (
                    *(_split(first, language) or (first,)),
                    *(_split(last, language) or (last,)),
                )
        if before := _split(head, language):
            return (*before, last)
    return ()


def _is_part(word: str, language: str) -> bool:
    return _is_word(word.capitalize(), language)


@lru_cache(maxsize=REMEMBERED)
def _is_word(word: str, language: str) -> bool:
    return _DICTIONARIES.read().is_dictionary_member(word, language)


def _without_pronoun(word: str) -> str | None:
    """Return the dictionary form of an Arabic noun in ة with a pronoun attached (سيارتي)."""
    for pronoun in ("كم", "نا", "ها", "هم", "ي", "ك", "ه"):
        base = word.removesuffix(pronoun)
        if base != word and len(base) > 2 and base.endswith("ت"):
            known = _DICTIONARIES.read().get_lemma(base[:-1] + "ة", "ar")
            if known is not None:
                return known
    return None


class _Dictionaries:
    """The dictionaries of this process; they are read once."""

    def __init__(self) -> None:
        self._reading = threading.Lock()
        self._read: DefaultStrategy | None = None

    @property
    def are_read(self) -> bool:
        return self._read is not None

    def read(self) -> DefaultStrategy:
        if self._read is None:
            with self._reading:
                self._read = self._read or self._from_disk()
        return self._read

    @staticmethod
    def _from_disk() -> DefaultStrategy:
        factory = StreamDictionaryFactory(cache_max_size=len(LEMMATISED))
        for language in sorted(LEMMATISED):
            factory.get_dictionary(language)
        return DefaultStrategy(dictionary_factory=factory)


_DICTIONARIES = _Dictionaries()


async def dictionaries_read() -> None:
    """Wait until the dictionaries are read, so that no lookup blocks the event loop."""
    if not _DICTIONARIES.are_read:
        await asyncio.to_thread(_DICTIONARIES.read)
