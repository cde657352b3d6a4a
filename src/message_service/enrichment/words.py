"""The words of a text in the forms that are stored, and the terms of the search index."""

from __future__ import annotations

from dataclasses import dataclass

from message_service.enrichment.folding import fold
from message_service.enrichment.limits import MAX_FORM, MAX_TERMS
from message_service.enrichment.name_parts import dotted_names, emoji_parts, inner_spans
from message_service.enrichment.stems import MAX_TOKEN, base_form, forms
from message_service.enrichment.stop_words import STOP_WORDS
from message_service.enrichment.tokens import (
    BREAK,
    RUN,
    Kind,
    Token,
    compatible,
    folded_unit,
    is_unspaced,
    occurrences,
    pieces,
    spans,
    tokenize,
)

__all__ = ["Token", "Words", "analyse", "is_unspaced", "occurrences", "tokenize"]


@dataclass(frozen=True, slots=True)
class Words:
    """A text in the forms of `indexed_content` in the source design.

    Attributes:
        normalized: Folded words joined by spaces; unspaced runs are not split.
        stemmed: The same with each word stemmed.
        tokens: Words and two-character pieces.
        bigrams: Pairs of neighbouring words; in unspaced runs, pairs of characters.
        trigrams: Likewise with three.
        terms: The search terms: distinct tokens, their parts and stems, without stop words.
    """

    normalized: str
    stemmed: str
    tokens: list[str]
    bigrams: list[str]
    trigrams: list[str]
    terms: list[str]


def analyse(text: str, language: str) -> Words:
    """Return the searchable forms of a text.

    Args:
        text: The text.
        language: ISO 639-1 code that selects the stemmer; an unknown code means no stemming.
    """
    normalized: list[str] = []
    stemmed: list[str] = []
    tokens: list[str] = []
    units: list[str] = []  # words and single characters, from which n-grams are formed
    terms: dict[str, None] = {}
    has_run = False
    length = 0
    same, starts, ends = compatible(text)
    broken = BREAK in text
    run_kind = Kind.RUN
    for start, end, kind in spans(same):
        room = min(MAX_FORM - length, MAX_TERMS - len(units))
        if room <= 0:
            break
        if kind is run_kind:
            run = same[start : min(end, start + room)]
            length += len(run) + 1
            has_run = True
            found = pieces(run)
            normalized.append(run)
            stemmed.append(run)
            tokens.extend(found)
            units.extend(run)
            terms.update(dict.fromkeys(found))
            terms[run[-1]] = None  # so that a search for one character finds the last one too
            continue
        written = same[start:end]
        word = folded_unit(written, kind)
        if not word:
            continue
        base = word if kind is Kind.EMOJI else base_form(written, language)
        if "'" in base:
            base = base.replace("'", "")  # ranking looks for "dont" here
        length += max(len(word), len(base)) + 1
        normalized.append(word)
        stemmed.append(base)
        tokens.append(word)
        units.append(word)
        add_terms(terms, written, word, kind, language)
        if broken:
            original = text[starts[start] : ends[end - 1]]
            add_broken_terms(terms, original, language)
    for start, end in dotted_names(same):
        terms[fold(same[start:end])[:MAX_TOKEN]] = None
    return Words(
        normalized=" ".join(normalized),
        stemmed=" ".join(stemmed),
        tokens=tokens,
        bigrams=_grams(units, 2, has_run=has_run),
        trigrams=_grams(units, 3, has_run=has_run),
        terms=list(terms)[:MAX_TERMS],
    )


def add_terms(terms: dict[str, None], written: str, word: str, kind: Kind, language: str) -> None:
    """Add the terms by which a search finds a word or an emoji.

    Args:
        terms: The terms so far.
        written: The word in compatibility form.
        word: Its folded form.
        kind: Whether it is a word or an emoji.
        language: ISO 639-1 code.
    """
    if kind is Kind.EMOJI:
        terms[word] = None
        terms.update(dict.fromkeys(emoji_parts(word)))
        return
    _add_own(terms, written, word, language)
    if written.isalpha() and written.islower():
        return  # as most words: they have no parts
    for start, end in inner_spans(written):
        part = written[start:end]
        _add_own(terms, part, fold(part)[:MAX_TOKEN], language)
    if "'" in word:
        joined = word.replace("'", "")
        if joined not in STOP_WORDS and word not in STOP_WORDS:
            terms[joined] = None  # people type "dont" and "whats"


def add_broken_terms(terms: dict[str, None], original: str, language: str) -> None:
    """Add the terms of the words that zero-width spaces divide a word into.

    Args:
        terms: The terms so far.
        original: The word with its format characters.
        language: ISO 639-1 code.
    """
    if BREAK in original:
        for part in original.split(BREAK):
            written, _, _ = compatible(part)
            if len(written) > 1:
                _add_own(terms, written, fold(written)[:MAX_TOKEN], language)


def own_terms(written: str, word: str, language: str) -> tuple[str, ...]:
    """Return the terms of a word, or part of a word, without those of its own parts."""
    return (word, *forms(written, language)) if word and word not in STOP_WORDS else ()


def _add_own(terms: dict[str, None], written: str, word: str, language: str) -> None:
    if word and word not in STOP_WORDS:
        terms[word] = None
        for form in forms(written, language):
            terms[form] = None


def _grams(units: list[str], size: int, *, has_run: bool) -> list[str]:
    grams = zip(*(units[offset:] for offset in range(size)), strict=False)
    if not has_run:
        return [" ".join(gram) for gram in grams]
    return [
        "".join(gram) if all(RUN.match(unit) for unit in gram) else " ".join(gram) for gram in grams
    ]
