"""Snippets: what is marked is what matched, in every script, and no character is cut."""

from pathlib import Path

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from message_service.enrichment.language import detect_language
from message_service.search.parsing import parse_query
from message_service.search.snippets import SNIPPET_LENGTH, make_snippet


def marked(text: str, query: str, language: str = "en") -> str:
    return make_snippet(text, parse_query(query).clauses, language).marked("[", "]")


@pytest.mark.parametrize(
    ("text", "query", "language", "expected"),
    [
        ("I was running home", "run", "en", "I was [running] home"),
        ("Die Äpfel sind grün", "apfel", "de", "Die [Äpfel] sind grün"),
        ("私は東京が好きです", "東京", "ja", "私は[東京]が好きです"),
        ("私は東京が好きです", "東", "ja", "私は[東]京が好きです"),
        ("東京タワーと東京", "東京タワー", "ja", "[東京タワー]と東京"),
        ("저는 음식을 좋아해요", "음식", "ko", "저는 [음식]을 좋아해요"),
        ("أحب القهوة كثيرا", "قهوة", "ar", "أحب [القهوة] كثيرا"),
        ("extra   cheese, please", '"extra cheese"', "en", "[extra   cheese], please"),
        ("programming in Prague", "pr*", "en", "[programming] in [Prague]"),
        ("the chiens-loups run", "loup", "fr", "the chiens-[loups] run"),
        ("well done 👍🏽!", "👍", "en", "well done [👍🏽]!"),
        ("cafe\u0301 au lait", "café", "fr", "[café] au lait"),
        ("nothing here", "pizza", "en", "nothing here"),
        ("ﾊﾟｿｺﾝ desk", "パソコン", "ja", "[ﾊﾟｿｺﾝ] desk"),
        ("東京と東京", "東京", "ja", "[東京]と[東京]"),
        ("東京", "京", "ja", "東[京]"),
        ("ฉันไปตลาดน้ำ", "ตลาด", "th", "ฉันไป[ตลาด]น้ำ"),
        ("ฉันไปตลาดน้ำ", "น้", "th", "ฉันไปตลาด[น้ำ]"),  # ำ belongs to the same character
        ("大東京 tower 東京 tower", '"東京 tower"', "ja", "大[東京 tower] [東京 tower]"),
        ("東京駅 tower", '"東京 tower"', "ja", "東京駅 tower"),
        ("call getUserProfile()", "profile user", "en", "call get[User][Profile]()"),
        ("call getUserProfile()", "user*", "en", "call get[User]Profile()"),
        ("I don’t know", "dont", "en", "I [don’t] know"),
        ("see a.pdf, b.pdf", ".pdf", "en", "see a[.pdf], b[.pdf]"),
        ("extra\u00adordinary", "extraordinary", "en", "[extra\u00adordinary]"),
    ],
)
def test_marks(text: str, query: str, language: str, expected: str) -> None:
    assert marked(text, query, language) == expected


def test_a_long_text_is_cut_around_the_densest_place() -> None:
    text = "pizza " + "filler " * 100 + "the pizza with pizza cheese " + "filler " * 100
    snippet = make_snippet(text, parse_query("pizza cheese").clauses, "en")
    assert "[pizza] with [pizza] [cheese]" in snippet.marked("[", "]")
    assert snippet.text.startswith("…")
    assert snippet.text.endswith("…")
    assert len(snippet.text) <= SNIPPET_LENGTH + 30


def test_html_is_escaped() -> None:
    snippet = make_snippet("<b>pizza</b> & co", parse_query("pizza").clauses, "en")
    assert snippet.html() == "&lt;b&gt;<mark>pizza</mark>&lt;/b&gt; &amp; co"


def check(text: str, query: str) -> None:
    snippet = make_snippet(text, parse_query(query).clauses, detect_language(text).code)
    edges = {0, *(found.end() for found in regex.finditer(r"\X", snippet.text))}
    last = 0
    for start, end in snippet.highlights:
        assert last <= start < end <= len(snippet.text)
        last = end
        inner = snippet.text[start:end]
        if "…" not in snippet.text:
            assert {start, end} <= edges, (inner, snippet)


@given(
    st.lists(
        st.sampled_from(
            [
                "👩‍👩‍👧 ",
                "e\u0301te\u0301 ",
                "नमस्ते ",
                "pizza ",
                "東京",
                "한국",
                "🇫🇷",
                "ตลาดน้ำ",
                "pas\u200bpizza",
                "1️⃣",
                "👍🏽",
                "x " * 30,
                "\r\n",
            ]
        ),
        max_size=60,
    ),
    st.sampled_from(["pizza", "東京", "été", "한", "नमस्ते", "👩", "piz*", "น", "ตลาดน", "1", "👍"]),
)
def test_no_character_is_cut(parts: list[str], query: str) -> None:
    check("".join(parts), query)


def test_grapheme_test_data(shared_data: Path) -> None:
    lines = (shared_data / "unicode" / "GraphemeBreakTest.txt").read_text("utf-8").splitlines()
    for line in lines:
        codes = [c for c in line.split("#")[0].split() if c not in "÷×"]
        text = "".join(chr(int(code, 16)) for code in codes)
        check(f"{text}pizza{text}", "pizza")
