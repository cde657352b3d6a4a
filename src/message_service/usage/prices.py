"""What a token costs: the rows of the price book, and the one that is in force."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache

from message_service.documents.token_usage import TokenClass
from message_service.usage.classes import INSTEAD
from message_service.usage.tiers import STANDARD

OWN = "own"
"""Source of the rows of a tenant's own price files; they win over all others."""

_FIRST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceRow:
    """The price of one class of tokens of one model, over a time.

    Attributes:
        price_id: Names the row.
        provider: The provider's canonical name.
        model: A model, or a pattern of models with `*` and `?`.
        pattern: The regular expression that finds the model's names; None for `model` itself.
        token_class: What is priced.
        tier: The tier of service.
        above: It holds for prompts of more tokens than this, and then for all of their tokens.
        unit_price: Price of a million tokens (of a thousand web searches).
        currency: ISO 4217 code.
        valid_from: The first moment it holds; None for always.
        valid_to: The first moment it holds no longer; None for open.
        hours: The hours of the UTC day in which it holds, instead of the row without hours;
            `01:00-04:00`, the end excluded. None for the whole day.
        known_from: Since when we know. What is known last of a model replaces what was known
            before, for the time it holds and for all classes together.
        source: `own`, or the library it comes from.
    """

    price_id: str
    provider: str
    model: str
    token_class: TokenClass
    unit_price: Decimal
    known_from: datetime
    pattern: str | None = None
    tier: str = STANDARD
    above: int = 0
    currency: str = "USD"
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    hours: str | None = None
    source: str = OWN

    @property
    def group(self) -> tuple[bool, int, str]:
        """What must price all classes of a message together: source and pattern, best first.

        A tenant's own come before the library's; of its own, the pattern with the most letters. Of
        the library's, which are in the order of their names, the first.
        """
        own = self.source == OWN
        return (not own, -literal_length(self.model) if own else 0, self.model)

    def holds(self, moment: datetime) -> bool:
        """Whether it is in force at a moment."""
        return (
            (self.valid_from is None or self.valid_from <= moment)
            and (self.valid_to is None or moment < self.valid_to)
            and (self.hours is None or _within(self.hours, moment))
        )

    def finds(self, model: str) -> bool:
        """Whether a model's name is meant."""
        return _compiled(self.pattern or glob(self.model)).search(model.lower()) is not None

    @property
    def start(self) -> datetime:
        """The first moment it holds, to sort by."""
        return self.valid_from or _FIRST


def glob(model: str) -> str:
    """Return the regular expression of a pattern with `*` and `?`."""
    # fnmatch also knows [..]; a bracket in a model's name means itself.
    literal = model.lower().replace("[", "[[]")
    return rf"\A{fnmatch.translate(literal)}"


def literal_length(model: str) -> int:
    """Return how many characters of a pattern stand for themselves."""
    return len(model) - model.count("*") - model.count("?")


def minutes(hours: str) -> tuple[int, int]:
    """Return the first minute of the UTC day in hours such as `01:00-04:00`, and the one after."""
    begin, end = (int(part[:2]) * 60 + int(part[3:]) for part in hours.split("-"))
    return begin, end


def _within(hours: str, moment: datetime) -> bool:
    begin, end = minutes(hours)
    now = moment.astimezone(UTC)
    minute = now.hour * 60 + now.minute
    return begin <= minute < end if begin < end else not end <= minute < begin


@lru_cache(maxsize=8_192)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


@dataclass(frozen=True, slots=True)
class ModelPrices:
    """The rows that price one model in one tier at one moment; all of one group.

    Attributes:
        by_class: Rows in force by class, those for the longest prompts first.
        since: First moment of a time for which just these rows are in force; None for always.
        until: First moment after it; None for open. Equal to `since` with prices by the hour.
    """

    by_class: Mapping[TokenClass, Sequence[PriceRow]]
    since: datetime | None
    until: datetime | None

    def row(self, kind: TokenClass, prompt: int) -> PriceRow | None:
        """Return the row that prices a class in a call with a prompt of this size.

        A class without a price of its own has that of the class it belongs to (`INSTEAD`).
        """
        wanted: TokenClass | None = kind
        while wanted is not None:
            for row in self.by_class.get(wanted, ()):
                if prompt > row.above or not row.above:
                    return row
            wanted = INSTEAD.get(wanted)
        return None


def in_force(rows: Iterable[PriceRow], model: str, moment: datetime) -> ModelPrices | None:
    """Return the prices of a model in force at a moment, or None when there are none.

    Args:
        rows: The rows of one tier that may price the model.
        model: The model's name.
        moment: The moment.
    """
    several = list(rows)
    last: dict[tuple[bool, int, str], list[PriceRow]] = {}
    for row in several:
        if row.holds(moment):
            known = last.setdefault(row.group, [])
            if known and known[0].known_from < row.known_from:
                known.clear()
            if not known or known[0].known_from == row.known_from:
                known.append(row)
    # What is known last may mean other names than what was known before.
    finding = [group for group, known in last.items() if known[0].finds(model)]
    if not finding:
        return None
    chosen: dict[TokenClass, list[PriceRow]] = {}
    for row in last[min(finding)]:
        chosen.setdefault(row.token_class, []).append(row)
    for priced in chosen.values():
        priced.sort(key=lambda row: (row.hours is not None, row.above), reverse=True)
    if any(row.hours for row in several):
        return ModelPrices(chosen, moment, moment)
    # Between two neighbouring dates of any row, nothing changes.
    dates = {date for row in several for date in (row.valid_from, row.valid_to) if date}
    return ModelPrices(
        chosen,
        max((date for date in dates if date <= moment), default=None),
        min((date for date in dates if date > moment), default=None),
    )
