"""Removes Korean and Japanese endings from words of a query, so that the bare word is found.

Text in these scripts is matched piece by piece, so a word finds every form that begins with it, but
not the other way round. The list holds only endings that are hardly ever the last letters of a
word itself; 이, 가 and 의 often are (고양이, 작가, 회의), so they are not in it.
"""

from __future__ import annotations

import re

_FIRST_SYLLABLE = 0xAC00
_FINALS = 28  # syllables come in groups of 28, the first of each without a final consonant
_L = 8  # the final consonant after which 로 is written as after a vowel

_SURU = re.compile(
    r"(?<=[\u3400-\u9fff\u30a1-\u30ff々]{2})"
    r"(?:する|した|して|します|しました|しない|している|していた|したい)$"
)
_HANGUL = re.compile(r"[\uac00-\ud7a3]{3,}")
_SHORTEST = 2


def without_ending(run: str) -> str:
    """Return an unspaced run of a query without an attached particle or する; else as it is.

    At least two characters remain: 토끼를 becomes 토끼, 운전하는 stays findable as 운전하, 運転する
    becomes 運転.
    """
    if not _HANGUL.fullmatch(run):
        return _SURU.sub("", run)
    for particle, fits in _PARTICLES:
        base = run.removesuffix(particle)
        if base != run and len(base) >= _SHORTEST and fits(_final(base)):
            return base
    return run


def _final(word: str) -> int:
    """Return which consonant a word ends in; 0 is none."""
    return (ord(word[-1]) - _FIRST_SYLLABLE) % _FINALS


def _any(final: int) -> bool:
    return True


def _vowel(final: int) -> bool:
    return final == 0


def _vowel_or_l(final: int) -> bool:
    return final in (0, _L)


def _consonant(final: int) -> bool:
    return final != 0


_PARTICLES = (
    *((particle, _any) for particle in ("에서", "에게", "한테", "까지", "부터", "처럼", "보다")),
    *((particle, _consonant) for particle in ("으로", "을", "은", "과")),
    *((particle, _vowel) for particle in ("를", "는", "와")),
    ("로", _vowel_or_l),
)
