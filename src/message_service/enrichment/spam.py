"""Finds typical traits of spam in a text.

This is weak evidence: whether a text is spam depends on who sends how many of them, which a single
text does not show. A label means only that the text has a trait that spam often has; `safety`
combines the weights of all labels.
"""

from __future__ import annotations

import ipaddress
import re
from functools import cache
from itertools import pairwise

from message_service.enrichment.profanity import SCANNED, Phrases, read_phrases
from message_service.enrichment.words import tokenize

LABELS = (
    "contact_lure", "many_links", "money_lure", "repeated_characters", "repeated_text", "shouting",
    "suspicious_link",
)  # fmt: skip

MANY_LINKS = 4
"""This many links are `many_links` in any text; one link fewer if links are most of the text."""

_LINK = re.compile(r"(?:https?://|www\.)[^\s<>\"'，。）]{1,2000}", re.IGNORECASE)
_UPPER_WORD = re.compile(r"[^\W\d_]{2,}")
# The letters w, k, h, j and x are excluded, because several languages write laughter with them.
_LETTER_RUN = re.compile(r"([abcdefgilmnopqrstuvyz!?])\1{9}", re.IGNORECASE)
_MESSENGER = re.compile(r"(?:t\.me|wa\.me|chat\.whatsapp\.com|line\.me/ti)/", re.IGNORECASE)
_SHORTENERS = frozenset({
    "bit.ly", "tinyurl.com", "goo.gl", "is.gd", "ow.ly", "cutt.ly", "rb.gy", "shorturl.at",
    "t.ly", "rebrand.ly", "adf.ly", "tiny.cc",
})  # fmt: skip
_PROGRAM = re.compile(r"\.(?:exe|apk|scr|msi|bat|jar)(?:$|[?#])", re.IGNORECASE)


def spam_signals(text: str) -> tuple[str, ...]:
    """Return the labels (of `LABELS`) that apply to a text, sorted.

    Args:
        text: The text; only the first 20,000 characters are read.
    """
    text = text[:SCANNED]
    labels: set[str] = set()
    if "://" in text or "www." in text or "WWW." in text:
        links = _LINK.findall(text)
        if _are_many(links, text):
            labels.add("many_links")
        if any(map(_is_suspicious, links)):
            labels.add("suspicious_link")
    if len(text) >= 20:
        if _is_shouting(text):
            labels.add("shouting")
        if _repeats_itself(text):
            labels.add("repeated_text")
    if _LETTER_RUN.search(text):
        labels.add("repeated_characters")
    if _MESSENGER.search(text):
        labels.add("contact_lure")
    for category in _lures().find(text):
        labels.add(category)
    return tuple(sorted(labels))


def _are_many(links: list[str], text: str) -> bool:
    if len(links) >= MANY_LINKS:
        return True
    return len(links) == MANY_LINKS - 1 and sum(map(len, links)) * 3 >= len(text) * 2


def _is_suspicious(link: str) -> bool:
    address = link.partition("://")[2] or link
    authority = re.split(r"[/?#]", address, maxsplit=1)[0].lower()
    if "@" in authority:
        return True
    host = authority.partition(":")[0]
    if host.removeprefix("www.") in _SHORTENERS or "xn--" in host:
        return True
    if host.replace(".", "").isdecimal():
        try:
            return ipaddress.IPv4Address(host).is_global
        except ValueError:
            return False
    return address != authority and _PROGRAM.search(address) is not None


def _is_shouting(text: str) -> bool:
    """Whether nearly all letters are capitals; never true for scripts without case."""
    upper = sum(map(str.isupper, text))
    if upper < 16 or upper < 0.8 * sum(map(str.isalpha, text)):
        return False
    words = _UPPER_WORD.findall(text)
    return len(set(words)) >= 4


def _repeats_itself(text: str) -> bool:
    """Whether the same words are repeated many times (in unspaced scripts: the same characters).

    This counts distinct pairs of neighbouring tokens; in prose, nearly all pairs are distinct.
    """
    if len(text) < 40 and text.isascii():
        return False
    tokens = text.lower().split() if text.isascii() else tokenize(text)
    tokens = tokens[:600]
    pairs = len(tokens) - 1
    if pairs < 11:
        return False
    if len(set(pairwise(tokens))) * 3 > pairs:
        return False
    # Laughter and humming use only one or two characters: "哈哈哈哈", "ha ha ha", "la la la".
    return len(set("".join(set(tokens)))) > 2


@cache
def _lures() -> Phrases:
    return Phrases(read_phrases("safety_lures.toml"))
