"""Stems and the other forms a word is found by."""

from __future__ import annotations

import unicodedata
from functools import cache, lru_cache
from typing import Any

import Stemmer

from message_service.enrichment.folding import PLAIN_APOSTROPHES, fold
from message_service.enrichment.lemmas import REMEMBERED, lemma, parts
from message_service.enrichment.stop_words import STOP_WORDS

MAX_TOKEN = 64
"""Longest token in code points; what is longer is cut, so that no index key grows without bound."""


def stem(word: str, language: str) -> str:
    """Return the folded stem of a word as written (with its accents, which stemmers need)."""
    algorithm = STEMMERS.get(language)
    if algorithm is None:
        return fold(word)[:MAX_TOKEN]
    lowered = word.lower() if word.isascii() else unicodedata.normalize("NFKC", word).casefold()
    return fold(_stemmer(algorithm).stemWord(lowered.translate(PLAIN_APOSTROPHES)[:MAX_TOKEN]))


def stems(word: str, language: str) -> tuple[str, ...]:
    """Return the stems a word is found by: as written, and as people type it without its accents.

    The two differ where a stemmer knows an ending only by its accent ("randonnée": randon; without
    the accent: randonne).
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
    """Return the stem of a word's dictionary form, or of the word when the dictionary lacks it.

    "duermo" and "dormir" have this form in common, and no stem. A function word is nobody's base.
    """
    plain = stem(word, language)
    known = lemma(word, language)
    if known is None or known == word or not known.isalpha():
        return plain
    return plain if fold(known) in STOP_WORDS else stem(known, language) or plain


@lru_cache(maxsize=REMEMBERED)
def forms(word: str, language: str) -> tuple[str, ...]:
    """Return what a word of a text is found by, beside itself.

    Its stems, its base form, and those of the words it is made of.
    """
    found = dict.fromkeys((*stems(word, language), base_form(word, language)))
    for part in parts(word, language):
        found[fold(part)] = None
        found[base_form(part.capitalize(), language)] = None
    return tuple(form for form in found if form)


@cache
def _stemmer(algorithm: str) -> Any:
    # One object per algorithm; the service stems on its event loop's thread only.
    library: Any = Stemmer
    return library.Stemmer(algorithm)
