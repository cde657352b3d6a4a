"""Detects the language of a text, with a confidence; cautious with short and mixed texts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import eldc  # pyright: ignore[reportMissingTypeStubs]

UNDETERMINED = "und"
"""ISO 639-2 code for an undetermined language."""

MIN_LETTERS = 3
"""Fewer letters are not enough in a script that several languages share."""

MIN_CONFIDENCE = 0.7
"""Below this confidence the answer is `und`.

The detector reports a language it does not know as another language: at 0.3, nine of ten texts in
romanised Hindi were reported as Indonesian, Basque or another language; at 0.7, none of 20
characters or more. At 0.8, a tenth of the English texts of 20 to 50 characters would be `und`.
Measured by `benchmarks.enrichment_language`, published in `docs/how-to/enrichment.md`.
"""

_SCANNED = 1_000  # the detector reads at most 1,000 bytes
# Links, code, user names and tags, which would mislead the detector.
_NOISE = re.compile(
    r"```.{0,1000}?(?:```|\Z)|`[^`\n]{1,200}`|https?://\S{1,1000}|[@#]\w{1,64}", re.S
)
_LETTERS = re.compile(r"[^\W\d_]")
_HANGUL = re.compile(r"[\uac00-\ud7a3]")
_KANA = re.compile(r"[\u3041-\u30fa]")
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")
# The detector reports Indonesian as Malay, which is much rarer in chats.
_RENAMED = {"ms": "id", "nb": "no", "nn": "no"}


@dataclass(frozen=True, slots=True)
class Language:
    """A detected language.

    Attributes:
        code: ISO 639-1, or `und`.
        confidence: 0 to 1: the detector's score; 0 for `und`.
    """

    code: str
    confidence: float


_UNKNOWN = Language(UNDETERMINED, 0.0)


def detect_language(text: str, min_confidence: float = MIN_CONFIDENCE) -> Language:
    """Return the language of a text, or `und` when the detector is unsure.

    Links, code and @names are ignored. Texts of fewer than three letters are `und` unless their
    script determines the language (kana, Hangul, Han). Detection is weak on one or two words: many
    results are `und`, some are wrong.

    Args:
        text: The text.
        min_confidence: The minimum score; a lower score gives `und`.
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
    """Detect Korean, Japanese and Chinese by their characters, if these are most of the text."""
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
