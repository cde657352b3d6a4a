"""Whether the lines of a price file agree with one another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import combinations, pairwise

from message_service import errors
from message_service.documents.token_usage import TokenClass
from message_service.usage.price_file import PriceLine
from message_service.usage.prices import minutes
from message_service.usage.tiers import provider_of, tier_of

_EVER = datetime.max.replace(tzinfo=UTC)
_FIRST = datetime.min.replace(tzinfo=UTC)
_NEEDED = (TokenClass.INPUT, TokenClass.OUTPUT)

Placed = tuple[str, PriceLine]


def check_prices(lines: Sequence[Placed]) -> None:
    """Check the lines of one file together.

    Raises:
        InvalidInput: Two lines price the same thing at the same time, leave a gap between them, or
            use two currencies at the same time; or a line lacks the price of input or output, or
            a line for long prompts or certain hours has no line for the others. The error names
            the lines.
    """
    for several in _grouped(lines, with_conditions=True):
        _check_succession(several)
    for several in _grouped(lines, with_conditions=False):
        _check_overlapping_hours(several)
        _check_base(several)
    by_model: dict[tuple[str, str], list[Placed]] = {}
    for place, line in lines:
        by_model.setdefault((_provider(line), line.model.lower()), []).append((place, line))
    for several in by_model.values():
        _check_currency(several)


def _grouped(lines: Iterable[Placed], *, with_conditions: bool) -> list[list[Placed]]:
    """Return the lines by model and tier (and by length of prompt and hours), earliest first."""
    groups: dict[tuple[object, ...], list[Placed]] = {}
    for place, line in lines:
        key: tuple[object, ...] = (_provider(line), line.model.lower(), tier_of(line.tier))
        if with_conditions:
            key = (*key, line.above, line.hours)
        groups.setdefault(key, []).append((place, line))
    for several in groups.values():
        several.sort(key=lambda placed: _from(placed[1]))
    return list(groups.values())


def _check_succession(several: Sequence[Placed]) -> None:
    for (first, earlier), (second, later) in pairwise(several):
        if _to(earlier) > _from(later):
            raise errors.InvalidInput(
                f"{second}, valid_from",
                f"{_what(later)} has two prices at {_day(_from(later))}: {first} "
                f"({_span(earlier)}) and {second} ({_span(later)})",
                "End the earlier with valid_to",
            )
        if _to(earlier) < _from(later):
            raise errors.InvalidInput(
                f"{second}, valid_from",
                f"{_what(later)} has no price from {_day(_to(earlier))} to {_day(_from(later))}, "
                f"between {first} and {second}",
                "Close the gap",
            )


def _check_overlapping_hours(several: Sequence[Placed]) -> None:
    timed = [placed for placed in several if placed[1].hours is not None]
    for (first, one), (second, other) in combinations(timed, 2):
        if one.above != other.above or one.hours == other.hours or not _meet(one, other):
            continue
        if _hours_of(one) & _hours_of(other):
            raise errors.InvalidInput(
                f"{second}, hours",
                f"{_what(other)} has two prices in the same hours: {first} ({one.hours}) and "
                f"{second} ({other.hours})",
                "Let the hours follow one another",
            )


def _check_base(several: Sequence[Placed]) -> None:
    """Check that whatever is priced on a condition is priced without it too."""
    bases = [line for _, line in several if not line.above and line.hours is None]
    for place, line in several:
        if line in bases:
            for kind in _NEEDED:
                if getattr(line, kind.value) is None:
                    raise errors.InvalidInput(
                        f"{place}, {kind}", f"{_what(line)} has no price for it", "Give it, or 0"
                    )
            continue
        covering = [base for base in bases if _meet(base, line)]
        if not covering or _from(covering[0]) > _from(line) or _to(covering[-1]) < _to(line):
            raise errors.InvalidInput(
                f"{place}, {'above' if line.above else 'hours'}",
                f"{_what(line)} has no price for shorter prompts and other hours all that time",
                "Add a line without above and hours",
            )


def _check_currency(several: Sequence[Placed]) -> None:
    if len({line.currency for _, line in several}) == 1:
        return
    for (first, one), (second, other) in combinations(several, 2):
        if one.currency != other.currency and _meet(one, other):
            raise errors.InvalidInput(
                f"{second}, currency",
                f"{_what(other)} is priced in {one.currency} ({first}) and in {other.currency} "
                f"({second}) at the same time",
                "Use one currency",
            )


def _meet(one: PriceLine, other: PriceLine) -> bool:
    return _from(one) < _to(other) and _from(other) < _to(one)


def _hours_of(line: PriceLine) -> set[int]:
    begin, end = minutes(line.hours or "00:00-00:00")
    return set(range(begin, end)) if begin < end else {*range(begin, 1440), *range(end)}


def _provider(line: PriceLine) -> str:
    return provider_of(line.provider) or line.provider


def _from(line: PriceLine) -> datetime:
    return line.valid_from or _FIRST


def _to(line: PriceLine) -> datetime:
    return line.valid_to or _EVER


def _what(line: PriceLine) -> str:
    more = f" above {line.above:,} tokens" if line.above else ""
    return f"{_provider(line)}/{line.model} ({line.tier}{more})"


def _span(line: PriceLine) -> str:
    begin = "always" if line.valid_from is None else f"from {_day(line.valid_from)}"
    return begin if line.valid_to is None else f"{begin} to {_day(line.valid_to)}"


def _day(moment: datetime) -> str:
    if moment in (_FIRST, _EVER):
        return "ever"
    return (
        f"{moment:%Y-%m-%d}"
        if (moment.hour, moment.minute) == (0, 0)
        else f"{moment:%Y-%m-%d %H:%M}"
    )
