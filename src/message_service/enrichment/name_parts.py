"""The smaller names inside a written word: parts of identifiers, file names, dates and emoji.

A search for a part finds the whole, and not the other way round: `profile` finds `getUserProfile`,
`2031-07-13` finds `holiday_2031-07-13_photos`, `c++` finds `Objective-C++`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

import regex

from message_service.enrichment.folding import APOSTROPHES
from message_service.enrichment.lemmas import REMEMBERED
from message_service.enrichment.stems import MAX_TOKEN

PART = re.compile(rf"[^{APOSTROPHES}_\-]+")
"""A part of a word whose parts are joined by apostrophes, hyphens or underscores."""

_SIMPLE = re.compile(r"[A-Za-z]?[a-z]*|[A-Z]+|\d+")
_SIGNS = re.compile(r"[+#]+$")
_KEYCAP = "\u20e3"
_JOINER = "\u200d"
# HTTP|Server, all|PDFs, get|User, python|3
_HUMP = regex.compile(
    r"\p{Lu}{2,}s(?!\p{L})|\p{Lu}+(?!\p{Ll})|\p{Lu}?[^\p{Lu}\d+#]+|\p{Lu}|\d+|[+#]+"
)
_MAX_ATOMS = 24
_MAX_JOINED = 4
_SHORT_NAME = 6  # a name of more humps than this with humps of a letter or two is a key, not words
_MOST_BORDERS = 3  # between letters and digits
_DOTTED = re.compile(r"\.(?<!\.\.)([A-Za-z][\w\-]*)")

Span = tuple[int, int]


def inner_spans(word: str) -> tuple[Span, ...]:
    """Return the places of the smaller names inside a word, the word itself excepted.

    They are its parts between hyphens, underscores and apostrophes, at capitals and between letters
    and digits, and up to four neighbouring parts together.

    Args:
        word: The word as written, in compatibility form.
    """
    # Words of many thousand characters exist; they are not worth remembering.
    return _inner_spans(word) if len(word) <= MAX_TOKEN else tuple(_found(word))


@lru_cache(maxsize=REMEMBERED)
def _inner_spans(word: str) -> tuple[Span, ...]:
    return () if _SIMPLE.fullmatch(word) else tuple(_found(word))


def _found(word: str) -> Iterator[Span]:
    signs = _SIGNS.search(word)
    name_end = signs.start() if signs and signs.start() else len(word)
    if name_end < len(word):
        yield 0, name_end
    atoms = list(_atoms(word, name_end))
    for start, end in atoms:
        if end - start > 2 and word[end - 1] == "s" and word[start : end - 1].isupper():
            yield start, end - 1  # PDFs
        if end - start == len(word):
            return
        if end - start > 1 or (word[start].isdigit() and word[start - 1 : start] in ("v", "V")):
            yield start, end
    near = atoms[:_MAX_ATOMS]
    for first, (start, _) in enumerate(near):
        for _, end in near[first + 1 : first + _MAX_JOINED]:
            if end - start < name_end and end - start <= MAX_TOKEN:
                yield start, end
    if name_end < len(word) and len(atoms) > 1:
        yield atoms[-1][0], len(word)


def _atoms(word: str, name_end: int) -> Iterator[Span]:
    """Yield the places of the smallest names, in order."""
    for part in PART.finditer(word, 0, name_end):
        humps = [found.span() for found in _HUMP.finditer(part[0])]
        if len(humps) == 1 or _is_key(part[0], humps):
            yield part.span()
        else:
            yield from ((part.start() + start, part.start() + end) for start, end in humps)


def _is_key(part: str, humps: list[Span]) -> bool:
    """Whether a part is a hash or key, whose humps are no words."""
    if len(humps) > _SHORT_NAME and len(part) < 3 * len(humps):
        return True
    borders = sum(part[start - 1].isdigit() != part[start].isdigit() for start, _ in humps[1:])
    return borders > _MOST_BORDERS


def emoji_parts(emoji: str) -> tuple[str, ...]:
    """Return the emoji that a joined emoji consists of, or the digit of a keycap."""
    if emoji.endswith(_KEYCAP):
        return (emoji[0],) if emoji[0].isdigit() else ()
    found = tuple(part[0] for part in emoji.split(_JOINER) if part)
    return found if found != (emoji,) and not _is_flag(emoji) else ()


def _is_flag(emoji: str) -> bool:
    return "\U0001f1e6" <= emoji[0] <= "\U0001f1ff"


def dotted_names(text: str) -> Iterator[Span]:
    """Yield the places of names that follow a dot, with the dot: `.NET`, the `.pdf` of `a.pdf`."""
    if "." in text:
        yield from (found.span() for found in _DOTTED.finditer(text))
