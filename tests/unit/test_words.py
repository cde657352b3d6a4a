"""Words, pieces, stems and terms in the shapes of the source design."""

import itertools
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
        ("C++ and C#, g++: A+ or a+b", ["c++", "and", "c#", "g++", "a+", "or", "a", "b"]),
        ("5+ C++17 #tag page#x", ["5", "c++", "17", "tag", "page", "x"]),
        ("Señor C++ und C#", ["senor", "c++", "und", "c#"]),
        ("extra\u00adordinary", ["extraordinary"]),
        ("pass\u200bword", ["password"]),
        ("東\u200b京", ["東京"]),
        ("🇯🇵🇫🇷🇩", ["🇯🇵", "🇫🇷", "🇩"]),
        ("👨‍👩‍👧👍🏽❤️1️⃣", ["👨‍👩‍👧", "👍", "❤", "1\u20e3"]),
        ("\u0640", []),  # a sign that folding removes
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


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("getUserProfile", {"get", "user", "profile", "getuser", "userprofile"}),
        ("HTTPServer", {"http", "server"}),
        ("allPDFs", {"all", "pdfs", "pdf"}),
        ("report-2031-07-13", {"report", "2031-07", "2031-07-13", "report-2031-07"}),
        ("2031-07-13T10", {"2031-07-13"}),
        ("v2", {"2"}),
        ("python3", {"python"}),
        ("Objective-C++", {"objective", "objective-c", "c++"}),
        ("a.NET", {".net"}),
        ("long\u200bline", {"longline", "long", "line"}),
        ("👩‍💻", {"👩", "💻"}),
        ("והכלב", {"הכלב", "כלב"}),
    ],
)
def test_a_word_is_found_by_its_parts(text: str, parts: set[str]) -> None:
    assert parts <= set(analyse(text, "und").terms)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a9f3c0b7d2e8", "f"),
        ("aGVsbG8gd29ybGQhISE", "bg"),
        ("Pizza", "izza"),
        ("שלום", "ום"),
        ("wait...what", ".what"),
        ("3.14", ".14"),
    ],
)
def test_no_word_is_found_by_other_pieces_of_it(text: str, part: str) -> None:
    assert part not in analyse(text, "und").terms


def test_a_long_chain_of_parts_has_few_terms_beside_its_parts() -> None:
    chain = "-".join(f"part{number:04}" for number in range(5_000))
    assert len(analyse(chain, "und").terms) < 2 * 5_000 + 200
    assert len(analyse("aB" * 20_000, "und").terms) < 10


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


@given(st.text(alphabet="ءآأإئؤيىوهةا\u064b\u0654\u06e5\u06df\u0640\u200c\u200d ", max_size=12))
def test_folding_arabic_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(
    st.text(alphabet="aB1v+#._-'’ء👩🏽🇯🇵\u200d\ufe0f\u20e3\u00ad\u200b東คำ הכ\u0301", max_size=20)
)
def test_tokens_follow_each_other_and_are_found_by_themselves(text: str) -> None:
    tokens = list(occurrences(text))
    terms = set(analyse(text, "und").terms)
    for token in tokens:
        assert token.text in terms or token.text in STOP_WORDS
    for token, following in itertools.pairwise(tokens):
        assert token.start <= following.start
        assert token.end <= following.end


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
