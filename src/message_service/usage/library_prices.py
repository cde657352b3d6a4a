"""The prices of the library genai-prices, as rows of our book.

Left out, so that nobody takes half a price for the whole: models with a fee per request beside the
tokens. A price for certain hours is taken, as by the library, for all dates.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import cache
from importlib.metadata import version
from typing import Any, cast

from message_service.documents.token_usage import TokenClass as C
from message_service.usage.prices import PriceRow
from message_service.usage.tiers import STANDARD, tier_of

_CLASSES = {
    "input_mtok": C.INPUT,
    "cache_read_mtok": C.CACHED_INPUT,
    "cache_write_mtok": C.CACHE_WRITE_5M,
    "cache_write_5m_mtok": C.CACHE_WRITE_5M,
    "cache_write_1h_mtok": C.CACHE_WRITE_1H,
    "input_audio_mtok": C.AUDIO_INPUT,
    "cache_audio_read_mtok": C.CACHED_AUDIO_INPUT,
    "input_image_mtok": C.IMAGE_INPUT,
    "output_mtok": C.OUTPUT,
    "output_reasoning_mtok": C.REASONING,
    "output_audio_mtok": C.AUDIO_OUTPUT,
    "output_image_mtok": C.IMAGE_OUTPUT,
    "web_searches_kcount": C.WEB_SEARCH,
}
_FEES = frozenset({"requests_kcount"})
_TIER_KEYS = ("service_tier", "processing", "speed")


@dataclass(frozen=True, slots=True)
class LibraryPrices:
    """What the installed library knows of one provider.

    Attributes:
        rows: Its prices; `known_from` is to be set when they are loaded.
        left_out: Models whose prices we cannot express.
    """

    rows: tuple[PriceRow, ...] = ()
    left_out: tuple[str, ...] = ()


@dataclass(slots=True)
class _Period:
    """Prices by name of the library, from a day on, or for certain hours of all days."""

    start: date | None
    prices: Mapping[str, Any]
    hours: str | None = None


_Tiers = Mapping[str, list[_Period]]
"""The periods of a model by tier."""


def library_source() -> str:
    """Return the library's name and version, the `source` of its rows."""
    return f"genai-prices {version('genai-prices')}"


@cache
def library_providers() -> tuple[str, ...]:
    """Return the providers the library knows."""
    return tuple(provider.id for provider in _providers())


@cache
def library_prices(provider: str) -> LibraryPrices:
    """Return the prices of a provider; empty for one the library does not know."""
    rows: list[PriceRow] = []
    left_out: list[str] = []
    for known in _providers():
        if known.id != provider:
            continue
        for model in known.models:
            tiers = _tiers(model)
            if tiers is None:
                left_out.append(model.id)
            else:
                rows.extend(_rows(provider, model.id, _regex(model.match), tiers))
    return LibraryPrices(tuple(rows), tuple(left_out))


def _providers() -> list[Any]:
    # Imported when needed: its data takes 0.2 s and 25 MB.
    from genai_prices.data_snapshot import get_snapshot

    return list(get_snapshot().providers)


def _tiers(model: Any) -> _Tiers | None:
    """Return the periods of a model's tiers, or None when they cannot be expressed."""
    from genai_prices.types import ModelPrice, TimeOfDateConstraint

    single = isinstance(model.prices, ModelPrice)
    conditional = (
        [(None, model.prices)] if single else [(c.constraint, c.prices) for c in model.prices]
    )
    by_hour = [
        _Period(None, _named(prices), _hours(constraint))
        for constraint, prices in conditional
        if isinstance(constraint, TimeOfDateConstraint)
    ]
    standard = [
        _Period(None if constraint is None else constraint.start_date, _named(prices))
        for constraint, prices in conditional
        if not isinstance(constraint, TimeOfDateConstraint)
    ]
    if not standard or any(_FEES & set(period.prices) for period in standard):
        return None
    standard.sort(key=lambda period: period.start or date.min)
    standard[0].start = None  # the library takes the first one for all earlier times
    found = {STANDARD: [*standard, *by_hour]}
    for tier, changed in _variants(model).items():
        days = sorted({p.start or date.min for p in (*standard, *changed)})
        found[tier] = [
            _Period(None if day == date.min else day, {**_at(standard, day), **overrides})
            for day in days
            if (overrides := _at(changed, day))
        ]
    return found


