"""Which language a text is in, and when that is said to be unknown."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks import enrichment_language
from benchmarks.enrichment_language import labelled_lines, length_class

from message_service.enrichment.language import UNDETERMINED, detect_language
from message_service.enrichment.pipeline import enrich


def test_romanised_text_of_20_characters_and_more_has_no_language() -> None:
    longer = [text for _, text in labelled_lines("romanised") if len(text) >= 20]
    assert longer
    assert {text: detect_language(text).code for text in longer} == dict.fromkeys(
        longer, UNDETERMINED
    )


def test_romanised_text_under_20_characters_seldom_has_a_language() -> None:
    short = [text for _, text in labelled_lines("romanised") if len(text) < 20]
    named = [text for text in short if detect_language(text).code != UNDETERMINED]
    assert len(named) <= len(short) / 4, named


def test_our_labelled_lines_keep_their_language() -> None:
    lines = labelled_lines("language")
    unknown = [
        text
        for code, text in lines
        if code != UNDETERMINED and detect_language(text).code == UNDETERMINED
    ]
    right = sum(detect_language(text).code == code for code, text in lines)
    assert not unknown
    assert right == len(lines) - 2  # two-word phrases that read the same in a neighbour's language


def test_an_unsure_answer_is_given_to_who_asks_for_it() -> None:
    text = "mujhe bahut bhook lagi hai"
    assert detect_language(text, min_confidence=0.3).code != UNDETERMINED
    assert detect_language(text) == detect_language("123")


def test_nothing_is_stored_as_the_language_of_romanised_text() -> None:
    found = enrich("yeh gaana mujhe bahut pasand hai").findings
    assert not [path for path in found if "language" in path]


@pytest.mark.parametrize(
    ("length", "text"),
    [("< 20", "a" * 19), ("20-50", "a" * 20), ("20-50", "a" * 50), ("> 50", "a" * 51)],
)
def test_length_classes(length: str, text: str) -> None:
    assert length_class(text) == length


def test_the_benchmark_counts_right_wrong_and_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        enrichment_language, "chitchat_texts", lambda: ("where are you?", "lol", " ")
    )
    rows = enrichment_language.measure_language(tmp_path)
    assert all(row.correct + row.wrong + row.unknown == pytest.approx(1) for row in rows)
    [now] = [row for row in rows if row.data == "Chit-Chat, en" and row.threshold != 0.3]
    assert (now.texts, now.length) == (2, "< 20")
    assert not [row for row in rows if row.data.startswith("xpersona")]
    assert enrichment_language.table(rows).count("\n") == len(rows) + 1
