"""The prices of one provider in memory, ready to be asked for every message."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache

from message_service.documents.token_usage import TokenClass
from message_service.usage.prices import ModelPrices, PriceRow, in_force

_MOST_REMEMBERED = 10_000
_ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)


@cache
def free(provider: str) -> ProviderPrices:
    """Return the prices of a provider nobody pays."""
    return ProviderPrices(
        (provider,),
        [
            PriceRow(
                price_id=f"{provider}-local",
                provider=provider,
                model="*",
                token_class=kind,
                unit_price=Decimal(0),
                known_from=_ALWAYS,
                source="local",
            )
            for kind in (TokenClass.INPUT, TokenClass.OUTPUT)
        ],
    )


class ProviderPrices:
    """What a tenant pays one provider.

    Args:
        chain: The provider, then those whose prices hold for models it does not price itself.
        rows: Their rows, the tenant's own and the shared ones.
        stamp: When the rows of each provider were loaded last.

    Attributes:
        known_at: The moment up to which prices are known: when the last of them were loaded. None
            when there are none, or none could change.
    """

    def __init__(
        self,
        chain: Sequence[str],
        rows: Iterable[PriceRow],
        stamp: tuple[datetime | None, ...] = (),
    ) -> None:
        self._rows: dict[str, list[PriceRow]] = {provider: [] for provider in chain}
        for row in rows:
            self._rows[row.provider].append(row)
        self.stamp = stamp
        self.known_at = max((moment for moment in stamp if moment is not None), default=None)
        self._candidates: dict[tuple[str, str], list[PriceRow]] = {}
        self._remembered: dict[tuple[str, str], ModelPrices] = {}

    def as_known_at(
        self, model: str, tier: str, moment: datetime, known_at: datetime | None
    ) -> ModelPrices | None:
        """Return the prices in force at a moment as far as they were known at another.

        Args:
            model: The model.
            tier: The tier of service.
            moment: The moment that is priced.
            known_at: The moment of knowledge; None for prices that never changed.
        """
        known = known_at or _ALWAYS
        rows = [row for row in self.candidates(model, tier) if row.known_from <= known]
        return in_force(rows, model, moment)

    def find(self, model: str, tier: str, moment: datetime) -> ModelPrices | None:
        """Return the prices of a model in force at a moment, or None when there are none."""
        key = (model, tier)
        prices = self._remembered.get(key)
        if (
            prices is not None
            and (prices.since is None or prices.since <= moment)
            and (prices.until is None or moment < prices.until)
        ):
            return prices
        prices = in_force(self.candidates(model, tier), model, moment)
        if prices is not None:
            if len(self._remembered) >= _MOST_REMEMBERED:  # the names come from callers
                self._remembered.clear()
            self._remembered[key] = prices
        return prices

    def candidates(self, model: str, tier: str) -> list[PriceRow]:
        """Return every row that may price a model, of the first provider of the chain with any.

        A pattern that finds the model brings its rows of all times, also those of a time when it
        was another pattern.
        """
        key = (model, tier)
        found = self._candidates.get(key)
        if found is None:
            found = list[PriceRow]()
            for rows in self._rows.values():
                of_tier = [row for row in rows if row.tier == tier]
                groups = {row.group for row in of_tier if row.finds(model)}
                if groups:
                    found = [row for row in of_tier if row.group in groups]
                    break
            if len(self._candidates) >= _MOST_REMEMBERED:
                self._candidates.clear()
            self._candidates[key] = found
        return found
