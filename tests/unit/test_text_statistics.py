"""Counts and the clean form of texts."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from message_service.enrichment.text_statistics import measure, sanitize


def test_the_designs_sample() -> None:
    counts = measure("Hello Luna! How are you today?")
    assert (counts.word_count, counts.character_count, counts.reading_seconds) == (6, 30, 2)


def test_words_of_several_scripts() -> None:
    assert measure("don't stop well-known").word_count == 3
    assert measure("你好世界").word_count == 4
    assert measure("カタカナ と kana").word_count == 6
    assert measure("안녕하세요 세계").word_count == 2
    assert measure("...").word_count == 0
    assert measure("😀😀").word_count == 0


def test_a_longer_text_takes_longer() -> None:
    assert measure("word " * 238).reading_seconds == 60
    assert measure("字" * 255).reading_seconds == 60


@given(st.text())
def test_counts_hold_together(text: str) -> None:
    counts = measure(text)
    assert counts.character_count == len(text)
    assert 0 <= counts.word_count <= len(text)
    assert counts.token_count <= len(text)
    assert counts.token_count * 4 >= len(text)


def test_controls_go_and_meaning_stays() -> None:
    assert sanitize("a\0b\x07c\x1b[31m\ufeffd\u202ee") == "abc[31mde"
    assert sanitize("tab\tline\nreturn\r") == "tab\tline\nreturn\r"
    assert sanitize("👨\u200d👩\u200d👧") == "👨\u200d👩\u200d👧"
    assert sanitize("e\u0301") == "é"


@given(st.text(alphabet=st.characters(exclude_categories=("Cs",))))
def test_sanitizing_twice_is_once(text: str) -> None:
    once = sanitize(text)
    assert sanitize(once) == once
    assert unicodedata.is_normalized("NFC", once)
