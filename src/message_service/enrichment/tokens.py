"""Splits text of any script into tokens: words, emoji, and pieces of unspaced text.

Text in scripts with spaces between words is split into words. Chinese, Japanese, Korean, Thai, Lao,
Khmer and Burmese text is split into overlapping two-character pieces, so that a search finds any
substring of two or more characters (MongoDB's text index finds only whole runs of such text).

A word includes the signs at its end that are part of a name: C++, C#, A+. An emoji is one token,
however many code points it has.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from message_service.enrichment.folding import APOSTROPHES, fold
from message_service.enrichment.stems import MAX_TOKEN

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u1100-\u11ff\u3005-\u3007\u3041-\u3096\u3099-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3130-\u318f"
    "\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff"
    "\U0001b000-\U0001b16f\U00020000-\U0003ffff"
)
_EMOJI = (
    "\u231a\u231b\u2328\u23cf\u23e9-\u23fa\u25b6\u25c0\u2600-\u27bf\u2934\u2935\u2b05-\u2b07"
    "\u2b1b\u2b1c\u2b50\u2b55\U0001f004\U0001f0cf\U0001f170-\U0001f171\U0001f17e-\U0001f17f"
    "\U0001f18e\U0001f191-\U0001f19a\U0001f300-\U0001f3fa\U0001f400-\U0001faff"
)
_REGIONAL = "\U0001f1e6-\U0001f1ff"
_KEYCAP = "\u20e3"
_JOINER = "\u200d"
_TAGS = "\U000e0020-\U000e007f"

_JOINTS = "'-"

BREAK = "\u200b"
"""The zero-width space. It is no part of a word, but the words on its two sides may be words."""

# Soft hyphen, zero-width space, word joiner and invisible operators, byte order mark, bidi marks.
_FORMAT = "\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff"
# Variation selectors and skin tones: they belong to the character before them.
_VARIANT = "\u180b-\u180d\ufe00-\ufe0f\U0001f3fb-\U0001f3ff\U000e0100-\U000e01ef"
_FORMAT_CHARACTER = re.compile(f"[{_FORMAT}]+")
_IGNORED = re.compile(f"[{_FORMAT}{_VARIANT}]")
_IS_VARIANT = re.compile(f"[{_VARIANT}]")


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


# C++ and C++17, A+, C#; but not a+b, 5+, or page#section.
_SIGNS = r"(?:(?<=[^\W\d_])\+(?:\+(?![^\W\d_])|(?![\w+]))|(?<=\b[A-Za-z])#(?!\w))?"
_FIRST = rf"[^\Wʼ{_UNSPACED}{_EMOJI}]"
_LETTER = rf"(?:{_FIRST}|[{_marks()}\u200c\u200d])"
_TOKEN = re.compile(
    rf"(?P<run>[{_UNSPACED}]+)"
    rf"|(?P<emoji>[{_REGIONAL}]{{1,2}}|[0-9#*]{_KEYCAP}"
    rf"|[{_EMOJI}][{_TAGS}]*(?:{_JOINER}[{_EMOJI}][{_TAGS}]*)*)"
    rf"|(?P<word>{_FIRST}{_LETTER}*(?:[{APOSTROPHES}\-]{_FIRST}{_LETTER}*)*{_SIGNS})"
)
_ASCII_TOKEN = re.compile(rf"\w+(?:['\-]\w+)*{_SIGNS}")

RUN = re.compile(rf"[{_UNSPACED}]")
"""A character of a script written without spaces (or Korean)."""


class Kind(Enum):
    """The kinds of units that a text consists of."""

    WORD = "word"
    RUN = "run"
    EMOJI = "emoji"


_KINDS: Mapping[str | None, Kind] = {kind.value: kind for kind in Kind}  # faster than Kind(name)


@dataclass(frozen=True, slots=True)
class Unit:
    """A word, an emoji, or a whole run of unspaced text, with its place in the text.

    Attributes:
        text: The unit in compatibility form, without format characters and variants.
        starts: The position in the text of each of its characters.
        ends: The position after each of its characters.
        kind: What it is.
    """

    text: str
    starts: Sequence[int]
    ends: Sequence[int]
    kind: Kind


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


def units(text: str) -> Iterator[Unit]:
    """Yield the words, emoji and unspaced runs of a text, in order."""
    same, starts, ends = compatible(text)
    for start, end, kind in spans(same):
        yield Unit(same[start:end], starts[start:end], ends[start:end], kind)


def occurrences(text: str) -> Iterator[Token]:
    """Yield the tokens of a text with their positions, in order; pieces overlap."""
    for unit in units(text):
        if unit.kind is Kind.RUN:
            for place, piece in enumerate(pieces(unit.text)):
                last = place + len(piece) - 1
                yield Token(piece, unit.starts[place], unit.ends[last], piece=True)
        elif folded := folded_unit(unit.text, unit.kind):
            yield Token(folded, unit.starts[0], unit.ends[-1])


def tokenize(text: str) -> list[str]:
    """Return the folded tokens of a text, in order."""
    if text.isascii():
        return [token[:MAX_TOKEN] for token in _ASCII_TOKEN.findall(text.lower())]
    return [token.text for token in occurrences(text)]


def folded_unit(written: str, kind: Kind) -> str:
    """Return the folded form of a word or emoji; it is empty for a word of removable signs only.

    An emoji keeps its joiners, by which it differs from a row of several emoji.
    """
    if written.isascii():
        return written.lower()[:MAX_TOKEN]
    if kind is Kind.EMOJI:
        return written[:MAX_TOKEN]
    return fold(written).strip(_JOINTS)[:MAX_TOKEN]  # a joint is left over beside removed signs


def is_unspaced(text: str) -> bool:
    """Whether a text has characters of a script written without spaces (or Korean)."""
    return not text.isascii() and RUN.search(text) is not None


def without_format(text: str) -> str:
    """Return a text without the invisible characters that may stand inside words."""
    return text if text.isascii() else _FORMAT_CHARACTER.sub("", text)


def compatible(text: str) -> tuple[str, Sequence[int], Sequence[int]]:
    """Return the form of a text that is split, and the original place of each of its characters.

    The form is the text's NFKC without format characters (such as soft hyphens), variation
    selectors and skin tones. NFKC turns characters such as ¼ into several characters, and some
    half-width kana into one.

    Returns:
        The form; the start and the end in the text of each character of the form.
    """
    if text.isascii() or (
        unicodedata.is_normalized("NFKC", text) and _IGNORED.search(text) is None
    ):
        return text, range(len(text)), range(1, len(text) + 1)
    parts: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    start = 0
    while start < len(text):
        end = start + 1
        if _IGNORED.match(text[start]):
            if ends and ends[-1] == start and _IS_VARIANT.match(text[start]):
                ends[-1] = end
            start = end
            continue
        while end < len(text) and (text[end] in "ﾞﾟ" or unicodedata.combining(text[end])):
            end += 1
        part = unicodedata.normalize("NFKC", text[start:end])
        parts.append(part)
        starts.extend([start] * len(part))
        ends.extend([end] * len(part))
        start = end
    return "".join(parts), starts, ends


def spans(text: str) -> Iterator[tuple[int, int, Kind]]:
    """Yield the start, the end and the kind of each unit of a text in compatibility form."""
    if text.isascii():
        word = Kind.WORD
        for match in _ASCII_TOKEN.finditer(text):
            yield match.start(), match.end(), word
        return
    for match in _TOKEN.finditer(text):
        yield match.start(), match.end(), _KINDS[match.lastgroup]


def pieces(run: str) -> list[str]:
    """Return the overlapping two-character pieces of an unspaced run."""
    return [run] if len(run) == 1 else [run[i : i + 2] for i in range(len(run) - 1)]
