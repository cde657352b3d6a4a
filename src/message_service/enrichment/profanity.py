"""Finds abusive language in a text: the number of terms and their categories.

There are three sources: profanex for English (including obfuscated spellings); badwords-py for the
detected language only (all its languages at once would flag "queue", "bitte" and "nicht"), without
the everyday words that its machine-translated lists contain (`data/safety_ordinary.toml`); and our
own phrases for abuse that word lists cannot express: hate against groups, harassment, threats,
self-harm (`data/safety_abuse.toml`). Weaknesses: implied hate, quoted or negated hate (a report of
hate has the same words), unlisted groups and slurs, misspelt or spaced-out phrases, fiction (a
threat in a story looks like a threat), languages without phrases (their word lists have only
profanity). On the adversarial sentences of Multilingual HateCheck the hate and harassment phrases
find 6 to 16 %; in 40,000 lines of ordinary English chat they flag a single line. A language gets
only the signals that `data/safety_languages.toml` declares for it. A flag is a reason for a person
to look; the absence of a flag proves nothing.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import badwords
import profanex

from message_service.enrichment.folding import fold
from message_service.enrichment.signals import given_categories

SCANNED = 20_000
"""Maximum number of characters of a text that are read."""

CATEGORIES = (
    "harassment", "hate", "profanity", "self_harm", "sexual", "slur", "violence",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Abuse:
    """The abusive language found in a text.

    Attributes:
        terms: Number of matched terms and phrases.
        categories: Their categories, from `CATEGORIES`, sorted.
    """

    terms: int
    categories: tuple[str, ...]


NONE = Abuse(0, ())


def find_abuse(text: str, language: str, *, undeclared: bool = False) -> Abuse:
    """Return the abusive terms of a text.

    Quotations in a text do not count as hate or harassment, unless the whole text is a quotation.

    Args:
        text: The text; only the first 20,000 characters are read.
        language: ISO 639-1 code, or `und`; selects the word list. English phrases are searched for
            in every language, because chats often mix in English.
        undeclared: Whether to include signals that are not declared for this language (see
            `signals`); the benchmarks need them.
    """
    text = text[:SCANNED]
    phrases = _abuse_phrases()
    own = _own_words(text)
    found = phrases.find(own, language)
    if own is not text:
        found += [category for category in phrases.find(text, language) if category in _QUOTED_TOO]
    if language in ("en", "und"):
        found += _english(text)
    elif language in _LISTED:
        found += ["profanity"] * _listed(text, language)
    if found and not undeclared and language not in ("en", "und"):
        given = given_categories(language)
        if not given.issuperset(found):
            english = phrases.find(own, "en")
            found = [category for category in found if category in given or category in english]
    return Abuse(len(found), tuple(sorted(set(found)))) if found else NONE


_QUOTED_TOO = frozenset({"self_harm", "violence"})
_QUOTATION = re.compile(
    r"\"[^\"\n]{1,300}\"|“[^”\n]{1,300}”|„[^“”\n]{1,300}[“”]|«[^»\n]{1,300}»"
    r"|「[^」\n]{1,300}」|『[^』\n]{1,300}』"
)
_LETTER = re.compile(r"[^\W\d_]")
_OWN_LETTERS = 6


def _own_words(text: str) -> str:
    """Return the text without its quotations, or the text itself when little else is in it."""
    without, quotations = _QUOTATION.subn(" . ", text)
    return without if quotations and len(_LETTER.findall(without)) >= _OWN_LETTERS else text


_CATEGORY = {
    profanex.Category.GENERAL: "profanity",
    profanex.Category.EXCRETORY: "profanity",
    profanex.Category.SEXUAL: "sexual",
    profanex.Category.SLURS: "slur",
    profanex.Category.VIOLENCE: "violence",
}
# Listed as sexual, used as insults.
_INSULTS = ("ass", "a**", "a55", "dick", "d*ck", "d**k", "cock", "circlejerk", "cawk")
# Listed, but far more often harmless: a mild intensifier, a cat, British and technical words.
_HARMLESS = ["bloody", "maine coon", "dink", "dinks", "cipa", "barenaked", "dvda", "bobs", "cok"]


def _english(text: str) -> list[str]:
    found: list[str] = []
    for match in _english_filter().find(text):
        insult = match.term.startswith(_INSULTS)
        found += {"profanity" if insult else _CATEGORY[category] for category in match.categories}
    return found


@cache
def _english_filter() -> profanex.Filter:
    return profanex.Filter(
        profanex.FilterConfig(
            extra_allowlist=_HARMLESS,
            normalize_repeated_chars=True,
            normalize_separated_runs=True,
        )
    )


_LISTED = frozenset({
    "cs", "da", "de", "el", "es", "fi", "fr", "hu", "id", "it", "ja", "ko", "nl", "no", "pl", "pt",
    "ro", "ru", "sv", "th", "tr", "uk",
})  # fmt: skip
_VARIANTS = {"es": ("es_419",), "pt": ("pt_br",)}
_STRICT = badwords.Options(split_on_punctuation=True, collapse_repeats=True, leetspeak=True)


def _listed(text: str, language: str) -> int:
    ordinary = _ordinary().get(language, frozenset[str]())
    found = _listed_filter(language).find(text, _STRICT)
    return sum(match.word not in ordinary for match in found)


@cache
def _listed_filter(language: str) -> badwords.ProfanityFilter:
    words = badwords.ProfanityFilter()
    words.init([language, *_VARIANTS.get(language, ())])
    return words


@cache
def _ordinary() -> Mapping[str, frozenset[str]]:
    listed = _read("safety_ordinary.toml")
    return {language: frozenset(words) for language, words in listed.items()}


@cache
def _abuse_phrases() -> Phrases:
    return Phrases(read_phrases("safety_abuse.toml"))


class Phrases:
    """Phrases by language and category, written in a small notation and matched on folded words.

    A phrase is a list of places separated by spaces. A place is a list of alternatives separated by
    `|`. An alternative is one or more words joined by `_`, or `#` for a number, or `$` for the end
    of a sentence. `{name}` means the alternatives of a named list. `+` at the end (beginning) of a
    word means up to 12 (4) more letters there. `?` after a place makes it optional; `*` allows it
    zero to three times. A first place `!a|b` forbids these words directly before. Only whole words
    match. Languages marked `unspaced` are matched with all spaces removed. Every repetition is
    bounded.
    """

    def __init__(self, tables: Mapping[str, Mapping[str, Any]]) -> None:
        """Store the phrases; a language is compiled (10 to 30 ms) on first use.

        Args:
            tables: By language: `unspaced` (optional), `lists` (name to alternatives), `rules`
                (category to phrases).
        """
        self._tables = dict(tables)
        self._compiled: dict[str, _Language] = {}  # filled on first use of a language

    def find(self, text: str, language: str | None = None) -> list[str]:
        """Return the category of each phrase found.

        Args:
            text: The text.
            language: Its language; English is always added. None searches every language.
        """
        words = f" {' '.join(_WORD.findall(fold(text)))} "
        found: list[str] = []
        joined: str | None = None
        for code in self._tables if language is None else dict.fromkeys((language, "en")):
            if code not in self._tables:
                continue
            table = self._compiled.get(code)
            if table is None:
                table = self._compiled[code] = _Language(self._tables[code])
            if not table.unspaced:
                found += table.find(words)
            elif not text.isascii():
                joined = words.replace(" ", "") if joined is None else joined
                found += table.find(joined)
        return found


# Words and ends of sentences; commas, quotes and symbols are ignored.
_WORD = re.compile(r"[^\W_]+|[.!?。]")


class _Language:
    """The compiled phrases of one language, each searched only if a word it requires occurs."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        self.unspaced = bool(table.get("unspaced", False))
        lists: dict[str, list[str]] = table.get("lists", {})
        gated: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
        for category, phrases in table["rules"].items():
            for phrase in phrases:
                pattern, needed = self._compile(phrase, lists)
                for word in needed:
                    gated.setdefault(word, []).append((category, pattern))
        self._gated = tuple((word, tuple(rules)) for word, rules in gated.items())

    def find(self, words: str) -> list[str]:
        """Return the category of each phrase in the normalised text."""
        found: dict[re.Pattern[str], str] = {}
        for word, rules in self._gated:
            if word in words:
                for category, pattern in rules:
                    if pattern not in found and pattern.search(words):
                        found[pattern] = category
        return list(found.values())

    def _compile(
        self, phrase: str, lists: Mapping[str, list[str]]
    ) -> tuple[re.Pattern[str], list[str]]:
        parts = ["" if self.unspaced else "(?<= )"]
        needed: list[str] = []
        for place in phrase.split():
            if place.startswith("!"):
                parts += [f"(?<! {self._words(word)})" for word in place[1:].split("|")]
                continue
            repeat = place[-1] if place[-1] in "?*" else ""
            written: list[str] = []
            for alternative in (place[:-1] if repeat else place).split("|"):
                named = alternative.startswith("{")
                written += lists[alternative[1:-1]] if named else [alternative]
            parts.append(f"(?:{'|'.join(map(self._words, written))}){_REPEATS[repeat]}")
            gates = [_gate(alternative) for alternative in written]
            if not repeat and min(map(len, gates)) > min(map(len, needed), default=0):
                needed = gates
        return re.compile("".join(parts)), list(dict.fromkeys(needed))

    def _words(self, alternative: str) -> str:
        gap = "" if self.unspaced else " "
        pieces: list[str] = []
        if alternative == "$":
            return r"(?=[.!?。]|\Z)"
        if alternative == "#":
            return f"[0-9]{{1,9}}(?:{gap}[0-9]{{3}}){{0,2}}{gap}"
        for piece in alternative.split("_"):
            before = "\\w{0,4}" if piece.startswith("+") else ""
            after = "\\w{0,12}" if piece.endswith("+") else ""
            literal = gap.join(_WORD.findall(fold(piece.strip("+"))))
            pieces.append(before + re.escape(literal) + after)
        return gap.join(pieces) + gap


_REPEATS = {"": "", "?": "?", "*": "{0,3}"}


def _gate(alternative: str) -> str:
    """The longest word of an alternative: a text without it cannot match."""
    words = [word for piece in alternative.split("_") for word in _WORD.findall(fold(piece))]
    return max(words, key=len, default="")


def read_phrases(name: str) -> dict[str, dict[str, Any]]:
    """Return the tables of a phrase file shipped with the package.

    Args:
        name: File name in `enrichment/data`.
    """
    return _read(name)


def _read(name: str) -> dict[str, Any]:
    path = resources.files("message_service.enrichment").joinpath("data", name)
    return tomllib.loads(path.read_text(encoding="utf-8"))
