"""The intent of a message: a greeting, a question, a command, a creative request or a statement.

Rules use word tables (`data/intent.toml`) in 13 languages. They are weak where form and intent
differ: "can you ..." is taken for a command, a question without question word or question mark for
a statement, and sarcasm literally. In other languages only the question mark is recognised.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

from message_service.enrichment.folding import fold
from message_service.enrichment.words import tokenize

INTENTS: Final = ("greeting", "question", "command", "creative", "statement")
"""The four intents of the source design, and `statement` for all other messages."""

UNSPACED: Final = frozenset({"zh", "ja", "ko"})
_SCANNED = 400
_SHORT = 8
_MARKS = ("?", "？", "؟")
_CLAUSES = re.compile(r"[,;:.!،؛]\s*")
_INVERTED = ("-tu", "-vous", "-il", "-elle", "-ils", "-elles", "-on")


@dataclass(frozen=True, slots=True)
class Intent:
    """The intent of a message.

    Attributes:
        name: One of `INTENTS`.
        confidence: 0 to 1: the reliability of the kind of rule that matched, not a probability.
    """

    name: str
    confidence: float


_STATEMENT = Intent("statement", 0.5)


@dataclass(frozen=True, slots=True)
class _Table:
    """The folded forms of one language."""

    greeting: tuple[str, ...]
    question: tuple[str, ...]
    command: frozenset[str]
    command_parts: tuple[str, ...]
    please: tuple[str, ...]
    creative: tuple[str, ...]
    creative_verbs: tuple[str, ...]
    creative_nouns: tuple[str, ...]
    leading: frozenset[str]


def classify_intent(text: str, language: str) -> Intent:
    """Return the intent of a message, judged by its first and last 400 characters.

    Args:
        text: The message's text.
        language: ISO 639-1 code, or `und` (then the English table is tried).
    """
    head = text[:_SCANNED].strip()
    asks = text[-_SCANNED:].rstrip().endswith(_MARKS)
    if head.startswith("*") and head.find("*", 1) > 2:
        return Intent("creative", 0.7)  # *an action in a role-play*
    table = _tables().get(language if language != "und" else "en")
    if table is None:
        return Intent("question", 0.7) if asks else _STATEMENT
    folded = fold(head)
    if language in UNSPACED:
        return _unspaced(folded, table, asks=asks)
    words = tokenize(head)
    line = " ".join(words)
    if _creative(line, words, table):
        return Intent("creative", 0.8)
    greeted = _beginning(line, table.greeting)
    if greeted:
        rest = line[len(greeted) :].split()
        if len(rest) < _SHORT and not _beginning(" ".join(rest), table.question):
            return Intent("greeting", 0.9)
        if not rest or any(_beginning(" ".join(rest), (form,)) for form in table.greeting):
            return Intent("greeting", 0.9)
        line, words = " ".join(rest), rest
    pleaded = any(f" {form} " in f" {line} " for form in table.please)
    asked = _beginning(line, table.please)
    if asked:
        words = line[len(asked) :].split()
    first = words[0] if words else ""
    if first in table.command and not (asks and not pleaded):
        return Intent("command", 0.8)
    if _beginning(line, table.command_parts) or (pleaded and not asks):
        return Intent("command", 0.7)
    if asks:
        return Intent("question", 0.9)
    if _beginning(line, table.question) or _asks_at_last(head, table):
        return Intent("question", 0.7)
    return _STATEMENT


def _asks_at_last(head: str, table: _Table) -> bool:
    """Whether the last clause begins like a question: "I am fine, what about you"."""
    words = tokenize(_CLAUSES.split(head.rstrip())[-1])
    while words and words[0] in table.leading:
        words = words[1:]
    return bool(_beginning(" ".join(words), table.question)) or any(
        word.endswith(_INVERTED) for word in words[:4]
    )


def _unspaced(folded: str, table: _Table, *, asks: bool) -> Intent:
    if any(form in folded for form in table.creative) or (
        any(form in folded for form in table.creative_verbs)
        and any(form in folded for form in table.creative_nouns)
    ):
        return Intent("creative", 0.7)
    if any(folded.startswith(form) for form in table.greeting) and len(folded) < 4 * _SHORT:
        return Intent("greeting", 0.8)
    if any(form in folded for form in table.command_parts) and not asks:
        return Intent("command", 0.7)
    if asks:
        return Intent("question", 0.9)
    if any(form in folded for form in table.question):
        return Intent("question", 0.7)
    return _STATEMENT


def _creative(line: str, words: Iterable[str], table: _Table) -> bool:
    padded = f" {line} "
    if any(f" {form} " in padded for form in table.creative):
        return True
    known = set(words)
    return not known.isdisjoint(table.creative_verbs) and not known.isdisjoint(table.creative_nouns)


def _beginning(line: str, forms: Iterable[str]) -> str:
    """Return the longest of `forms` with which the line begins, in whole words, or ""."""
    best = ""
    for form in forms:
        if (
            len(form) > len(best)
            and line.startswith(form)
            and (len(line) == len(form) or line[len(form)] == " ")
        ):
            best = form
    return best


@cache
def _tables() -> Mapping[str, _Table]:
    data = resources.files("message_service.enrichment") / "data" / "intent.toml"
    return {
        language: _table(found, spaced=language not in UNSPACED)
        for language, found in tomllib.loads(data.read_text("utf-8")).items()
    }


def _table(found: Mapping[str, list[str]], *, spaced: bool) -> _Table:
    def forms(name: str) -> tuple[str, ...]:
        return tuple(
            " ".join(tokenize(form)) if spaced else fold(form) for form in found.get(name, ())
        )

    commands = forms("command")
    return _Table(
        greeting=forms("greeting"),
        question=forms("question"),
        command=frozenset(form for form in commands if " " not in form),
        command_parts=tuple(form for form in commands if " " in form or not spaced),
        please=forms("please"),
        creative=forms("creative"),
        creative_verbs=forms("creative_verbs"),
        creative_nouns=forms("creative_nouns"),
        leading=frozenset(forms("leading")),
    )
