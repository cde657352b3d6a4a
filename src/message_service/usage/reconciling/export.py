"""The shape of a provider's usage export: which columns it has, and what they count."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date

Figures = Mapping[str, int]
"""Counts by name, those that are missing left out."""


@dataclass(frozen=True, slots=True)
class ExportShape:
    """One provider's export, in one set of names.

    Attributes:
        name: What it is called, for people.
        provider: Whose it is.
        begin: The column with the moment a line begins; ISO or seconds since 1970.
        end: The column with its end; None where a line is a day or less by itself.
        model: The column with the model.
        needed: The columns by which it is recognised.
        figures: The columns with counts.
        words: The columns with other things; they are not compared.
        measures: What is compared, from a line's figures: by the names of `MEASURES`.
        requests: The column with the number of requests.
    """

    name: str
    provider: str
    begin: tuple[str, ...]
    end: tuple[str, ...]
    model: str
    needed: frozenset[str]
    figures: frozenset[str]
    words: frozenset[str]
    measures: Callable[[Figures], Mapping[str, int]]
    requests: str | None = None

    @property
    def columns(self) -> frozenset[str]:
        """Every column it may have."""
        return self.figures | self.words | {*self.begin, *self.end, self.model}


MEASURES: Mapping[str, str] = {
    "prompt": "tokens of prompts, cached ones too",
    "cached": "tokens of prompts read from the provider's cache",
    "cache_write": "tokens written to its cache",
    "cache_write_5m": "those for five minutes",
    "cache_write_1h": "those for an hour",
    "output": "tokens of replies, reasoning too",
    "web_search": "web searches",
}
"""What can be compared, and what it is."""


@dataclass(slots=True)
class Told:
    """What an export tells of a day and model.

    Attributes:
        counts: What is compared.
        requests: Calls of the model; None where the export does not tell.
    """

    counts: dict[str, int] = field(default_factory=dict[str, int])
    requests: int | None = None

    def add(self, counts: Mapping[str, int], requests: int | None) -> None:
        """Add a line of the same day and model."""
        for name, count in counts.items():
            self.counts[name] = self.counts.get(name, 0) + count
        if requests is not None:
            self.requests = (self.requests or 0) + requests


@dataclass(frozen=True, slots=True)
class Export:
    """An export, read.

    Attributes:
        shape: Its shape.
        since: Its first day, of UTC.
        until: The day after its last one.
        told: What it tells, by day and model.
    """

    shape: ExportShape
    since: date
    until: date
    told: Mapping[tuple[date, str], Told]
