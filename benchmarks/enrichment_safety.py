"""Precision and recall of the safety enrichers on labelled data: `measure_safety(shared)`."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.sources import SHARED, available, chitchat_texts
from message_service.enrichment.language import detect_language
from message_service.enrichment.phones import regions_for
from message_service.enrichment.pii import find_pii
from message_service.enrichment.profanity import find_abuse
from message_service.enrichment.safety import judge
from message_service.enrichment.spam import spam_signals

PII_KINDS = {
    "CREDIT_CARD": "card",
    "EMAIL_ADDRESS": "email",
    "IBAN_CODE": "iban",
    "IP_ADDRESS": "ip",
    "PHONE_NUMBER": "phone",
    "US_SSN": "us_ssn",
}
PII_NOTES = {
    "phone": "generated formats of many countries, often no valid number of any",
    "us_ssn": "",
    "email": "",
    "card": "six of the missed are generated outside the issuer's real range (3528-3589)",
    "iban": "",
    "ip": "",
}
PERSONA_FILES = {"fr": "Fr", "id": "Id", "it": "It", "ko": "Ko", "zh": "Zh"}
CLEAN_TEXTS = 4000


def measure_safety(shared: Path) -> list[dict[str, object]]:
    """Return rows of enricher, data, n (labelled positives), precision, recall and note.

    Args:
        shared: The folder that holds `data/`.
    """
    data = shared / "data"
    rows = _pii(data) if available(shared, "pii-sentences", "personal data") else []
    return [*rows, *_false_alarms(shared)]


def _pii(data: Path) -> list[dict[str, object]]:
    with gzip.open(data / "pii-sentences/synth_dataset_v2.json.gz", "rt", encoding="utf-8") as file:
        sentences: list[dict[str, Any]] = json.load(file)
    labelled: Counter[str] = Counter()
    found: Counter[str] = Counter()
    reported: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for sentence in sentences:
        spans = [
            (PII_KINDS[span["entity_type"]], span["start_position"], span["end_position"])
            for span in sentence["spans"]
            if span["entity_type"] in PII_KINDS
        ]
        text = sentence["full_text"]
        hits = find_pii(text, regions_for(detect_language(text).code))
        for kind, start, end in spans:
            labelled[kind] += 1
            found[kind] += any(h.kind == kind and h.start < end and start < h.end for h in hits)
        for hit in hits:
            reported[hit.kind] += 1
            right[hit.kind] += any(
                kind == hit.kind and start < hit.end and hit.start < end
                for kind, start, end in spans
            )
    return [
        _row(
            f"pii.{kind}",
            "pii-sentences",
            labelled[kind],
            _share(right[kind], reported[kind]),
            _share(found[kind], labelled[kind]),
            f"{reported[kind]} reported" + (f"; {note}" if (note := PII_NOTES[kind]) else ""),
        )
        for kind in sorted(PII_NOTES)
    ]


def _false_alarms(shared: Path) -> list[dict[str, object]]:
    """Count what is flagged in ordinary chat, which is nearly all clean: there are no labels."""
    data = shared / "data"
    chats = [("en", "chitchat", list(chitchat_texts()[:CLEAN_TEXTS]))]
    if available(shared, "real-persona-chat", "false alarms in ja"):
        chats.append(("ja", "real-persona-chat", _japanese_chat(data)))
    if available(shared, "xpersona", "false alarms in fr, id, it, ko, zh"):
        chats += [(code, "xpersona", _persona_chat(data, code)) for code in PERSONA_FILES]
    rows: list[dict[str, object]] = []
    for language, name, texts in chats:
        flagged = sum(bool(judge(text, language).moderation_flags) for text in texts)
        rude = sum(bool(find_abuse(text, language).categories) for text in texts)
        spam = sum(bool(spam_signals(text)) for text in texts)
        note = (
            f"unlabelled ordinary chat: {flagged} with a moderation flag, {rude} with abusive "
            f"language, {spam} with a spam signal"
        )
        if name == "xpersona":
            note += "; the exceptions to the word lists were made with this text in view"
        rows.append(_row(f"safety.{language}", name, len(texts), None, None, note))
    return rows


def _persona_chat(data: Path, language: str) -> list[str]:
    path = data / f"xpersona/{PERSONA_FILES[language]}_persona_split_test_human_annotated.json.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        dialogues: list[dict[str, Any]] = json.load(file)
    texts = [text for dialogue in dialogues for pair in dialogue["dialogue"] for text in pair]
    return texts[:CLEAN_TEXTS]


def _japanese_chat(data: Path) -> list[str]:
    path = data / "real-persona-chat/dialogues.00001-06000.jsonl.gz"
    texts: list[str] = []
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            texts += [utterance["text"] for utterance in json.loads(line)["utterances"]]
            if len(texts) >= CLEAN_TEXTS:
                break
    return texts[:CLEAN_TEXTS]


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _row(
    enricher: str, data: str, n: int, precision: float | None, recall: float | None, note: str
) -> dict[str, object]:
    return {
        "enricher": enricher,
        "data": data,
        "n": n,
        "precision": precision,
        "recall": recall,
        "note": note,
    }


def table(rows: Sequence[dict[str, object]]) -> str:
    """Return the rows as a Markdown table."""
    lines = ["| enricher | data | n | precision | recall | note |", "|---|---|---|---|---|---|"]
    for row in rows:
        cells = [
            f"{v:.3f}" if isinstance(v, float) else "-" if v is None else v for v in row.values()
        ]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(measure_safety(SHARED)))
