"""How right each signal of abuse is in each language: `python -m benchmarks.enrichment_abuse`.

`--write` puts the table into `docs/how-to/enrichment.md`. Hate and profanity are measured on
Multilingual HateCheck where it has the language, all else on our own `labelled/abuse.tsv`.
"""

from __future__ import annotations

import csv
import gzip
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.page import write_table
from benchmarks.sources import SHARED, available
from message_service.enrichment.profanity import find_abuse
from message_service.enrichment.signals import SIGNALS

OWN = Path(__file__).with_name("labelled") / "abuse.tsv"
HATECHECK = "multilingual-hatecheck"
HATECHECK_FILES = {
    "ar": "arabic", "de": "german", "es": "spanish", "fr": "french", "zh": "mandarin",
}  # fmt: skip
MIN_RECALL = 0.05

Labelled = tuple[bool, str]


@dataclass(frozen=True)
class Measured:
    """How right one signal is in one language."""

    signal: str
    language: str
    data: str
    texts: int
    labelled: int
    flagged: int
    right: int

    @property
    def base_rate(self) -> float:
        """Precision of flagging at random."""
        return self.labelled / self.texts

    @property
    def precision(self) -> float | None:
        return self.right / self.flagged if self.flagged else None

    @property
    def recall(self) -> float:
        return self.right / self.labelled

    @property
    def lower(self) -> float:
        """Lower end of the 95 % interval of the precision (Wilson)."""
        if not self.flagged:
            return 0.0
        share, n, z = self.right / self.flagged, self.flagged, 1.96
        spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
        return (share + z * z / (2 * n) - spread) / (1 + z * z / n)

    @property
    def better_than_chance(self) -> bool:
        return self.lower > self.base_rate and self.recall >= MIN_RECALL

    @property
    def given(self) -> bool:
        """Whether the service gives the signal in this language."""
        return self.language in SIGNALS[self.signal].languages


def measure_abuse(shared: Path = SHARED) -> list[Measured]:
    """Measure every signal in every language there is labelled text for."""
    found: dict[tuple[str, str], Measured] = {}
    for signal, language, texts in _own():
        found[signal, language] = _measured(signal, language, "ours", texts)
    if available(shared, HATECHECK, "hate and profanity in de, es, fr, zh and ar"):
        for signal, language, texts in _hatecheck(shared / "data" / HATECHECK):
            found[signal, language] = _measured(signal, language, "HateCheck", texts)
    order = list(SIGNALS)
    return sorted(found.values(), key=lambda one: (order.index(one.signal), one.language))


def _measured(signal: str, language: str, data: str, texts: Sequence[Labelled]) -> Measured:
    wanted = SIGNALS[signal].categories
    flags = [
        (is_one, not wanted.isdisjoint(find_abuse(text, language, undeclared=True).categories))
        for is_one, text in texts
    ]
    return Measured(
        signal,
        language,
        data,
        texts=len(flags),
        labelled=sum(is_one for is_one, _ in flags),
        flagged=sum(flagged for _, flagged in flags),
        right=sum(is_one and flagged for is_one, flagged in flags),
    )


def _own() -> Iterator[tuple[str, str, list[Labelled]]]:
    rows = [row.split("\t") for row in OWN.read_text("utf-8").splitlines() if row[0] != "#"]
    for language in dict.fromkeys(row[1] for row in rows):
        texts = [(label, text) for label, code, text in rows if code == language]
        for signal in dict.fromkeys(label for label, _ in texts if label in SIGNALS):
            yield signal, language, [(label == signal, text) for label, text in texts]


def _hatecheck(folder: Path) -> Iterator[tuple[str, str, list[Labelled]]]:
    for language, name in HATECHECK_FILES.items():
        path = folder / f"hatecheck_cases_final_{name}.csv.gz"
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            cases = list(csv.DictReader(file))
        yield "hate", language, [(c["label_gold"] == "hateful", c["test_case"]) for c in cases]
        yield (
            "profanity",
            language,
            [(c["functionality"].startswith("profanity"), c["test_case"]) for c in cases],
        )


def table(rows: Sequence[Measured]) -> str:
    """Return the rows as Markdown."""
    shown = [
        "| signal | language | data | texts | labelled | flagged | precision (95 % from) "
        "| base rate | recall | given |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        precision = "-" if row.precision is None else f"{row.precision:.2f} ({row.lower:.2f})"
        shown.append(
            f"| {row.signal} | {row.language} | {row.data} | {row.texts:,} | {row.labelled:,} "
            f"| {row.flagged:,} | {precision} | {row.base_rate:.2f} | {row.recall:.2f} "
            f"| {'yes' if row.given else 'not available'} |"
        )
    return "\n".join(shown)


def main() -> None:
    measured = table(measure_abuse())
    print(measured)
    if "--write" in sys.argv[1:]:
        write_table("abuse", measured)


if __name__ == "__main__":
    main()
