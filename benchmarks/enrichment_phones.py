"""How right the phone numbers are, by region: `python -m benchmarks.enrichment_phones [--write]`.

`--write` puts the table into `docs/how-to/enrichment.md`. "Before" is what the service did first:
valid numbers in the formats of US and GB, and those with a country code.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import phonenumbers

from benchmarks.page import write_table
from benchmarks.sources import SHARED, available, real_texts
from message_service.enrichment.language import UNDETERMINED, detect_language
from message_service.enrichment.phones import DEFAULT_REGIONS, regions_for
from message_service.enrichment.pii import find_pii

OWN = Path(__file__).with_name("labelled") / "phones.tsv"
GROUPS = ("US/GB", "others")

Span = tuple[int, int]
Find = Callable[[str, str], Sequence[Span]]


@dataclass(frozen=True)
class Labelled:
    """A text, its language and where its phone numbers stand."""

    text: str
    language: str
    spans: Sequence[Span]


@dataclass(frozen=True)
class Measured:
    """How right one way of finding is on the numbers of one group of regions."""

    data: str
    group: str
    way: str
    labelled: int
    found: int
    reported: int
    right: int


def before(text: str, language: str) -> list[Span]:
    """Return what was found before languages and phone words were looked at."""
    surer = [(hit.start, hit.end) for hit in find_pii(text) if hit.kind != "phone"]
    hits = {
        (match.start, match.end)
        for region in DEFAULT_REGIONS
        for match in phonenumbers.PhoneNumberMatcher(text, region, max_tries=300)
        if not re.search(r"[0-9A-Fa-f]{4}-$", text[max(0, match.start - 5) : match.start])
    }
    del language
    return sorted(hit for hit in hits if not _meets(hit, surer))


def now(text: str, language: str) -> list[Span]:
    """Return what the service finds."""
    hits = find_pii(text, regions_for(language))
    return [(hit.start, hit.end) for hit in hits if hit.kind == "phone"]


WAYS: dict[str, Find] = {"before": before, "now": now}


def group_of(number: str) -> str:
    """Return the group of a number: US/GB if it is of code 1 or 44 or valid in either format."""
    for region in DEFAULT_REGIONS:
        try:
            parsed = phonenumbers.parse(number, region)
        except phonenumbers.NumberParseException:
            continue
        written_out = number.startswith(("+", "00")) and parsed.country_code in {1, 44}
        if written_out or phonenumbers.is_valid_number_for_region(parsed, region):
            return GROUPS[0]
    return GROUPS[1]


def own_texts() -> list[Labelled]:
    """Return our own labelled lines."""
    found: list[Labelled] = []
    for row in OWN.read_text("utf-8").splitlines():
        if row.startswith("#"):
            continue
        code, numbers, text = row.split("\t")
        wanted = () if numbers == "-" else numbers.split("|")
        starts = [(text.index(one), len(one)) for one in wanted]
        found.append(Labelled(text, code, [(start, start + size) for start, size in starts]))
    return found


def sentences(shared: Path) -> list[Labelled]:
    """Return the sentences of pii-sentences, in the language the service takes them for."""
    path = shared / "data" / "pii-sentences" / "synth_dataset_v2.json.gz"
    return [
        Labelled(
            one["full_text"],
            detect_language(one["full_text"]).code,
            [
                (span["start_position"], span["end_position"])
                for span in one["spans"]
                if span["entity_type"] == "PHONE_NUMBER"
            ],
        )
        for one in json.loads(gzip.decompress(path.read_bytes()))
    ]


def measure_phones(shared: Path = SHARED) -> list[Measured]:
    """Measure on all labelled data there is."""
    sets = [("ours", own_texts())]
    if available(shared, "pii-sentences", "phone numbers"):
        sets.append(("pii-sentences", sentences(shared)))
    return [
        _measured(data, group, way, texts)
        for data, texts in sets
        for group in GROUPS
        for way in WAYS
    ]


def _measured(data: str, group: str, way: str, texts: Sequence[Labelled]) -> Measured:
    labelled = found = reported = right = 0
    for one in texts:
        hits = WAYS[way](one.text, one.language)
        spans = list(one.spans)
        wanted = [span for span in spans if group_of(one.text[slice(*span)]) == group]
        labelled += len(wanted)
        found += sum(_meets(span, hits) for span in wanted)
        for hit in hits:
            # A hit counts where the number it is part of does; a false one where it reads as.
            whole = next((span for span in spans if _meets(span, [hit])), None)
            if group_of(one.text[slice(*(whole or hit))]) == group:
                reported += 1
                right += whole is not None
    return Measured(data, group, way, labelled, found, reported, right)


def _meets(span: Span, others: Sequence[Span]) -> bool:
    return any(span[0] < end and start < span[1] for start, end in others)


def alarms(shared: Path = SHARED) -> Iterator[tuple[str, int, int, int]]:
    """Yield, for unlabelled chat, its name, its texts and how many were reported before and now."""
    texts = [(text, detect_language(text).code) for text in real_texts(shared)]
    counts = [sum(bool(find(*one)) for one in texts) for find in WAYS.values()]
    yield "real chat, its own languages", len(texts), counts[0], counts[1]
    for language in ("de", "fr", "es", "pt", "zh", "da", UNDETERMINED):
        count = sum(bool(now(text, language)) for text, _ in texts)
        yield f"the same, taken for {language}", len(texts), counts[0], count


def table(rows: Sequence[Measured], chat: Sequence[tuple[str, int, int, int]]) -> str:
    """Return everything as Markdown."""
    shown = [
        "| data | regions | numbers | | precision | recall | reported |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        precision = f"{row.right / row.reported:.3f}" if row.reported else "-"
        shown.append(
            f"| {row.data} | {row.group} | {row.labelled} | {row.way} | {precision} "
            f"| {row.found / row.labelled:.3f} | {row.reported} |"
        )
    shown += ["", "| unlabelled | texts | with a number, before | now |", "|---|---|---|---|"]
    shown += [f"| {name} | {n:,} | {first} | {then} |" for name, n, first, then in chat]
    return "\n".join(shown)


def main() -> None:
    measured = table(measure_phones(), list(alarms()))
    print(measured)
    if "--write" in sys.argv[1:]:
        write_table("phones", measured)


if __name__ == "__main__":
    main()
