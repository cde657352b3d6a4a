"""The signals of abuse and the languages they are used in, from `data/safety_languages.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal of abuse.

    Attributes:
        categories: Its categories, from `profanity.CATEGORIES`.
        languages: Languages in which it was measured to be better than chance.
        contradicted: Languages in which only our own sample shows this, and another contradicts it.
    """

    categories: frozenset[str]
    languages: frozenset[str]
    contradicted: frozenset[str]


def _read() -> Mapping[str, Signal]:
    path = resources.files("message_service.enrichment") / "data" / "safety_languages.toml"
    tables: dict[str, dict[str, list[str]]] = tomllib.loads(path.read_text("utf-8"))
    return {
        name: Signal(
            frozenset(table["categories"]),
            frozenset(table["languages"]),
            frozenset(table.get("contradicted", ())),
        )
        for name, table in tables.items()
    }


SIGNALS = _read()
"""Every signal by name."""

JUDGED = frozenset[str].intersection(*(signal.languages for signal in SIGNALS.values()))
"""Languages with all signals: only in these can a text be judged safe."""


def given_categories(language: str) -> frozenset[str]:
    """Return the categories of abuse that are reported in a language."""
    return frozenset[str]().union(
        *(signal.categories for signal in SIGNALS.values() if language in signal.languages)
    )


__all__ = ["JUDGED", "SIGNALS", "Signal", "given_categories"]
