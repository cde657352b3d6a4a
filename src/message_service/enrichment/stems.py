"""The stem of a word, and the other forms by which a search finds the word."""

from __future__ import annotations

import unicodedata
from functools import cache, lru_cache
from typing import Any

import Stemmer

from message_service.enrichment.folding import PLAIN_APOSTROPHES, fold
from message_service.enrichment.hebrew import without_prefixes
from message_service.enrichment.lemmas import REMEMBERED, lemma, parts
from message_service.enrichment.stop_words import STOP_WORDS

MAX_TOKEN = 64
"""Longest token in code points; longer tokens are cut, so that index keys are bounded."""


def stem(word: str, language: str) -> str:
    """Return the folded stem of a word as written (with its accents, which stemmers need)."""
    algorithm = STEMMERS.get(language)
    if algorithm is None:
        return fold(word)[:MAX_TOKEN]
    lowered = word.lower() if word.isascii() else unicodedata.normalize("NFKC", word).casefold()
    return fold(_stemmer(algorithm).stemWord(lowered.translate(PLAIN_APOSTROPHES)[:MAX_TOKEN]))


def stems(word: str, language: str) -> tuple[str, ...]:
    """Return the stems of a word: as written, and as people type it without its accents.

    The two differ where a stemmer recognises an ending only by its accent ("randonnée": randon;
    without the accent: randonne).
    """
    base = stem(word, language)
    folded = fold(word)
    if folded == word.lower():
        return (base,)
    return tuple(dict.fromkeys((base, stem(folded, language))))


STEMMERS = {
    "ar": "arabic", "ca": "catalan", "cs": "czech", "da": "danish", "de": "german", "el": "greek",
    "en": "english", "es": "spanish", "et": "estonian", "eu": "basque", "fa": "persian",
    "fi": "finnish", "fr": "french", "ga": "irish", "hi": "hindi", "hu": "hungarian",
    "hy": "armenian", "id": "indonesian", "it": "italian", "lt": "lithuanian", "ms": "indonesian",
    "ne": "nepali", "nl": "dutch", "no": "norwegian", "pl": "polish", "pt": "portuguese",
    "ro": "romanian", "ru": "russian", "sr": "serbian", "sv": "swedish", "ta": "tamil",
    "tr": "turkish",
}  # fmt: skip
"""Snowball algorithm by language code (PyStemmer)."""


@lru_cache(maxsize=REMEMBERED)
def base_form(word: str, language: str) -> str:
    """Return the stem of a word's dictionary form, or of the word if the dictionary lacks the word.

    "duermo" and "dormir" have the same base form but different stems. A function word is never used
    as a base form.
    """
    plain = stem(word, language)
    known = lemma(word, language)
    if known is None or known == word or not known.isalpha():
        return plain
    return plain if fold(known) in STOP_WORDS else stem(known, language) or plain


@lru_cache(maxsize=REMEMBERED)
def forms(word: str, language: str) -> tuple[str, ...]:
    """Return the forms by which a search finds a word of a text, in addition to the word itself.

    These are its stems, its base form, the folded and base forms of the parts of a compound, and a
    Hebrew word without its prefixes.
    """
    found = dict.fromkeys((*stems(word, language), base_form(word, language)))
    for part in parts(word, language):
        found[fold(part)] = None
        found[base_form(part.capitalize(), language)] = None
    if not word.isascii():
        found.update(dict.fromkeys(without_prefixes(fold(word))))
    return tuple(form for form in found if form)


@cache
def _stemmer(algorithm: str) -> Any:
    # One object per algorithm, not thread-safe: the service stems only on its event loop's thread.
    library: Any = Stemmer
    return library.Stemmer(algorithm)
