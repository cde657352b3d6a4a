"""The folded form of text: the one in which texts are compared."""

from __future__ import annotations

import unicodedata

APOSTROPHES = "'’‘ʼ"
"""The ways an apostrophe is written, the one on the keyboard first."""

PLAIN_APOSTROPHES = dict.fromkeys(map(ord, APOSTROPHES), "'")
"""For `str.translate`: each of them to the one on the keyboard."""

# What canonical decomposition leaves: ligatures, strokes, and Arabic letters written several ways.
_LETTERS = {
    ord(source): target
    for sources, target in (
        ("æ", "ae"), ("œ", "oe"), ("ø", "o"), ("ł", "l"), ("đ", "d"), ("ð", "d"), ("þ", "th"),
        ("ı", "i"), ("أإآٱ", "ا"), ("ىیئ", "ي"), ("ؤ", "و"), ("ة", "ه"), ("ک", "ك"),
        ("\u0640\u200c\u200d", ""),
    )
    for source in sources
} | PLAIN_APOSTROPHES  # fmt: skip
_KEPT = {"й", "ї"}  # letters of their own, not a letter with an accent


class _Folding(dict[int, str]):
    """Maps a code point to its folded form, worked out when first met."""

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
    """Return the form in which texts are compared.

    NFKC and case folding; accents dropped in Latin, Greek, Cyrillic, Hebrew and Arabic; Arabic
    letters with several spellings unified. Chinese, Japanese, Korean and Indic text keeps its
    marks.
    """
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", text).casefold().translate(_FOLDING)
