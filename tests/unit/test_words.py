"""Words, pieces, stems and terms in the shapes of the source design."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from message_service.enrichment.folding import fold
from message_service.enrichment.language import detect_language
from message_service.enrichment.stems import MAX_TOKEN, stem
from message_service.enrichment.stop_words import STOP_WORDS
from message_service.enrichment.words import analyse, is_unspaced, occurrences, tokenize


def test_the_example_of_the_source_design() -> None:
    words = analyse("Hello Luna! How are you today?", "en")
    assert words.normalized == "hello luna how are you today"
    assert words.tokens == ["hello", "luna", "how", "are", "you", "today"]
    assert words.bigrams == ["hello luna", "luna how", "how are", "are you", "you today"]
    assert words.trigrams == ["hello luna how", "luna how are", "how are you", "are you today"]
    assert len(words.stemmed.split()) == 6


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Programación", "programacion"),
        ("Übergrößen", "ubergrossen"),
        ("Ёлка й", "елка й"),
        ("ﬁne ＡＢＣ", "fine abc"),
        ("İstanbul", "istanbul"),
        ("الْعَرَبِيَّةُ", "العربيه"),
        ("ΆΛΦΑ", "αλφα"),
        ("ﾊﾟｿｺﾝ", "パソコン"),
        ("が한국어", "が한국어"),
        ("हिन्दी", "हिन्दी"),
        ("Łódź Ørsted Æsir", "lodz orsted aesir"),
    ],
)
def test_folding(text: str, folded: str) -> None:
    assert fold(text) == folded


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("don't stop", ["don't", "stop"]),
        ("l’eau", ["l'eau"]),
        ("東京に行く", ["東京", "京に", "に行", "行く"]),
        ("나는 음식을", ["나는", "음식", "식을"]),
        ("GPT-4 rocks 🎉", ["gpt-4", "rocks", "🎉"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("a東b", ["a", "東", "b"]),
        ("!!! ??", []),
        ("x" * 100, ["x" * MAX_TOKEN]),
    ],
)
def test_tokens(text: str, tokens: list[str]) -> None:
    assert tokenize(text) == tokens


def test_terms_leave_out_stop_words_and_add_parts_and_stems() -> None:
    terms = analyse("the chiens-loups were running in l'école", "fr").terms
    assert "the" not in terms
    assert {"chiens-loups", "chiens", "loups", "loup", "ecole"} <= set(terms)
    assert "run" in analyse("running", "en").terms
    assert "running" in analyse("running", "en").terms


def test_the_last_character_of_a_run_can_be_looked_up_alone() -> None:
    assert "京" in analyse("東京", "ja").terms


def test_stop_words_are_folded_and_the_same_in_all_languages() -> None:
    assert all(fold(word) == word for word in STOP_WORDS)
    assert "the" not in analyse("the die war", "de").terms
    assert {"die", "war"} <= set(analyse("die war", "en").terms)


@given(st.text(max_size=200), st.sampled_from(["en", "es", "ar", "ja", "und", "xx"]))
def test_any_text(text: str, language: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    words = analyse(text, language)
    assert words.tokens == tokenize(text)
    assert all(words.tokens)
    assert all(0 < len(token) <= 3 * MAX_TOKEN for token in words.tokens)
    assert len(set(words.terms)) == len(words.terms)
    for token in occurrences(text):
        assert 0 <= token.start < token.end <= len(text)


@given(st.text(alphabet="aábcdeéおは京東한국 'x-", max_size=60))
def test_folding_is_stable_and_pieces_lie_in_the_text(text: str) -> None:
    assert fold(fold(text)) == fold(text)
    for token in occurrences(text):
        if token.piece:
            assert text[token.start : token.end] == token.text
            assert is_unspaced(token.text)


def test_stems_of_accented_words() -> None:
    assert stem("programación", "es") == stem("programaciones", "es")
    assert stem("Äpfel", "de") == fold(stem("äpfel", "de"))
    assert stem("anything", "und") == "anything"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Where did you go on holiday last summer?", "en"),
        ("¿Dónde fuiste de vacaciones el verano pasado?", "es"),
        ("Wohin bist du letzten Sommer gefahren?", "de"),
        ("Où es-tu allé en vacances l'été dernier ?", "fr"),
        ("昨日は映画を見ました", "ja"),
        ("你昨天去了哪里", "zh"),
        ("어제 뭐 했어요?", "ko"),
        ("أين ذهبت في الصيف الماضي؟", "ar"),
        ("Где ты был прошлым летом?", "ru"),
        ("ok", "und"),
        ("123 456", "und"),
        ("https://example.com/a/b", "und"),
        ("🎉🎉", "und"),
        ("", "und"),
    ],
)
def test_language(text: str, code: str) -> None:
    found = detect_language(text)
    assert found.code == code
    assert 0 <= found.confidence <= 1
    assert (found.confidence == 0) == (code == "und")


def test_naughty_strings(shared_data: Path) -> None:
    strings = json.loads((shared_data / "naughty-strings" / "blns.json").read_text("utf-8"))
    for text in strings:
        assert 0 <= detect_language(text).confidence <= 1
        assert analyse(text, detect_language(text).code).tokens == tokenize(text)
