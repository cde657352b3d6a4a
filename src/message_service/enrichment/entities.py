"""Finds names and other entities in a text by their form.

Found are capitalised names inside sentences, @names and #tags, hosts of links, dates, amounts of
money, names with numbers ("GPT-4"), katakana names, and a few hundred countries and cities.
Precision has priority over recall: lower-case names, most Chinese, Japanese, Korean and Arabic
names, and German names of one word (every German noun is capitalised) are missed.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

from message_service.enrichment.folding import fold

_SCANNED = 4_000
_UPPER = "A-ZÀ-ÖØ-ÞĀĂĄĆČĎĐĒĖĘĚĞĢĪĮİĶĻŁŃŅŇŐŒŔŘŚŞŠŤŪŮŰŲŹŻŽА-ЯЁΑ-Ω"
_WORD = rf"[{_UPPER}][\w'’]{{1,30}}"
_NAME = re.compile(rf"{_WORD}(?:[ -](?:(?:of|de|da|von|van|der|la|el) )?{_WORD}){{0,3}}")
_PARTICULARS = re.compile(
    r"(?P<host>https?://(?P<name>[\w.-]{3,100}))"
    r"|(?<!\w)[@#]\w{2,50}"
    r"|\b\d{4}-\d{2}-\d{2}\b"
    r"|\b\d{1,2}\.? (?:January|February|March|April|May|June|July|August|September|October|"
    r"November|December|enero|febrero|marzo|abril|mayo|junio|julio|agosto|septiembre|octubre|"
    r"noviembre|diciembre|janvier|février|mars|avril|juin|juillet|août|septembre|octobre|"
    r"novembre|décembre|Januar|Februar|März|Juni|Juli|Oktober|Dezember)\b(?: \d{4})?"
    r"|[$€£¥]\s?\d[\d.,]{0,15}|\b\d[\d.,]{0,15}\s?(?:USD|EUR|GBP|euros?|dollars?|€)(?!\w)"
    r"|\b[A-Za-z]{2,20}-\d{1,3}(?:\.\d{1,2})?[a-z]?\b|\b(?:i?[A-Z][a-z]+[A-Z]?\w{0,20}) \d{1,4}\b"
    r"|[\u30a1-\u30fa\u30fc]{3,20}(?:・[\u30a1-\u30fa\u30fc]{2,20})*"
    r"|\d{1,4}年(?:\d{1,2}月(?:\d{1,2}日)?)?"
)
_SENTENCE_START = re.compile(r"(?:^|[.!?…:;\n\"“«(*-])\s*$")
_NOT_NAMES = frozenset(
    word
    for line in (
        "i i'm i've i'll i'd the this that these those it its my our your we you he she they",
        "a an and but or so if no yes ok okay oh hi hello hey lol omg what who where when why",
        "how in on at monday tuesday wednesday thursday friday saturday sunday please thanks",
        "well also maybe not der die das ein eine mein meine dein unser ich du er sie wir ihr",
        "und aber wenn ja nein was el la los las un una mi tu su yo y pero si le les une mon",
        "ma je il elle nous vous et mais lo gli il uno ma io o os as um uma eu ele ela e mas",
    )
    for word in line.split()
)


def find_entities(text: str, language: str, limit: int = 16) -> tuple[str, ...]:
    """Return the entities of a text as written, in the order of their first occurrence.

    Args:
        text: The message's text; its first 4,000 characters are read.
        language: ISO 639-1 code; in German, single capitalised words are not taken for names.
        limit: Maximum number of entities returned.
    """
    head = text[:_SCANNED]
    found: list[tuple[int, int, str]] = []
    for match in _PARTICULARS.finditer(head):
        shown = match["name"].strip(".") if match["host"] else match[0].strip()
        found.append((match.start(), match.end(), shown))
    if not head.isupper():
        found.extend(_names(head, language))
    found.sort(key=lambda hit: (hit[0], -hit[1]))
    distinct: dict[str, None] = {}
    end = 0
    for start, stop, shown in found:
        if start >= end and len(shown) > 1:
            distinct.setdefault(shown)
            end = stop
    return tuple(list(distinct)[:limit])


def _names(head: str, language: str) -> list[tuple[int, int, str]]:
    places = _gazetteer()
    found: list[tuple[int, int, str]] = []
    for match in _NAME.finditer(head):
        start, name = match.start(), match[0]
        before = head[max(0, start - 20) : start]
        if start and (head[start - 1].isalnum() or head[start - 1] in "@#/_"):
            continue
        words = name.split(" ")
        starts = _SENTENCE_START.search(before) is not None
        if starts and fold(words[0]) in _NOT_NAMES and len(words) > 1:
            start += len(words[0]) + 1
            words = words[1:]
            name, starts = " ".join(words), False
        if len(words) == 1:
            known = fold(name) in places
            if fold(name) in _NOT_NAMES or (not known and (starts or language == "de")):
                continue
        elif starts and fold(words[0]) in _NOT_NAMES:
            continue
        found.append((start, match.end(), name))
    return found


@cache
def _gazetteer() -> frozenset[str]:
    data = resources.files("message_service.enrichment") / "data" / "entities_places.txt"
    lines = data.read_text("utf-8").splitlines()
    return frozenset(fold(line) for line in lines if line and not line.startswith("#"))
