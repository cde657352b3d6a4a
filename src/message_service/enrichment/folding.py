"""The folded form of text, which is used to compare texts."""

from __future__ import annotations

import re
import unicodedata

APOSTROPHES = "'’‘ʼ"
"""The characters used as apostrophes, the ASCII apostrophe first."""

PLAIN_APOSTROPHES = dict.fromkeys(map(ord, APOSTROPHES), "'")
"""For `str.translate`: maps every apostrophe to the ASCII apostrophe."""

# Letters that canonical decomposition does not change: ligatures, letters with strokes, and Arabic
# letters with several spellings.
_LETTERS = {
    ord(source): target
    for sources, target in (
        ("æ", "ae"), ("œ", "oe"), ("ø", "o"), ("ł", "l"), ("đ", "d"), ("ð", "d"), ("þ", "th"),
        ("ı", "i"), ("أإآٱٲٳ", "ا"), ("ىیئې", "ي"), ("ؤ", "و"), ("ةۃہھەۀۂ", "ه"),
        ("کڪ", "ك"), ("\u0640\u06e5\u06e6\u200c\u200d", ""),
    )
    for source in sources
} | PLAIN_APOSTROPHES  # fmt: skip
# The letter آ is also written ءا; a hamza before و stands on it, on a ي, or alone: مسؤول, مسئول.
# A search starts only at the first hamza of a row, so that its time is linear.
_HAMZA_BEFORE_ALEF = re.compile(r"(?<!ء)ء++(?=ا)")
_HAMZA_BEFORE_WAW = re.compile(r"(?<![ءئ])[ءئ]++(?=و)")
_LAST_HAMZA = re.compile(r"(?<=ي)ء++(?!\w)")  # شيء is also written شئ
_KEPT = {"й", "ї"}  # separate letters of the alphabet, not accented letters


class _Folding(dict[int, str]):
    """Maps a code point to its folded form, which is computed on first use."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        folded = character
        if character not in _KEPT:
            base = unicodedata.normalize("NFD", character)
            folded = "".join(c for c in base if not _is_accent(c))
            folded = unicodedata.normalize("NFC", folded)
        self[code] = folded
        return folded


def _is_accent(character: str) -> bool:
    code = ord(character)
    return (
        0x300 <= code <= 0x36F
        or 0x483 <= code <= 0x487
        or 0x591 <= code <= 0x5C7
        or 0x64B <= code <= 0x65F
        or 0x610 <= code <= 0x61A
        or code == 0x670
        or 0x6D6 <= code <= 0x6DC
        or 0x6DF <= code <= 0x6E4
        or code in (0x6E7, 0x6E8)
        or 0x6EA <= code <= 0x6ED
    )


_FOLDING = _Folding(_LETTERS)
_FOLDING_BUT_HAMZA = _Folding(_LETTERS | {ord("ئ"): "ئ"})


def fold(text: str) -> str:
    """Return the folded form of a text, which is used to compare texts.

    Folding applies NFKC and case folding, removes accents in Latin, Greek, Cyrillic, Hebrew and
    Arabic, and unifies Arabic letters and hamzas with several spellings. Chinese, Japanese, Korean
    and Indic text keeps its marks.
    """
    if text.isascii():
        return text.lower()
    text = unicodedata.normalize("NFKC", text).casefold()
    if "ء" not in text and "ئ" not in text:
        return text.translate(_FOLDING)
    text = _HAMZA_BEFORE_ALEF.sub("", text.translate(_FOLDING_BUT_HAMZA))
    text = _HAMZA_BEFORE_WAW.sub("و", text).replace("ئ", "ي")
    return _LAST_HAMZA.sub("", text)
