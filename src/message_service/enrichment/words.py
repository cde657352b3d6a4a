"""Splits text of any script into tokens, n-grams, and the terms of the search index.

Text in scripts with spaces between words is split into words. Chinese, Japanese, Korean, Thai, Lao,
Khmer and Burmese text is split into overlapping two-character pieces, so that a search finds any
substring of two or more characters (MongoDB's text index finds only whole runs of such text).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from message_service.enrichment.folding import APOSTROPHES, fold
from message_service.enrichment.limits import MAX_FORM, MAX_TERMS
from message_service.enrichment.stems import MAX_TOKEN, base_form, forms
from message_service.enrichment.stop_words import STOP_WORDS

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u1100-\u11ff\u3005-\u3007\u3041-\u3096\u3099-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3130-\u318f"
    "\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff"
    "\U0001b000-\U0001b16f\U00020000-\U0003ffff"
)
_EMOJI = "\u2600-\u27bf\u2b50\u2b55\U0001f300-\U0001f3fa\U0001f400-\U0001faff"


def _marks() -> str:
    """Ranges of combining marks, which are not word characters; Indic words contain them."""
    ranges: list[str] = []
    start: int | None = None
    for code in (*range(0x300, 0x1E00), 0x1E00):
        is_mark = code < 0x1E00 and unicodedata.category(chr(code))[0] == "M"
        if is_mark and start is None:
            start = code
        elif not is_mark and start is not None:
            ranges.append(f"{chr(start)}-{chr(code - 1)}")
            start = None
    return "".join(ranges)


_LETTER = rf"[^\Wʼ{_UNSPACED}{_EMOJI}]|[{_marks()}\u200c\u200d]"
_TOKEN = re.compile(
    rf"(?P<run>[{_UNSPACED}]+)|(?P<emoji>[{_EMOJI}])"
    rf"|(?P<word>(?:[^\Wʼ{_UNSPACED}{_EMOJI}])(?:{_LETTER})*(?:[{APOSTROPHES}\-](?:{_LETTER})+)*)"
)
_ASCII_TOKEN = re.compile(r"\w+(?:['\-]\w+)*")
_RUN = re.compile(rf"[{_UNSPACED}]")
PART = re.compile(rf"[^{APOSTROPHES}_\-]+")
"""A part of a word whose parts are joined by apostrophes, hyphens or underscores."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token of a text.

    Attributes:
        text: Its folded form.
        start: Its first position in the text, in code points.
        end: The position after its end.
        piece: Whether it is a piece of unspaced text (an n-gram) and not a word.
    """

    text: str
    start: int
    end: int
    piece: bool = False


def occurrences(text: str) -> Iterator[Token]:
    """Yield the tokens of a text with their positions, in order; pieces overlap."""
    same, starts, ends = _compatible(text)
    for start, end, is_run in _units(same):
        if not is_run:
            yield Token(fold(same[start:end])[:MAX_TOKEN], starts[start], ends[end - 1])
            continue
        for place, piece in enumerate(_pieces(same[start:end]), start=start):
            last = place + len(piece) - 1
            yield Token(piece, starts[place], ends[last], piece=True)


def tokenize(text: str) -> list[str]:
    """Return the folded tokens of a text, in order."""
    if text.isascii():
        return [token[:MAX_TOKEN] for token in _ASCII_TOKEN.findall(text.lower())]
    return [token.text for token in occurrences(text)]


def is_unspaced(text: str) -> bool:
    """Whether a text has characters of a script written without spaces (or Korean)."""
    return not text.isascii() and _RUN.search(text) is not None


def _compatible(text: str) -> tuple[str, Sequence[int], Sequence[int]]:
    """Return the text's compatibility form (NFKC) and the original position of each character.

    NFKC turns characters such as ¼ into several characters, and some half-width kana into one.
    """
    if text.isascii() or unicodedata.is_normalized("NFKC", text):
        return text, range(len(text)), range(1, len(text) + 1)
    parts: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    start = 0
    while start < len(text):
        end = start + 1
        while end < len(text) and (text[end] in "ﾞﾟ" or unicodedata.combining(text[end])):
            end += 1
        part = unicodedata.normalize("NFKC", text[start:end])
        parts.append(part)
        starts.extend([start] * len(part))
        ends.extend([end] * len(part))
        start = end
    return "".join(parts), starts, ends


def _units(text: str) -> Iterator[tuple[int, int, bool]]:
    """Yield the start and end of each word or unspaced run, and whether it is a run."""
    if text.isascii():
        for match in _ASCII_TOKEN.finditer(text):
            yield match.start(), match.end(), False
        return
    for match in _TOKEN.finditer(text):
        yield match.start(), match.end(), match["run"] is not None


def _pieces(run: str) -> list[str]:
    return [run] if len(run) == 1 else [run[i : i + 2] for i in range(len(run) - 1)]


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
    same, _, _ = _compatible(text)
    for start, end, is_run in _units(same):
        room = min(MAX_FORM - length, MAX_TERMS - len(units))
        if room <= 0:
            break
        if is_run:
            run = same[start : min(end, start + room)]
            length += len(run) + 1
            has_run = True
            pieces = _pieces(run)
            normalized.append(run)
            stemmed.append(run)
            tokens.extend(pieces)
            units.extend(run)
            terms.update(dict.fromkeys(pieces))
            terms[run[-1]] = None  # so that a search for one character finds the last one too
            continue
        written = same[start:end]
        word = fold(written)[:MAX_TOKEN]
        base = base_form(written, language)
        length += max(len(word), len(base)) + 1
        normalized.append(word)
        stemmed.append(base)
        tokens.append(word)
        units.append(word)
        terms.update(dict.fromkeys(_word_terms(written, word, language)))
    return Words(
        normalized=" ".join(normalized),
        stemmed=" ".join(stemmed),
        tokens=tokens,
        bigrams=_grams(units, 2, has_run=has_run),
        trigrams=_grams(units, 3, has_run=has_run),
        terms=list(terms)[:MAX_TERMS],
    )


def _word_terms(written: str, word: str, language: str) -> Iterator[str]:
    if word not in STOP_WORDS:
        yield word
        yield from forms(written, language)
    if "-" in word or "'" in word or "_" in word:
        for part in PART.findall(written):
            folded = fold(part)
            if len(folded) > 1 and folded not in STOP_WORDS:
                yield folded
                yield from forms(part, language)
    if "'" in word:
        joined = word.replace("'", "")
        if joined not in STOP_WORDS and word not in STOP_WORDS:
            yield joined  # people type "dont" and "whats"


def _grams(units: list[str], size: int, *, has_run: bool) -> list[str]:
    grams = zip(*(units[offset:] for offset in range(size)), strict=False)
    if not has_run:
        return [" ".join(gram) for gram in grams]
    return [
        "".join(gram) if all(_RUN.match(unit) for unit in gram) else " ".join(gram)
        for gram in grams
    ]
