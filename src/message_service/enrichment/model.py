"""The interface of enrichers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from message_service.enrichment.words import Words

Findings = Mapping[str, Any]
"""Values by field path: fields of the message (`custom_metadata.intent`) or, under
`indexed_content`, of its search entry. Values that were not found are left out."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The input of an enricher.

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
        version: Increased when its results change; stored messages are then enriched again.
        finds: Its results, in one line.
        weak: Its weaknesses, in one line.
        fills: The paths it may fill; a path that it does not fill for a text is cleared.
        run: A pure function that returns the findings.
    """

    name: str
    version: int
    finds: str
    weak: str
    fills: tuple[str, ...]
    run: Callable[[Subject], Findings]
