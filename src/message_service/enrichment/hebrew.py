"""The words that Hebrew one-letter words are attached to.

"And", "the", "in", "as", "to", "from" and "that" are single letters written together with the next
word, also several at once: והכלב is "and the dog". Which first letters are such a word cannot be
told without a dictionary, so every possibility counts, if enough of the word remains.
"""

from __future__ import annotations

import re

_WORD = re.compile(r"[\u05d0-\u05ea]{3,}")
_PREFIXES = (
    "ו", "ה", "ב", "כ", "ל", "מ", "ש",
    "וה", "וב", "וכ", "ול", "ומ", "וש", "שה", "שב", "שכ", "של", "שמ", "מה", "מש", "כש", "כה", "בה",
    "לה", "ושה", "ומה", "וכש", "כשה", "לכש", "שמה", "משה", "וכשה", "ולכש", "לכשה",
)  # fmt: skip
_SHORTEST = 3
_SHORTEST_AFTER_ARTICLE = 2  # הים, העץ


def without_prefixes(word: str) -> tuple[str, ...]:
    """Return what remains of a folded Hebrew word without each prefix that it may have.

    At least three letters remain, two after the article alone. The result is empty for words of
    other scripts.
    """
    if not _WORD.fullmatch(word):
        return ()
    return tuple(
        word[len(prefix) :]
        for prefix in _PREFIXES
        if word.startswith(prefix)
        and len(word) - len(prefix) >= (_SHORTEST_AFTER_ARTICLE if prefix == "ה" else _SHORTEST)
    )