def _variants(model: Any) -> dict[str, list[_Period]]:
    """Return by tier what it changes of the standard prices."""
    from genai_prices.types import StartDateConstraint

    found: dict[str, list[_Period]] = {}
    for variant in model.price_variants or ():
        when: dict[str, str] = variant.when
        key, value = next(iter(when.items()))
        prices = _named(variant.prices)
        if len(when) > 1 or key not in _TIER_KEYS or not prices:
            continue
        if not isinstance(variant.constraint, StartDateConstraint | None):
            continue
        start = None if variant.constraint is None else variant.constraint.start_date
        found.setdefault(tier_of(value) or STANDARD, []).append(_Period(start, prices))
    found.pop(STANDARD, None)
    return found


def _at(periods: Iterable[_Period], day: date) -> Mapping[str, Any]:
    """Return the last of the periods that has begun."""
    begun = [period for period in periods if (period.start or date.min) <= day]
    return max(begun, key=lambda period: period.start or date.min).prices if begun else {}


def _named(prices: Any) -> dict[str, Any]:
    fields = cast("dict[str, Any]", vars(prices))
    return {name: value for name, value in fields.items() if value is not None}


def _rows(provider: str, model: str, pattern: str, tiers: _Tiers) -> Iterator[PriceRow]:
    source = library_source()
    for tier, periods in tiers.items():
        for place, period in enumerate(periods):
            end = None
            if period.hours is None and place + 1 < len(periods):
                end = periods[place + 1].start
            for name, value in period.prices.items():
                kind = _CLASSES.get(name)
                if kind is None:
                    continue
                for above, price in _steps(value):
                    yield PriceRow(
                        price_id="",
                        provider=provider,
                        model=model,
                        pattern=pattern,
                        token_class=kind,
                        tier=tier,
                        above=above,
                        unit_price=price,
                        valid_from=_midnight(period.start),
                        valid_to=_midnight(end),
                        hours=period.hours,
                        known_from=_UNSET,
                        source=source,
                    )


_UNSET = datetime(1970, 1, 1, tzinfo=UTC)


def _steps(value: Any) -> Iterator[tuple[int, Decimal]]:
    if isinstance(value, Decimal):
        yield 0, value
    else:
        yield 0, value.base
        for tier in value.tiers:
            yield tier.start, tier.price


def _hours(constraint: Any) -> str:
    begin, end = (
        datetime.combine(date(2000, 1, 1), moment).replace(tzinfo=moment.tzinfo or UTC)
        for moment in (constraint.start_time, constraint.end_time)
    )
    return f"{begin.astimezone(UTC):%H:%M}-{end.astimezone(UTC):%H:%M}"


def _midnight(day: date | None) -> datetime | None:
    return None if day is None else datetime.combine(day, time(), UTC)


def _regex(clause: Any) -> str:
    """Return a clause of the library as a regular expression, to be searched in small letters."""
    fields = cast("dict[str, Any]", vars(clause))
    kind, value = next(iter(fields.items()))
    match kind:
        case "equals":
            return rf"\A{re.escape(value.lower())}\Z"
        case "starts_with":
            return rf"\A{re.escape(value.lower())}"
        case "ends_with":
            return rf"{re.escape(value.lower())}\Z"
        case "contains":
            return re.escape(value.lower())
        case "regex":
            return f"(?:{value})"
        case "or_":
            return "|".join(f"(?:{_regex(one)})" for one in value)
        case "and_":
            return r"\A" + "".join(rf"(?=.*?(?:{_regex(one)}))" for one in value)
        case _:
            raise ValueError(f"genai-prices has a clause of an unknown kind: {kind}")
