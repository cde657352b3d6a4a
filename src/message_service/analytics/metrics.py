"""The metrics of summaries, read from the fields of `documents.analytics`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from pydantic import BaseModel

from message_service.documents.analytics import MessageAnalytics
from message_service.documents.measures import Distinct, Figure, Measure, Result


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Attributes:
        group: The part of a summary that has it.
        name: Its name, unique.
        rule: How it is made.
    """

    group: str
    name: str
    rule: Measure


def _declared() -> dict[str, Metric]:
    found: dict[str, Metric] = {}
    for group, holder in MessageAnalytics.model_fields.items():
        model = holder.annotation
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            continue
        for name, field in model.model_fields.items():
            for rule in field.metadata:
                if isinstance(rule, Measure):
                    if name in found:
                        raise TypeError(f"two metrics are called {name}")
                    found[name] = Metric(group, name, rule)
    return found


METRICS: Mapping[str, Metric] = _declared()
"""Every metric, by name."""

FIGURES: Mapping[str, Figure] = {
    name: each.rule for name, each in METRICS.items() if isinstance(each.rule, Figure)
}
"""What messages add to summaries, by name."""

DISTINCT: Mapping[str, Distinct] = {
    name: each.rule for name, each in METRICS.items() if isinstance(each.rule, Distinct)
}
"""What is counted once, by name."""

RESULTS: Mapping[str, Metric] = {
    name: each for name, each in METRICS.items() if isinstance(each.rule, Result)
}
"""What is computed from figures, by name."""

PUBLISHED: Mapping[str, Metric] = {
    name: each for name, each in METRICS.items() if each.group != "figures"
}
"""What callers see, by name."""


def _fingerprint() -> str:
    """Return a name of the rules; how they are described does not count."""
    told = ("unit", "purpose")
    rules: list[object] = []
    for name, metric in METRICS.items():
        counted = [each.name for each in fields(metric.rule) if each.name not in told]
        values = [getattr(metric.rule, each) for each in counted]
        rules.append((name, type(metric.rule).__name__, values))
    return hashlib.sha256(repr(rules).encode()).hexdigest()[:16]


RULES = _fingerprint()
"""Names the rules of this release: summaries made by others are made again."""

Values = dict[str, Any]
"""Figures by name; see `analytics.figures`."""
