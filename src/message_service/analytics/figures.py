"""Arithmetic of figures: made from messages, added, taken away, stored, and what follows from them.

In memory the figures of a summary are a dictionary: whole numbers, `Decimal` by currency for costs,
counts by bucket for histograms and by label for tallies. A figure that is zero is not in it, so
that equal figures are equal dictionaries.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from message_service.analytics.histogram import bucket_of, classes, quantile
from message_service.analytics.metrics import FIGURES, METRICS, RESULTS, Values
from message_service.database.decimals import decimal, exact, plus
from message_service.documents.measures import (
    Classes,
    Costs,
    Histogram,
    Largest,
    Measure,
    Quantile,
    Ratio,
    Shares,
    Single,
    Smallest,
    Tally,
)
from message_service.documents.row import Row

OTHERS = "(others)"
"""What the less frequent labels are called together."""

MOST_LABELS = 5_000
"""Labels that a summary tells apart; further ones are counted as `(others)`."""

_SHOWN_LABELS = 20

_COSTS = tuple(name for name, rule in FIGURES.items() if isinstance(rule, Costs))
HISTOGRAMS = tuple(name for name, rule in FIGURES.items() if isinstance(rule, Histogram))
"""Figures that count values by bucket."""

TALLIES = tuple(name for name, rule in FIGURES.items() if isinstance(rule, Tally))
"""Figures that count labels."""
EXTREMES = {
    name: min if isinstance(rule, Smallest) else max
    for name, rule in FIGURES.items()
    if isinstance(rule, (Smallest, Largest))
}
"""Figures that cannot be taken away, as the next largest is not known; and which of two counts."""

Make = Callable[[Mapping[str, Any]], Any]
"""Makes a metric of figures."""

_NESTED = frozenset((*_COSTS, *HISTOGRAMS, *TALLIES))


def from_server(row: Row, currency: str | None) -> Values:
    """Return the figures of a group of messages, as the server made them (`grains`)."""
    values: Values = {}
    for name in FIGURES:
        found = row.get(name)
        if not found:
            if name in EXTREMES and found is not None:
                values[name] = found
        elif name in _COSTS:
            if currency is not None and (amount := decimal(found)):
                values[name] = {currency: amount}
        elif name in HISTOGRAMS:
            values[name] = _bucketed(found)
        elif name in TALLIES:
            values[name] = dict(Counter(label for labels in found for label in set(labels)))
        else:
            values[name] = found
    return values


def _bucketed(found: Iterable[int]) -> dict[int, int]:
    buckets: dict[int, int] = {}
    for value, count in Counter(found).items():
        bucket = bucket_of(int(value))
        buckets[bucket] = buckets.get(bucket, 0) + count
    return buckets


def add(values: Values, more: Mapping[str, Any], sign: int = 1) -> None:
    """Add figures to others, in place; or take them away, but for the extremes.

    Args:
        values: What they are added to.
        more: What is added.
        sign: 1 to add, -1 to take away.
    """
    for name, amount in more.items():
        if name in EXTREMES:
            if sign > 0:
                values[name] = EXTREMES[name](values[name], amount) if name in values else amount
        elif name in _NESTED:
            _add_each(values, name, amount, sign)
        else:
            total = values.get(name, 0) + sign * amount
            if total:
                values[name] = total
            else:
                values.pop(name, None)


def _add_each(values: Values, name: str, amounts: Mapping[Any, Any], sign: int) -> None:
    held: dict[Any, Any] = values.setdefault(name, {})
    for key, amount in amounts.items():
        if key not in held:
            total = amount if sign > 0 else -amount
        elif name in _COSTS:
            total = plus(held[key], amount if sign > 0 else -amount)
        else:
            total = held[key] + sign * amount
        if total:
            held[key] = total
        else:
            held.pop(key, None)
    if not held:
        del values[name]


def stored_part(values: Mapping[str, Any]) -> Row:
    """Return figures as a part of a summary stores them."""
    return {
        name: _STORED_AS[name](value) if name in _STORED_AS else value
        for name, value in values.items()
    }


def read_part(row: Mapping[str, Any]) -> Values:
    """Return the figures of a stored part."""
    return {name: _read(name, value) for name, value in row.items()}


def stored_groups(values: Mapping[str, Any]) -> dict[str, Row]:
    """Return the groups of a summary: figures, and the metrics that follow from them."""
    groups: dict[str, Row] = {group: {} for group in _GROUPS}
    for group, name, make in _STORED:
        value = make(values)
        if value is not None:
            groups[group][name] = exact(value) if isinstance(value, Decimal) else value
    return groups


def read_groups(row: Row) -> Values:
    """Return the figures of a stored summary."""
    values: Values = {}
    for name, metric in METRICS.items():
        found = row.get(metric.group, {}).get(name) if name not in RESULTS else None
        if found or (found is not None and name in EXTREMES):
            values[name] = _read(name, found)
    return values


def _stored_costs(value: Mapping[str, Decimal]) -> Row:
    return {currency: exact(amount) for currency, amount in sorted(value.items())}


def _stored_buckets(value: Mapping[int, int]) -> Row:
    return {str(bucket): value[bucket] for bucket in sorted(value)}


def _stored_labels(value: Mapping[str, int]) -> list[Row]:
    ranked = sorted(value.items(), key=lambda item: (item[0] == OTHERS, -item[1], item[0]))
    kept = dict(ranked[:MOST_LABELS])
    rest = sum(count for _, count in ranked[MOST_LABELS:])
    if rest:
        kept[OTHERS] = kept.get(OTHERS, 0) + rest
    return [{"name": label, "messages": count} for label, count in kept.items()]


_STORED_AS: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(_COSTS, _stored_costs),
    **dict.fromkeys(HISTOGRAMS, _stored_buckets),
    **dict.fromkeys(TALLIES, _stored_labels),
}
"""How figures are stored that are not plain numbers."""


def _read(name: str, value: Any) -> Any:
    if name in _COSTS:
        return {currency: decimal(amount) for currency, amount in value.items()}
    if name in HISTOGRAMS:
        return {int(bucket): count for bucket, count in value.items()}
    if name in TALLIES:
        return {each["name"]: each["messages"] for each in value}
    return value


def result_of(name: str, values: Mapping[str, Any]) -> Any:
    """Return a metric that follows from figures; None when they do not say."""
    return _RESULT_OF[name](values)


def _computing(rule: Measure) -> Make:
    """Return the function that computes a metric from figures."""
    match rule:
        case Ratio(part=part, whole=whole, scale=scale):

            def ratio(values: Mapping[str, Any]) -> float | None:
                below = values.get(whole, 0)
                return values.get(part, 0) / below / scale if below else None

            return ratio
        case Quantile(of=of, share=share, least=least, most=most):

            def value_at(values: Mapping[str, Any]) -> float | None:
                found = quantile(values.get(of, {}), share)
                return (
                    None if found is None else float(min(max(found, values[least]), values[most]))
                )

            return value_at
        case Classes(of=of, bounds=bounds):
            return lambda values: classes(values[of], bounds) if of in values else None
        case Single(of=of, currency=currency):

            def single(values: Mapping[str, Any]) -> str | Decimal | None:
                costs: dict[str, Decimal] = values.get(of, {})
                if len(costs) != 1:
                    return None
                return next(iter(costs)) if currency else next(iter(costs.values()))

            return single
        case Shares(of=of):
            return lambda values: _shares(values.get(of, {}))
        case _:
            raise TypeError(f"nothing computes {rule}")


def _shares(tally: Mapping[str, int]) -> dict[str, float] | None:
    total = sum(tally.values())
    if not total:
        return None
    ranked = sorted(tally.items(), key=lambda item: (item[0] == OTHERS, -item[1], item[0]))
    shown = {label: count / total for label, count in ranked[:_SHOWN_LABELS]}
    rest = sum(count for _, count in ranked[_SHOWN_LABELS:])
    if rest:
        shown[OTHERS] = shown.get(OTHERS, 0) + rest / total
    return shown


_RESULT_OF = {name: _computing(metric.rule) for name, metric in RESULTS.items()}


def _storing(name: str, group: str) -> Make:
    """Return the function that gives a metric as it is stored, None when it is left out."""
    if name in RESULTS:
        return _RESULT_OF[name]
    absent: Any = None if group == "figures" or name in EXTREMES else 0
    if name not in _STORED_AS:
        return lambda values: values.get(name, absent)
    stored = _STORED_AS[name]
    if absent == 0:
        absent = {}
    return lambda values: stored(values[name]) if name in values else absent


_GROUPS = tuple(dict.fromkeys(metric.group for metric in METRICS.values()))
_STORED = tuple(
    (metric.group, name, _storing(name, metric.group)) for name, metric in METRICS.items()
)
