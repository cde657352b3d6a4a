"""Phone numbers of many regions, and digits that are none."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks import enrichment_phones
from benchmarks.enrichment_phones import GROUPS, Labelled, group_of, measure_phones, now, own_texts
from pydantic import ValidationError

from message_service.enrichment.phones import DEFAULT_REGIONS, regions_for
from message_service.enrichment.pii import find_pii
from message_service.enrichment.pipeline import enrich
from message_service.enrichment.safety import judge
from message_service.settings import Settings

PHONE = "personal_info.phone"

# Ten digits that are a valid number of the US.
TAKEN_FOR_NUMBERS = {
    "la facture 2024 118 442 est de 1 250 000 euros": ["2024 118 442"],
    "la pratica numero 2024001234 è del 03/05/2024": ["2024001234"],
    "de bestelling 2024 000 123 is onderweg": ["2024 000 123"],
}


def phones(text: str, language: str = "und", configured: tuple[str, ...] = ()) -> list[str]:
    hits = find_pii(text, regions_for(language, configured))
    return [text[hit.start : hit.end] for hit in hits if hit.kind == "phone"]


@pytest.mark.parametrize("line", own_texts(), ids=lambda one: one.text)
def test_our_labelled_lines(line: Labelled) -> None:
    wanted = [line.text[slice(*span)] for span in line.spans]
    assert phones(line.text, line.language) == (wanted or TAKEN_FOR_NUMBERS.get(line.text, []))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("Phone:\n467 3395", "467 3395"),
        ("call me at 0494 92 82 32 I'd like that", "0494 92 82 32"),
        ("my mobile number is (99) 645-791.", "(99) 645-791"),
        ("Handynummer: 0171/2345678", "0171/2345678"),
        ("电话号码是13812345678。", "13812345678"),
        ("携帯は090-1234-5678です", "090-1234-5678"),
        ("Tel/Fax 030 90295555", "030 90295555"),
        ("Fax: 345-899-3560x4587", "345-899-3560x4587"),
        ("wa.me/4915212345678", "4915212345678"),
        ("телефон 495 123-45-67", "495 123-45-67"),
        ("+447700 921 916", "+447700 921 916"),
        ("+41 (0)38 549 02 90 after nine", "+41 (0)38 549 02 90"),
    ],
)
def test_a_phone_word_or_a_country_code_speaks_for_a_number(text: str, number: str) -> None:
    assert phones(text) == [number]


@pytest.mark.parametrize(
    "text",
    [
        "call me at 10.30-11.30 on 24.11.2026",
        "my mobile contract ends 2027-11-24",
        "phone me 24.11.2026",
        "telescope 12345678",
        "hotel 12345678",
        "phone 1234567890123456",
        "he got 12345678 calls on mobile",
        "UTC+1 2345678901, x+4930902955",
        "mobile 12345678%",
        "order 2024112401 is late",
        "[ 3131.632689] usb 1-1: new device",
        "linux 2.6.12-10-386",
        "http://example.com/topic/2027313499",
    ],
)
def test_other_numbers_are_left_alone(text: str) -> None:
    for language in ("und", "en"):
        assert phones(text, language) == []


def test_language_and_deployment_suggest_regions() -> None:
    assert regions_for("und") == regions_for("xx") == DEFAULT_REGIONS
    assert regions_for("de") == (*DEFAULT_REGIONS, "AT", "CH", "DE")
    assert regions_for("de", ("CH", "FR")) == ("CH", "FR", "AT", "DE")
    assert phones("see you, 06 12 34 56 78", "en") == []
    assert phones("see you, 06 12 34 56 78", "en", ("FR",)) == ["06 12 34 56 78"]
    assert phones("à bientôt, 06 12 34 56 78", "fr") == ["06 12 34 56 78"]
    assert phones("now it's (415) 555-2671", "en", ("FR",)) == ["(415) 555-2671"]  # en: US
    assert phones("jetzt (415) 555-2671", "de", ("DE",)) == []


def test_the_setting_reaches_the_verdict() -> None:
    text = "see you, 06 12 34 56 78"
    assert judge(text, "en").detected_issues == ()
    assert PHONE in (judge(text, "en", ("FR",)).detected_issues or ())
    found = enrich(text, language="en", phone_regions=("FR",)).findings
    assert PHONE in found["safety_metadata.detected_issues"]


def test_the_setting_is_read_and_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().phone_regions == ()
    assert Settings(phone_regions=("DE",)).phone_regions == ("DE",)
    monkeypatch.setenv("MESSAGE_SERVICE_PHONE_REGIONS", "DE, AT")
    assert Settings().phone_regions == ("DE", "AT")
    for wrong in ("de", "UK", "DEU", "001", "DE;AT"):
        monkeypatch.setenv("MESSAGE_SERVICE_PHONE_REGIONS", wrong)
        with pytest.raises(ValidationError, match="phone_regions"):
            Settings()


@pytest.mark.parametrize(
    "text",
    [
        "tel " * 5_000 + "1234567",
        "phone me at is no number " * 800 + "1 2 3 4 5 6 7",
        "tel 00000000000 " * 1_200,
        "mobile" + " :" * 9_000 + "1234567",
        "+1234567 " * 2_000,
    ],
    ids=range(5),
)
def test_hostile_texts_are_read_in_bounded_time(text: str) -> None:
    for start, end in now(text, "es"):  # what blows up here would not end
        assert 0 <= start < end <= len(text)


def test_the_benchmark_counts_by_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [group_of(one) for one in ("+1 415 555 2671", "020 7946 0958", "06 12 34 56 78")] == [
        "US/GB",
        "US/GB",
        "others",
    ]
    rows = {(row.group, row.way): row for row in measure_phones(tmp_path)}
    assert set(rows) == {(group, way) for group in GROUPS for way in enrichment_phones.WAYS}
    others = rows["others", "before"], rows["others", "now"]
    assert others[0].found < others[1].found == others[1].labelled
