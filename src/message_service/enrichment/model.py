"""What an enricher is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from message_service.enrichment.words import Words

Findings = Mapping[str, Any]
"""Values by field path: of the message (`custom_metadata.intent`) or, under `indexed_content`, of
its search entry. What was not found is left out."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A text on its way through the enrichers.

    Attributes:
        text: The sanitized text.
        language: ISO 639-1 code, or `und`.
        words: Its searchable forms.
        phone_regions: The deployment's regions (`Settings.phone_regions`).
    """

    text: str
    language: str
    words: Words
    phone_regions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Enricher:
    """One enricher.

    Attributes:
        name: Its name.
        version: Raised when its results change; stored messages are then enriched again.
        finds: What it finds, one line.
        weak: Where it is weak, one line.
        fills: The paths it may fill; one it leaves empty this time is cleared.
        run: A pure function.
    """

    name: str
    version: int
    finds: str
    weak: str
    fills: tuple[str, ...]
    run: Callable[[Subject], Findings]
