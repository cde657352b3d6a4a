"""Which judged utterances no query finds, and what finds the others: written so, stem, dictionary.

`pytest tests/relevance/test_misses.py -s` prints the table of `docs/how-to/search.md`, and with
`-vv` each miss.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from message_service.enrichment import stems
from message_service.enrichment.stop_words import STOP_WORDS
from message_service.enrichment.words import Words, analyse
from message_service.search.parsing import Clause, ClauseKind, parse_query
from relevance.corpus import load_corpus

JUDGED = json.loads(Path(__file__).with_name("judged.json").read_text("utf-8"))
BY_DICTIONARY = {"ar": 11, "de": 7, "en": 1, "es": 3, "fr": 2}  # at least


@contextmanager
def without_dictionaries(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setattr(stems, "lemma", lambda word, language: None)
        patched.setattr(stems, "parts", lambda word, language: ())
        _forget()
        yield
    _forget()


def _forget() -> None:
    stems.forms.cache_clear()
    stems.base_form.cache_clear()


def is_found(query: str, text: str, language: str) -> bool:
    """Whether an utterance holds everything a query asks for."""
    words = analyse(text, language)
    return all(_holds(words, clause) for clause in parse_query(query).clauses)


def _holds(words: Words, clause: Clause) -> bool:
    if clause.kind is ClauseKind.PREFIX:
        return any(term.startswith(clause.text) for term in words.terms)
    return all(not set(words.terms).isdisjoint(lookup) for lookup in clause.lookups)


def is_written_so(query: str, text: str, language: str) -> bool:
    tokens = set(analyse(text, language).tokens) - STOP_WORDS
    return all(
        clause.kind is ClauseKind.WORD and clause.text in tokens
        for clause in parse_query(query).clauses
    )


def test_dictionaries_find_more_and_lose_nothing(
    shared_data: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    pytestconfig: pytest.Config,
) -> None:
    texts = {one.reference: one.text for one in load_corpus(shared_data)}
    pairs = [
        (judged["language"], judged["query"], texts[reference])
        for judged in JUDGED
        for reference in judged["expected"]
    ]
    with without_dictionaries(monkeypatch):
        by_stem = [is_found(query, text, language) for language, query, text in pairs]
    found = [is_found(query, text, language) for language, query, text in pairs]

    counts: dict[str, Counter[str]] = {}
    missed: list[str] = []
    for (language, query, text), stemmed, now in zip(pairs, by_stem, found, strict=True):
        written = is_written_so(query, text, language)
        kind = "written" if written else "stem" if stemmed else "dictionary" if now else "missed"
        counts.setdefault(language, Counter())[kind] += 1
        if kind == "missed":
            missed.append(f"{language} {query}: {text[:80]}")

    with capsys.disabled():
        print("\n| language | judged | written so | by stem or piece | by dictionary | missed |")
        for language, count in sorted(counts.items()):
            cells = (count["written"], count["stem"], count["dictionary"], count["missed"])
            print(f"| {language} | {count.total()} | {' | '.join(map(str, cells))} |")
        if (pytestconfig.getoption("verbose") or 0) > 1:
            print(*missed, sep="\n")
    lost = [pair for pair, stemmed, now in zip(pairs, by_stem, found, strict=True) if stemmed > now]
    assert lost == []
    for language, least in BY_DICTIONARY.items():
        assert counts[language]["dictionary"] >= least, language
