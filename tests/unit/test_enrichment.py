"""The enrichers of tone and theme, one by one and together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from message_service.documents.message import Message
from message_service.enrichment.complexity import complexity_score
from message_service.enrichment.entities import find_entities
from message_service.enrichment.intent import INTENTS, classify_intent
from message_service.enrichment.keywords import find_keywords
from message_service.enrichment.model import Enricher, Findings, Subject
from message_service.enrichment.pipeline import (
    ENRICHERS,
    ENRICHMENT_VERSION,
    MESSAGE_PATHS,
    enrich,
)
from message_service.enrichment.sentiment import score_sentiment
from message_service.enrichment.topics import find_topics
from message_service.enrichment.urgency import URGENCIES, judge_urgency

LANGUAGES = [
    "en",
    "es",
    "fr",
    "de",
    "it",
    "pt",
    "nl",
    "ru",
    "ar",
    "zh",
    "ja",
    "ko",
    "id",
    "und",
    "sw",
]
texts = st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace").decode())
HOSTILE = [sign * 20_000 for sign in ":(*a@.1+ -_!?#東A"] + [
    "a@" * 10_000,
    "Aa " * 7_000,
    "A-" * 10_000,
    "http://" * 3_000,
    "1.1," * 5_000,
    "Abc of " * 3_000,
    "カ" * 20_000,
]


@pytest.mark.parametrize(
    ("text", "language", "intent"),
    [
        ("Hello Luna! How are you today?", "en", "greeting"),
        ("Hello, where is the station?", "en", "question"),
        ("please explain recursion to me", "en", "command"),
        ("Write me a poem about the sea", "en", "creative"),
        ("*waves at you*", "en", "creative"),
        ("I had lunch with Tom", "en", "statement"),
        ("I am fine, what about you", "en", "question"),
        ("¿Dónde está la biblioteca?", "es", "question"),
        ("Raconte-moi une histoire", "fr", "creative"),
        ("Guten Morgen!", "de", "greeting"),
        ("これは何ですか", "ja", "question"),
        ("帮我翻译这句话", "zh", "command"),
        ("안녕하세요", "ko", "greeting"),
        ("unajua?", "sw", "question"),
    ],
)
def test_intent(text: str, language: str, intent: str) -> None:
    assert classify_intent(text, language).name == intent


@pytest.mark.parametrize(
    ("text", "language", "label"),
    [
        ("I love this, it is wonderful!", "en", "positive"),
        ("this is not good at all", "en", "negative"),
        ("kill the process and restart", "en", "neutral"),
        ("great 😂", "und", "positive"),
        ("me encanta", "es", "positive"),
        ("das war schrecklich", "de", "negative"),
        ("楽しかったです", "ja", "positive"),
        ("我不喜欢", "zh", "negative"),
        ("정말 좋아요", "ko", "positive"),
        ("the bus leaves at nine", "en", "neutral"),
    ],
)
def test_sentiment(text: str, language: str, label: str) -> None:
    assert score_sentiment(text, language).label == label


@pytest.mark.parametrize(
    ("text", "language", "urgency"),
    [
        ("see you tomorrow", "en", "low"),
        ("what?!!!", "en", "medium"),
        ("hurry, the deadline is near", "en", "high"),
        ("answer immediately", "en", "urgent"),
        ("es urgente", "es", "urgent"),
        ("至急お願いします", "ja", "urgent"),
    ],
)
def test_urgency(text: str, language: str, urgency: str) -> None:
    assert judge_urgency(text, language) == urgency


def test_complexity_orders_texts() -> None:
    plain = "I like cats."
    demanding = (
        "Notwithstanding considerable methodological heterogeneity, contemporary investigations "
        "consistently demonstrate substantial improvements in comprehension among participants."
    )
    code = "def area(r): return 3.14 * r ** 2\nclass Circle: pass"
    assert complexity_score("") == 0
    assert complexity_score(plain) < complexity_score(demanding)
    assert complexity_score(plain) < complexity_score(code)
    assert 0.1 < complexity_score("私は東京が好きです。") < 0.6  # not one giant word


@pytest.mark.parametrize(
    ("text", "language", "topic"),
    [
        ("the guitars of that band", "en", "music"),
        ("nuestra película favorita", "es", "film"),
        ("犬の散歩", "ja", "pets"),
        ("我明天有考试", "zh", "school"),
        ("I see what you mean", "en", None),
    ],
)
def test_topics(text: str, language: str, topic: str | None) -> None:
    found = find_topics(text, language)
    assert (topic in found) if topic else not found


def test_keywords() -> None:
    assert find_keywords("I am studying machine learning at university", "en")[0] in {
        "studying machine learning",
        "machine learning",
    }
    assert "東京" in find_keywords("東京でラーメンを食べました", "ja")
    assert "친구" in find_keywords("친구와 영화를 봤어요", "ko")
    assert find_keywords("the of and", "en") == ()


def test_entities() -> None:
    assert find_entities("I met Anna Smith in Berlin on 2025-01-15", "en") == (
        "Anna Smith",
        "Berlin",
        "2025-01-15",
    )
    assert find_entities("Das Haus und der Garten sind groß", "de") == ()
    assert find_entities("ask @luna at https://example.com/x", "en") == ("@luna", "example.com")


@given(texts, st.sampled_from(LANGUAGES))
def test_any_text(text: str, language: str) -> None:
    intent = classify_intent(text, language)
    assert intent.name in INTENTS
    assert 0 <= intent.confidence <= 1
    feeling = score_sentiment(text, language)
    assert -1 <= feeling.score <= 1
    assert 0 <= feeling.confidence <= 1
    assert judge_urgency(text, language) in URGENCIES
    assert 0 <= complexity_score(text) <= 1
    for found, limit in (
        (find_topics(text, language, 5), 5),
        (find_keywords(text, language, 8), 8),
        (find_entities(text, language, 16), 16),
    ):
        assert len(found) <= limit
        assert len(set(found)) == len(found)
        assert all(found)


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:4])
def test_hostile_texts_are_read_in_bounded_time(text: str) -> None:
    enriched = enrich(text)  # what blows up here would not end
    assert not enriched.failed


def test_naughty_strings(shared_data: Path) -> None:
    for text in json.loads((shared_data / "naughty-strings" / "blns.json").read_text("utf-8")):
        assert not enrich(text).failed


def test_every_finding_is_a_declared_field_that_documents_accept() -> None:
    declared = {path for one in ENRICHERS for path in one.fills} | set(MESSAGE_PATHS)
    for text in ("Hello Luna! My mail is luna@example.com", "私は東京が好きです", ""):
        found = enrich(text).findings
        assert found.keys() <= declared
    groups = Message.model_fields
    for path in MESSAGE_PATHS:
        group, _, name = path.partition(".")
        annotation = str(groups[group].annotation)
        assert annotation
        assert name


def test_an_enricher_that_raises_is_recorded_and_the_others_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(subject: Subject) -> Findings:
        raise ValueError(subject.text)

    bad = Enricher("bad", 1, "nothing", "everything", (), broken)
    enriched = enrich("Hello there", enrichers=(bad, *ENRICHERS))
    assert enriched.failed == ("bad",)
    assert enriched.findings["custom_metadata.intent"] == "greeting"
    assert "enricher bad failed: ValueError" in caplog.text
    assert "in broken" in caplog.text
    assert "Hello there" not in caplog.text


def test_names_are_distinct_and_the_version_follows_them() -> None:
    names = [one.name for one in ENRICHERS]
    assert len(set(names)) == len(names)
    assert ENRICHMENT_VERSION.startswith(f"e{len(ENRICHERS)}-")
    for one in ENRICHERS:
        assert one.finds
        assert one.weak
