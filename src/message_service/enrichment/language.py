"""Which language a text is in, with a confidence; short and mixed texts handled with care."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import eldc  # pyright: ignore[reportMissingTypeStubs]

UNDETERMINED = "und"
"""ISO 639-2 code for a language that could not be told."""

MIN_LETTERS = 3
"""Fewer letters than this say nothing in a script shared by several languages."""

MIN_CONFIDENCE = 0.7
"""Below this the answer is `und`.

The detector takes a language it does not know for one it does: at 0.3 romanised Hindi was
Indonesian, Basque or another nine times in ten, at 0.7 from 20 characters on never. At 0.8 one
English text in ten of 20 to 50 characters would be lost. Measured by
`benchmarks.enrichment_language`, published in `docs/how-to/enrichment.md`.
"""

_SCANNED = 1_000  # the detector reads no more than 1,000 bytes
# Detectors guess on these: links, code, names of users and tags.
_NOISE = re.compile(
    r"```.{0,1000}?(?:```|\Z)|`[^`\n]{1,200}`|https?://\S{1,1000}|[@#]\w{1,64}", re.S
)
_LETTERS = re.compile(r"[^\W\d_]")
_HANGUL = re.compile(r"[\uac00-\ud7a3]")
_KANA = re.compile(r"[\u3041-\u30fa]")
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")
# The detector has no code for Indonesian and answers Malay, which chat has far less of.
_RENAMED = {"ms": "id", "nb": "no", "nn": "no"}


@dataclass(frozen=True, slots=True)
class Language:
    """A detected language.

    Attributes:
        code: ISO 639-1, or `und`.
        confidence: 0 to 1; the detector's score, 0 for `und`.
    """

    code: str
    confidence: float


_UNKNOWN = Language(UNDETERMINED, 0.0)


def detect_language(text: str, min_confidence: float = MIN_CONFIDENCE) -> Language:
    """Return the language of a text, `und` when the detector is unsure.

    Links, code and @names are left out. Texts of fewer than three letters are `und` unless their
    script settles it (kana, Hangul, Han). Weak on one or two words: many are `und`, some wrong.

    Args:
        text: The text.
        min_confidence: The score under which the detector's answer is not taken.
    """
    cleaned = text[: 2 * _SCANNED]
    if "`" in cleaned or "://" in cleaned or "@" in cleaned or "#" in cleaned:
        cleaned = _NOISE.sub(" ", cleaned)
    if not cleaned.isascii():
        settled = _by_script(cleaned)
        if settled is not None:
            return settled
    if len(cleaned) < 40 and len(_LETTERS.findall(cleaned)) < MIN_LETTERS:
        return _UNKNOWN
    found: Any = _detector().detect_details(cleaned[:_SCANNED])
    code = str(found.language)
    confidence = float(found.scores.get(code, 0.0)) if found.scores else 0.0
    if code == UNDETERMINED or confidence < min_confidence:
        return _UNKNOWN
    return Language(_RENAMED.get(code, code), min(1.0, round(confidence, 3)))


def _by_script(text: str) -> Language | None:
    """Settle Korean, Japanese and Chinese by their characters, when they are most of the text."""
    hangul, kana, han = (len(kind.findall(text)) for kind in (_HANGUL, _KANA, _HAN))
    letters = len(_LETTERS.findall(text))
    if not letters or 2 * (hangul + kana + han) < letters:
        return None
    share = min(1.0, round((hangul + kana + han) / letters, 3))
    if hangul > kana and hangul >= han:
        return Language("ko", share)
    if kana:
        return Language("ja", share)
    return Language("zh", share) if han else None


@cache
def _detector() -> Any:
    library: Any = eldc
    library.init()
    detector = library.instance()
    detector.set_scores(1)
    return detector
