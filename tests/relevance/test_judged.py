"""The judged set is whole: its references exist, its grades and numbers are as agreed.

How it was judged (`judged.json`; references only, the texts stay with their sources):

- By reading. Each query's candidates are the utterances that hold its words in some inflected
  form; synonyms that share no form with the query are left out. Ambiguous forms were read one by
  one: "closely knit" is no hit for "knitting".
- 2 is what was looked for: the utterance is about it. 1 mentions it in passing, holds only the
  decisive word of several, or another word of the same family (triste for tristeza).
- A quoted phrase asks for that wording, whatever case and accents; "video game" is no hit for the
  quoted plural. A word with * asks for every word beginning so. -word leaves out what holds it.
- Missing accents, case and half-width letters in a query are on purpose.
- Unjudged means not relevant.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from relevance.corpus import Utterance, load_corpus

JUDGED: list[dict[str, Any]] = json.loads(
    Path(__file__).with_name("judged.json").read_text("utf-8")
)
LANGUAGES = {"ar", "de", "en", "es", "fr", "ja", "ko", "zh"}


@pytest.fixture(scope="module")
def corpus(shared_data: Path) -> dict[str, Utterance]:
    utterances = load_corpus(shared_data)
    known = {one.reference: one for one in utterances}
    assert len(known) == len(utterances), "a reference names two utterances"
    return known


def test_ids_are_unique() -> None:
    counts = Counter(judged["id"] for judged in JUDGED)
    assert [name for name, count in counts.items() if count > 1] == []


def test_every_language_has_enough_queries() -> None:
    counts = Counter(judged["language"] for judged in JUDGED)
    assert counts.keys() == LANGUAGES
    assert {language: count for language, count in counts.items() if count < 9} == {}
    assert counts.total() >= 72


@pytest.mark.parametrize("judged", JUDGED, ids=lambda judged: judged["id"])
def test_a_query_is_well_formed(judged: dict[str, Any]) -> None:
    assert judged.keys() == {"id", "language", "query", "expected"}
    assert judged["id"].startswith(f"{judged['language']}-")
    assert 1 <= len(judged["query"].split()) <= 4
    assert 1 <= len(judged["expected"]) <= 30
    assert set(judged["expected"].values()) <= {1, 2}
    assert 2 in judged["expected"].values(), "nothing is what was looked for"


def test_every_reference_exists_in_its_language(corpus: dict[str, Utterance]) -> None:
    missing = [
        (judged["id"], reference)
        for judged in JUDGED
        for reference in judged["expected"]
        if reference not in corpus or corpus[reference].language != judged["language"]
    ]
    assert missing == []


def test_a_reference_names_its_conversation(corpus: dict[str, Utterance]) -> None:
    for reference, one in corpus.items():
        assert reference.rpartition("/")[0] == one.conversation
