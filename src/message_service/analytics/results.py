"""What callers get: summaries and series of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from message_service.analytics.figures import result_of
from message_service.analytics.metrics import PUBLISHED, RESULTS, Values
from message_service.documents.analytics import AggregationType, Dimension
from message_service.documents.summary_metrics import (
    Distributions,
    MessageMetrics,
    PerformanceMetrics,
    QualityMetrics,
    TokenMetrics,
)

_GROUPS = {
    "message_metrics": MessageMetrics,
    "token_metrics": TokenMetrics,
    "performance_metrics": PerformanceMetrics,
    "quality_metrics": QualityMetrics,
    "distributions": Distributions,
}


@dataclass(frozen=True, slots=True)
class Summary:
    """What the messages of one subject amount to, in a day, week, month, or any range of days.

    Attributes:
        dimension: What it is about.
        key: The conversation, user, character, or provider and model; empty for a tenant, and for
            all tenants together.
        period: Its length; None for any range of days.
        first: The first day.
        until: The first day after it.
        begins: The moment the first day begins.
        ends: The first moment after the last day.
        message_metrics: Counts of messages.
        token_metrics: Tokens and cost.
        performance_metrics: Response times.
        quality_metrics: Scores and rates.
        distributions: Lengths, response times, topics.
        updated_at: When it was written last; None where there were no messages.
        complete_up_to: All that happened to messages before this moment is in it.
    """

    dimension: Dimension
    key: Mapping[str, str]
    period: AggregationType | None
    first: date
    until: date
    begins: datetime
    ends: datetime
    message_metrics: MessageMetrics
    token_metrics: TokenMetrics
    performance_metrics: PerformanceMetrics
    quality_metrics: QualityMetrics
    distributions: Distributions
    updated_at: datetime | None
    complete_up_to: datetime

    def value(self, metric: str) -> Any:
        """Return a metric by name; None when there is no value.

        Raises:
            KeyError: There is no such metric.
        """
        return getattr(getattr(self, PUBLISHED[metric].group), metric)


@dataclass(frozen=True, slots=True)
class Series:
    """Summaries of one subject, in order, one for each period.

    Attributes:
        summaries: The summaries; without messages, all of their counts are 0.
        complete_up_to: All that happened to messages before this moment is in them.
    """

    summaries: Sequence[Summary]
    complete_up_to: datetime


@dataclass(frozen=True, slots=True)
class Comparison:
    """A range of days, and the one before it.

    Attributes:
        now: The range.
        before: The days before it: as many months when the range is of whole months, else as many
            days.
    """

    now: Summary
    before: Summary

    def change(self, metric: str) -> float | None:
        """Return by which part of what it was a metric has changed: 0.5 for half as much again.

        Returns:
            None where it was zero or had no value, or has none now.

        Raises:
            KeyError: There is no such metric.
            ValueError: It is no single number.
        """
        before, now = self.before.value(metric), self.now.value(metric)
        if any(isinstance(each, (str, dict)) for each in (before, now)):
            raise ValueError(f"{metric} is no single number")
        return None if not before or now is None else float((now - before) / before)


@dataclass(frozen=True, slots=True)
class Ranked:
    """One of the most.

    Attributes:
        key: The conversation, user, character, or provider and model.
        value: What it has of the metric.
        share: The part of all that is, from 0 to 1; None where the metric does not add up.
        messages: Its messages.
    """

    key: Mapping[str, str]
    value: Any
    share: float | None
    messages: int


@dataclass(frozen=True, slots=True)
class Top:
    """Those with the most of something.

    Attributes:
        ranked: The first ones, most first.
        total: How many there are in all.
        complete_up_to: All that happened to messages before this moment is in them.
    """

    ranked: Sequence[Ranked]
    total: int
    complete_up_to: datetime


def groups_of(values: Values) -> dict[str, Any]:
    """Return the groups of metrics that follow from figures, by name."""
    found: dict[str, dict[str, Any]] = {name: {} for name in _GROUPS}
    for name, metric in PUBLISHED.items():
        value = result_of(name, values) if name in RESULTS else values.get(name)
        if value is not None:
            found[metric.group][name] = value
    return {name: model.model_construct(**found[name]) for name, model in _GROUPS.items()}
