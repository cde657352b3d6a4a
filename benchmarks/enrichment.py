"""How right the enrichers are, on labelled data: `python -m benchmarks.enrichment [--write]`.

`--write` puts the table into `docs/how-to/enrichment.md`.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
import timeit
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.enrichment_safety import measure_safety
from benchmarks.page import write_table
from benchmarks.sources import SHARED, available
from message_service.enrichment.entities import find_entities
from message_service.enrichment.folding import fold
from message_service.enrichment.intent import INTENTS, classify_intent
from message_service.enrichment.keywords import find_keywords
from message_service.enrichment.language import detect_language
from message_service.enrichment.model import Subject
from message_service.enrichment.pipeline import ENRICHERS, enrich
from message_service.enrichment.sentiment import score_sentiment
from message_service.enrichment.topics import find_topics
from message_service.enrichment.urgency import URGENCIES, judge_urgency
from message_service.enrichment.words import analyse

LABELLED = Path(__file__).with_name("labelled")
OWN = "ours"
MESSAGE = "I really enjoyed our walk in the park yesterday, the dogs were running around all day"
PERSONA = {"en": "En", "fr": "Fr", "id": "Id", "it": "It", "ja": "Jp", "ko": "Ko", "zh": "Zh"}


@dataclass(frozen=True)
class Row:
    """One line of the table; precision and recall are None where nothing is labelled."""

    enricher: str
    data: str
    n: int
    precision: float | None
    recall: float | None
    note: str = ""


def lines(name: str) -> list[list[str]]:
    rows = (LABELLED / f"{name}.tsv").read_text("utf-8").splitlines()
    return [row.split("\t") for row in rows if row and not row.startswith("#")]


def by_label(
    enricher: str, data: str, labels: Iterable[str], pairs: Sequence[tuple[str, str]]
) -> list[Row]:
    """Return a row per label from pairs of expected and found, and one over all."""
    right = sum(expected == found for expected, found in pairs)
    rows = [Row(enricher, data, len(pairs), right / len(pairs), right / len(pairs), "accuracy")]
    for label in labels:
        wanted = [found for expected, found in pairs if expected == label]
        given = [expected for expected, found in pairs if found == label]
        rows.append(
            Row(
                f"{enricher}: {label}",
                data,
                len(wanted),
                given.count(label) / len(given) if given else None,
                wanted.count(label) / len(wanted) if wanted else None,
            )
        )
    return rows


def sets(enricher: str, data: str, pairs: Sequence[tuple[set[str], set[str]]]) -> Row:
    """Return the row of an enricher that finds sets."""
    right = sum(len(expected & found) for expected, found in pairs)
    found = sum(len(one) for _, one in pairs)
    expected = sum(len(one) for one, _ in pairs)
    return Row(enricher, data, expected, right / found, right / expected)


def labelled_rows() -> list[Row]:
    """Measure on our own labelled lines."""
    rows = by_label(
        "intent",
        OWN,
        INTENTS,
        [(label, classify_intent(text, code).name) for label, code, text in lines("intent")],
    )
    rows += by_label(
        "sentiment",
        OWN,
        ("positive", "neutral", "negative"),
        [(label, score_sentiment(text, code).label) for label, code, text in lines("sentiment")],
    )
    rows += by_label(
        "urgency",
        OWN,
        URGENCIES,
        [(label, judge_urgency(text, code)) for label, code, text in lines("urgency")],
    )
    language = [(code, detect_language(text).code) for code, text in lines("language")]
    rows += by_label("language", f"{OWN}, 27 languages", (), language)
    finders: list[tuple[str, Callable[[str, str], Sequence[str]]]] = [
        ("topics", find_topics),
        ("entities", find_entities),
        ("keywords", find_keywords),
    ]
    for name, find in finders:
        pairs = [
            (
                {fold(one) for one in expected.split("|") if one != "-"},
                {fold(one) for one in find(text, code)},
            )
            for expected, code, text in lines(name)
        ]
        rows.append(sets(name, OWN, pairs))
    return rows


def real_rows(shared: Path) -> list[Row]:
    """Measure on real conversations where their form or source tells the answer."""
    rows: list[Row] = []
    pairs: list[tuple[str, str]] = []
    short: list[tuple[str, str]] = []
    marks: list[tuple[str, str]] = []
    for code, name in PERSONA.items():
        [path] = (shared / "data" / "xpersona").glob(f"{name}_*.json.gz")
        for dialogue in json.loads(gzip.decompress(path.read_bytes()))[:100]:
            for text in (one for pair in dialogue["dialogue"] for one in pair):
                found = (code, detect_language(text).code)
                (short if len(text) <= 25 else pairs).append(found)
                if text.rstrip().endswith(("?", "？")) and not re.search(r"[.!。！]", text):
                    bare = text.rstrip("?？ ")
                    marks.append(("question", classify_intent(bare, code).name))
                elif text.rstrip().endswith((".", "。")) and not re.search(r"[?？]", text):
                    marks.append(("other", classify_intent(text, code).name))
    for note, chosen in (("26 characters and more", pairs), ("up to 25 characters", short)):
        right = sum(a == b for a, b in chosen) / len(chosen)
        rows.append(Row("language", f"xpersona, {note}", len(chosen), right, right, "accuracy"))
    given = [expected for expected, found in marks if found == "question"]
    wanted = [found for expected, found in marks if expected == "question"]
    rows.append(
        Row(
            "intent: question",
            "xpersona, question mark removed",
            len(wanted),
            given.count("question") / len(given),
            wanted.count("question") / len(wanted),
            "sentences ending in a full stop are the others",
        )
    )
    return rows


def safety_rows(shared: Path) -> list[Row]:
    """Measure personal data, and false alarms in ordinary chat."""
    rows: list[Row] = []
    for found in measure_safety(shared):
        precision, recall = found["precision"], found["recall"]
        rows.append(
            Row(
                str(found["enricher"]),
                str(found["data"]),
                int(str(found["n"])),
                None if precision is None else float(str(precision)),
                None if recall is None else float(str(recall)),
                str(found["note"]),
            )
        )
    return rows


def costs() -> list[tuple[str, float]]:
    """Return microseconds per enricher for one 16-word English message."""
    subject = Subject(MESSAGE, "en", analyse(MESSAGE, "en"))
    runs: list[tuple[str, Callable[[], object]]] = [
        ("language", lambda: detect_language(MESSAGE)),
        ("words", lambda: analyse(MESSAGE, "en")),
        *((one.name, lambda one=one: one.run(subject)) for one in ENRICHERS),
        ("all together", lambda: enrich(MESSAGE)),
    ]
    found: list[tuple[str, float]] = []
    for name, run in runs:
        run()
        found.append((name, min(timeit.repeat(run, number=500, repeat=5)) / 500 * 1e6))
    return found


def table() -> str:
    """Return everything measured as Markdown."""
    rows = labelled_rows()
    if available(SHARED, "xpersona", "language and intent on real conversations"):
        rows += real_rows(SHARED)
    rows += safety_rows(SHARED)
    shown = ["| enricher | data | n | precision | recall | note |", "|---|---|---|---|---|---|"]
    for row in rows:
        precision = "" if row.precision is None else f"{row.precision:.3f}"
        recall = "" if row.recall is None else f"{row.recall:.3f}"
        shown.append(
            f"| {row.enricher} | {row.data} | {row.n:,} | {precision} | {recall} | {row.note} |"
        )
    shown += ["", "| step | microseconds |", "|---|---|"]
    shown += [f"| {name} | {cost:.0f} |" for name, cost in costs()]
    return "\n".join(shown)


def main() -> None:
    measured = table()
    print(measured)
    if "--write" in sys.argv[1:]:
        write_table("measured", measured)


if __name__ == "__main__":
    main()
