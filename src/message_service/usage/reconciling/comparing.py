"""Comparing what a provider says it was used for with what the messages say.

Both are compared by UTC day and model, as providers bill. A provider's export names the model it
answered with, often dated (`gpt-4o-2024-08-06`), where a message may name what was asked for
(`gpt-4o`): where one of both names no date, all of the name are compared together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from message_service.documents.token_usage import TokenClass
from message_service.usage.reconciling.export import MEASURES, Told
from message_service.usage.reporting.rows import UsageRow

Place = tuple[date, str]
"""A day and a model."""

_DATED = re.compile(r"(?:-\d{4}-\d{2}-\d{2}|[-@]\d{8}|-latest)$")
_C = TokenClass


class Agreement(StrEnum):
    """How the two agree about a day and model.

    `missing_here`: the provider counts what no message is about. `missing_there`: messages are
    about what the provider does not count. `different`: both count, but not the same.
    """

    MATCH = "match"
    DIFFERENT = "different"
    MISSING_HERE = "missing_here"
    MISSING_THERE = "missing_there"


@dataclass(frozen=True, slots=True)
class Suspect:
    """A message that may be responsible for a difference.

    Attributes:
        conversation_id: Its conversation.
        message_id: Its id.
        created_at: When it was said.
        tokens: Its tokens.
        reason: What speaks against it.
    """

    conversation_id: str
    message_id: str
    created_at: datetime
    tokens: int
    reason: str


@dataclass(frozen=True, slots=True)
class ComparedUsage:
    """A day and model, compared.

    Attributes:
        day: The day, of UTC.
        model: The model; without a date where models of several dates are compared together.
        agreement: How they compare.
        here: What the messages say, by the names of `MEASURES`.
        there: What the provider says.
        messages: Messages with usage.
        requests: Calls the provider counts; None where it does not tell.
        suspects: The messages that may be responsible, the most likely first.
        more: How many more there are.
    """

    day: date
    model: str
    agreement: Agreement
    here: Mapping[str, int]
    there: Mapping[str, int]
    messages: int
    requests: int | None
    suspects: tuple[Suspect, ...] = ()
    more: int = 0

    @property
    def difference(self) -> dict[str, int]:
        """How much more there is here, by measure; negative where there is less."""
        return {name: self.here[name] - count for name, count in self.there.items()}


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """A provider's export compared with the messages.

    Attributes:
        provider: The provider.
        shape: What the export is.
        since: The first day, of UTC.
        until: The day after the last one.
        rows: Each day and model.
    """

    provider: str
    shape: str
    since: date
    until: date
    rows: tuple[ComparedUsage, ...]

    @property
    def matches(self) -> bool:
        """Whether all of it matches."""
        return all(row.agreement is Agreement.MATCH for row in self.rows)

    def count(self, agreement: Agreement) -> int:
        """Return how many days and models compare so."""
        return sum(row.agreement is agreement for row in self.rows)


def measured(row: UsageRow) -> dict[str, int]:
    """Return what messages say, by the names of `MEASURES`."""
    classes = row.classes or {}

    def tokens(*kinds: TokenClass) -> int:
        return sum(classes.get(kind, 0) for kind in kinds)

    return {
        "prompt": row.prompt_tokens,
        "cached": tokens(_C.CACHED_INPUT, _C.CACHED_AUDIO_INPUT),
        "cache_write": tokens(_C.CACHE_WRITE_5M, _C.CACHE_WRITE_1H),
        "cache_write_5m": tokens(_C.CACHE_WRITE_5M),
        "cache_write_1h": tokens(_C.CACHE_WRITE_1H),
        "output": row.completion_tokens,
        "web_search": tokens(_C.WEB_SEARCH),
    }


def names_of(here: Iterable[str], there: Iterable[str]) -> dict[str, str]:
    """Return the name under which each model is compared."""
    every = {*here, *there}
    families: dict[str, set[str]] = {}
    for name in every:
        families.setdefault(_DATED.sub("", name), set()).add(name)
    return {
        name: family if family in names or f"{family}-latest" in names else name
        for family, names in families.items()
        for name in names
    }


def compare(
    here: Mapping[Place, tuple[Mapping[str, int], int]],
    there: Mapping[Place, Told],
    names: Mapping[str, str],
) -> list[ComparedUsage]:
    """Compare days and models.

    Args:
        here: What the messages say: the counts, and how many messages with usage they are.
        there: What the provider says.
        names: The name under which each model is compared (`names_of`).
    """
    ours: dict[Place, tuple[dict[str, int], int]] = {}
    for (day, model), (counts, messages) in here.items():
        known, before = ours.get((day, names[model]), ({}, 0))
        for name, count in counts.items():
            known[name] = known.get(name, 0) + count
        ours[day, names[model]] = (known, before + messages)
    theirs: dict[Place, Told] = {}
    for (day, model), told in there.items():
        theirs.setdefault((day, names[model]), Told()).add(told.counts, told.requests)
    told_of = {name for told in theirs.values() for name in told.counts}
    measures = [name for name in MEASURES if name in told_of]
    rows: list[ComparedUsage] = []
    for place in sorted({*ours, *theirs}):
        counts, messages = ours.get(place, ({}, 0))
        told = theirs.get(place, Told())
        compared = [*told.counts] or measures or [*counts]
        ours_now = {name: counts.get(name, 0) for name in compared}
        theirs_now = {name: told.counts.get(name, 0) for name in compared}
        agreement = _agreement(ours_now, theirs_now, messages)
        rows.append(ComparedUsage(*place, agreement, ours_now, theirs_now, messages, told.requests))
    return rows


def _agreement(here: Mapping[str, int], there: Mapping[str, int], messages: int) -> Agreement:
    if here == there:
        return Agreement.MATCH
    if not messages:
        return Agreement.MISSING_HERE
    return Agreement.DIFFERENT if any(there.values()) else Agreement.MISSING_THERE
