"""The folded form of text, which is used to compare texts."""

from __future__ import annotations

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
        ("ı", "i"), ("أإآٱ", "ا"), ("ىیئ", "ي"), ("ؤ", "و"), ("ة", "ه"), ("ک", "ك"),
        ("\u0640\u200c\u200d", ""),
    )
    for source in sources
} | PLAIN_APOSTROPHES  # fmt: skip
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
        or code in (0x610, 0x670)
    )


_FOLDING = _Folding(_LETTERS)


def fold(text: str) -> str:
    """Return the folded form of a text, which is used to compare texts.

    Folding applies NFKC and case folding, removes accents in Latin, Greek, Cyrillic, Hebrew and
    Arabic, and unifies Arabic letters with several spellings. Chinese, Japanese, Korean and Indic
    text keeps its marks.
    """
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", text).casefold().translate(_FOLDING)
