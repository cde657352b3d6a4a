"""Signals of abuse are given where they are better than chance, and elsewhere not at all."""

from pathlib import Path

import pytest
from benchmarks.enrichment_abuse import HATECHECK, measure_abuse
from benchmarks.sources import SHARED

from message_service.enrichment.pipeline import enrich
from message_service.enrichment.profanity import CATEGORIES, find_abuse
from message_service.enrichment.safety import NOT_JUDGED, judge
from message_service.enrichment.signals import JUDGED, SIGNALS

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "enrichment.md"


@pytest.mark.parametrize(
    ("language", "text"),
    [("hi", "आज मौसम अच्छा है"), ("nl", "wat een mooie dag"), ("pl", "piękny dzień"),
     ("pt", "odeio os refugiados"), ("it", "gli immigrati sono parassiti"), ("und", "ok")],
)  # fmt: skip
def test_an_unmeasured_language_has_no_verdict(language: str, text: str) -> None:
    assert judge(text, language) == NOT_JUDGED
    found = {path for path in enrich(text, language=language).findings if "safety" in path}
    assert found == {"safety_metadata.content_filtered", "safety_metadata.filter_version"}


def test_what_is_found_is_said_in_any_language_without_a_score() -> None:
    verdict = judge("kill yourself, ann@example.com", "hi")
    assert verdict.safety_score is None
    assert verdict.moderation_flags is not None
    assert "harassment" in verdict.moderation_flags
    assert verdict.manual_review_required is True
    mail = judge("ann@example.com", "hi")
    assert mail.detected_issues == ("personal_info", "personal_info.email")
    assert (mail.moderation_flags, mail.manual_review_required) == (None, None)


def test_quoted_hate_is_not_the_writers_own() -> None:
    assert find_abuse('Wer "Ich hasse Frauen" sagt, irrt', "de").categories == ()
    assert find_abuse('"Ich hasse Frauen"', "de").categories == ("hate",)
    assert find_abuse('She wrote: "I want to end my life"', "en").categories == ("self_harm",)


def test_every_category_belongs_to_one_signal_and_the_page_says_so() -> None:
    assert sorted(c for one in SIGNALS.values() for c in one.categories) == sorted(CATEGORIES)
    assert JUDGED
    page = PAGE.read_text("utf-8")
    for name, signal in SIGNALS.items():
        assert f"| {name} | {', '.join(sorted(signal.languages))} |" in page


def test_a_signal_is_given_exactly_where_it_was_measured_better_than_chance() -> None:
    whole = (SHARED / "data" / HATECHECK).is_dir()
    measured = measure_abuse()
    wrong = [
        one
        for one in measured
        if one.given
        != (one.better_than_chance and one.language not in SIGNALS[one.signal].contradicted)
    ]
    assert wrong == []
    if whole:
        told = {(one.signal, one.language) for one in measured if one.given}
        assert told == {(name, code) for name, one in SIGNALS.items() for code in one.languages}
