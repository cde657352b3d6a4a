"""Text statistics (words, characters, reading time, estimated tokens), and sanitized text."""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass

TOKENIZER = "estimate-1"
"""Name stored with `token_count`: four ASCII characters per token, one other character per token.

The estimate is for token budgets, not for billing; the providers' own counts are in `token_usage`.
Compared with cl100k-like vocabularies, such rules differ by about a quarter on single texts.
"""

WORDS_PER_MINUTE = 238
"""Silent reading of English non-fiction: Brysbaert (2019), J. Memory and Language 109."""

IDEOGRAPHS_PER_MINUTE = 255
"""Silent reading of Chinese: Trauzettel-Klosinski & Dietz (2012), IOVS 53 (9)."""

_WORD = re.compile(r"\w+(?:['’-]\w+)*")
_IDEOGRAPH = re.compile(
    r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
# C0 and C1 controls except tab, line feed and carriage return; byte order mark; noncharacters; the
# two bidirectional overrides, which display text in another order than it is stored.
_UNWANTED = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff\ufffe\uffff\ufdd0-\ufdef\u202d\u202e]"
)


@dataclass(frozen=True, slots=True)
class TextStatistics:
    """Counts of one text.

    Attributes:
        word_count: Words; each Chinese or Japanese character counts as one.
        character_count: Unicode code points.
        reading_seconds: Estimated time of silent reading, whole seconds, rounded up.
        token_count: Estimated tokens, see `TOKENIZER`.
    """

    word_count: int
    character_count: int
    reading_seconds: int
    token_count: int


def measure(text: str) -> TextStatistics:
    """Return the counts of a text."""
    length = len(text)
    if text.isascii():
        words = len(_WORD.findall(text))
        return TextStatistics(
            words, length, math.ceil(words * 60 / WORDS_PER_MINUTE), -(-length // 4)
        )
    spaced, ideographs = _IDEOGRAPH.subn(" ", text)
    words = len(_WORD.findall(spaced))
    seconds = words * 60 / WORDS_PER_MINUTE + ideographs * 60 / IDEOGRAPHS_PER_MINUTE
    ascii_count = len(text.encode("ascii", "ignore"))
    tokens = -(-ascii_count // 4) + length - ascii_count
    return TextStatistics(words + ideographs, length, math.ceil(seconds), tokens)


def sanitize(text: str) -> str:
    """Return the text in NFC without control characters, for display and indexing.

    The text itself is stored unchanged.
    """
    if text.isascii() and text.isprintable():
        return text
    return unicodedata.normalize("NFC", _UNWANTED.sub("", text))
