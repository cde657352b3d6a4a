"""The parts of a query that must be found or absent, and the forms that its words are found by."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from message_service.enrichment.folding import fold
from message_service.enrichment.name_parts import PART
from message_service.enrichment.stems import base_form, stem
from message_service.enrichment.stop_words import STOP_WORDS

_LATIN_LANGUAGES = ("en", "es", "fr", "de", "it", "pt", "nl", "id")
_BY_SCRIPT = (
    (re.compile(r"[\u0400-\u04ff]"), ("ru", "sr")),
    (re.compile(r"[\u0600-\u06ff]"), ("ar", "fa")),
    (re.compile(r"[\u0370-\u03ff]"), ("el",)),
    (re.compile(r"[\u0900-\u097f]"), ("hi", "ne")),
    (re.compile(r"[\u0b80-\u0bff]"), ("ta",)),
    (re.compile(r"[\u0530-\u058f]"), ("hy",)),
)


class ClauseKind(StrEnum):
    """The kinds of clauses."""

    WORD = "word"
    PREFIX = "prefix"
    PHRASE = "phrase"
    LABEL = "label"


@dataclass(frozen=True, slots=True)
class Clause:
    """One part of a query that must be found, or must be absent.

    Attributes:
        kind: Word, prefix, phrase, or label (a feature or topic).
        text: Its folded text, as a hit's normalized text holds it.
        lookups: Lists of equivalent terms; the entry must have a term of each list.
        prefix: The beginning of a term, for a clause that is looked up by prefix.
        stems: Stems that also count as the word.
        negated: Whether it must be absent.
    """

    kind: ClauseKind
    text: str
    lookups: tuple[tuple[str, ...], ...]
    prefix: str | None = None
    stems: frozenset[str] = frozenset()
    negated: bool = False


def dotted_name(name: str) -> Clause:
    """Return the clause of a name with its dot, such as .NET; its text is indexed without it."""
    term = f".{name}"
    return Clause(ClauseKind.WORD, term, ((term,),), stems=frozenset({name}))


def word(written: str, folded: str, language: str | None) -> Clause:
    """Return the clause of a word, which finds the word in all its forms.

    Args:
        written: The word as the query has it.
        folded: Its folded form.
        language: The language of the query; None when it is not known.
    """
    if "'" in folded:
        return _contracted(written, folded, language)
    stems = _stems(written, folded, language)
    return Clause(
        ClauseKind.WORD, folded, (tuple(dict.fromkeys((folded, *sorted(stems)))),), stems=stems
    )


def _stems(written: str, folded: str, language: str | None) -> frozenset[str]:
    """Return the stems of a word in the languages it may be in."""
    if language is not None:
        languages: tuple[str, ...] = (language,)
    elif written.isascii() or "\u00c0" <= max(written) <= "\u024f":
        languages = _LATIN_LANGUAGES
    else:
        languages = next(
            (several for script, several in _BY_SCRIPT if script.search(written)),
            (),
        )
    found = {stem(form, code) for form in (written, folded) for code in languages}
    found |= {base_form(form, code) for form in (written, folded) for code in languages}
    # The word itself is also found as a part of a longer word (`HTTPServer`, והכלב).
    return frozenset({folded, *(form for form in found if len(form) > 1 or len(folded) == 1)})


def _contracted(written: str, folded: str, language: str | None) -> Clause:
    """Return the clause of "l'eau", "dog's" or "don't": as it stands, joined, or its main word."""
    own = _stems(written, folded, language)
    stems = {form for form in own if not form.endswith("'")} | {folded.replace("'", "")}
    content = [
        part for part in PART.findall(written) if len(part) > 2 and fold(part) not in STOP_WORDS
    ]
    for part in content:
        stems |= {fold(part), *_stems(part, fold(part), language)}
    return Clause(
        ClauseKind.WORD,
        folded,
        (tuple(dict.fromkeys((folded, *sorted(stems)))),),
        stems=frozenset(stems),
    )
