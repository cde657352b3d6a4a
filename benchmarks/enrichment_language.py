"""How often the language is right, wrong or unknown: `python -m benchmarks.enrichment_language`.

By length of the text, since short texts are the hard ones, and at the former and the present
threshold. `--write` puts the table into `docs/how-to/enrichment.md`.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.page import write_table
from benchmarks.sources import SHARED, available, chitchat_texts
from message_service.enrichment.language import MIN_CONFIDENCE, UNDETERMINED, detect_language

LABELLED = Path(__file__).with_name("labelled")
THRESHOLDS = (0.3, MIN_CONFIDENCE)
LENGTHS = ("< 20", "20-50", "> 50")
# Languages the detector reads; those with a script of their own are settled without it.
PERSONA_FILES = {"fr": "Fr", "id": "Id", "it": "It"}

Labelled = tuple[str, str]


@dataclass(frozen=True)
class Shares:
    """What became of the texts of one data set and length at one threshold.

    Attributes:
        data: The data set.
        length: One of `LENGTHS`, in characters.
        threshold: Least confidence.
        texts: How many texts there are.
        correct: Share with the right code; `und` is right where no code is.
        wrong: Share with another language.
        unknown: Share that is `und` though a code is right.
    """

    data: str
    length: str
    threshold: float
    texts: int
    correct: float
    wrong: float
    unknown: float


def measure_language(shared: Path = SHARED) -> list[Shares]:
    """Measure every data set that is there, by length and threshold."""
    rows: list[Shares] = []
    for data, labelled in _sets(shared):
        for length in LENGTHS:
            chosen = [one for one in labelled if length_class(one[1]) == length]
            rows += [_shares(data, length, least, chosen) for least in THRESHOLDS if chosen]
    return rows


def length_class(text: str) -> str:
    """Return which of `LENGTHS` a text has."""
    count = len(text)
    return LENGTHS[0] if count < 20 else LENGTHS[1] if count <= 50 else LENGTHS[2]


def _sets(shared: Path) -> Iterator[tuple[str, list[Labelled]]]:
    romanised = labelled_lines("romanised")
    for name, wanted in (("romanised Hindi, ours", True), ("romanised, 7 others, ours", False)):
        texts = [text for code, text in romanised if (code == "hi") == wanted]
        yield name, [(UNDETERMINED, text) for text in texts]
    yield "27 languages, ours", labelled_lines("language")
    yield "Chit-Chat, en", [("en", text) for text in chitchat_texts() if text.strip()]
    if available(shared, "xpersona", "languages fr, id and it"):
        for code in PERSONA_FILES:
            yield f"xpersona, {code}", _persona_chat(shared / "data" / "xpersona", code)


def labelled_lines(name: str) -> list[Labelled]:
    """Return code and text of each line of one of our own files."""
    rows = (LABELLED / f"{name}.tsv").read_text("utf-8").splitlines()
    pairs = (row.split("\t") for row in rows if row and not row.startswith("#"))
    return [(code, text) for code, text in pairs]


def _persona_chat(folder: Path, code: str) -> list[Labelled]:
    [path] = folder.glob(f"{PERSONA_FILES[code]}_*.json.gz")
    dialogues = json.loads(gzip.decompress(path.read_bytes()))
    return [(code, text) for one in dialogues for pair in one["dialogue"] for text in pair]


def _shares(data: str, length: str, least: float, labelled: Sequence[Labelled]) -> Shares:
    counts = Counter(
        "correct" if found == code else "unknown" if found == UNDETERMINED else "wrong"
        for code, found in ((code, detect_language(text, least).code) for code, text in labelled)
    )
    total = len(labelled)
    parts = {name: counts[name] / total for name in ("correct", "wrong", "unknown")}
    return Shares(data, length, least, total, **parts)


def table(rows: Sequence[Shares]) -> str:
    """Return the rows as Markdown."""
    shown = [
        "| data | characters | texts | threshold | correct | wrong | unknown |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        shares = " | ".join(f"{100 * one:.1f} %" for one in (row.correct, row.wrong, row.unknown))
        shown.append(
            f"| {row.data} | {row.length} | {row.texts:,} | {row.threshold:g} | {shares} |"
        )
    return "\n".join(shown)


def main() -> None:
    measured = table(measure_language())
    print(measured)
    if "--write" in sys.argv[1:]:
        write_table("language", measured)


if __name__ == "__main__":
    main()
