"""The price book as stored: a tenant's own prices, and those of the library that all share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from message_service import errors
from message_service.catalogue.queries.price_book import (
    PRICES,
    PRICES_KNOWN_UP_TO,
    PRICES_OF_PROVIDER,
)
from message_service.clock import Clock
from message_service.database.decimals import decimal, exact
from message_service.database.scope import Scope
from message_service.database.store import Store
from message_service.database.transaction import Transaction
from message_service.documents.price import EVERYBODY
from message_service.documents.row import Row
from message_service.documents.token_usage import TokenClass
from message_service.stopping import end_tasks
from message_service.usage.library_prices import library_prices, library_providers, library_source
from message_service.usage.price_checks import check_prices
from message_service.usage.price_file import read_price_file
from message_service.usage.prices import OWN, PriceRow
from message_service.usage.provider_prices import ProviderPrices, free
from message_service.usage.tiers import FALLBACKS, LOCAL

STALENESS = 30.0
"""Seconds for which prices loaded by another process may go unnoticed."""

_MOST_READ = 10_000
_MOST_KEPT = 500
_ATTEMPTS = 10
_TICK = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load of prices did.

    Attributes:
        source: Where the prices come from.
        added: Rows added.
        models: Models (or patterns) whose prices are new or changed, as `provider/model`.
        unchanged: Models whose prices were known already.
        left_out: Models whose prices cannot be expressed.
    """

    source: str
    added: int
    models: tuple[str, ...]
    unchanged: int
    left_out: tuple[str, ...] = ()


_Whose = tuple[str, str]
"""A tenant, or everybody, and a provider."""


@dataclass(slots=True)
class _Rows:
    """The rows of a tenant, or of everybody, for a provider and those it falls back to.

    Attributes:
        rows: The rows.
        stamp: When those of each provider were loaded last.
        read_at: Loop time when that was looked at.
    """

    rows: tuple[PriceRow, ...]
    stamp: tuple[datetime | None, ...]
    read_at: float


class PriceBook:
    """The prices of all tenants, as one process knows them.

    Args:
        store: The database.
        clock: The present moment.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._read_rows: dict[_Whose, _Rows] = {}
        self._reading: dict[_Whose, asyncio.Task[_Rows]] = {}
        self._prices: dict[_Whose, ProviderPrices] = {}

    async def of(self, tenant_id: str, provider: str, *, fresh: bool = False) -> ProviderPrices:
        """Return what a tenant pays a provider; the library's prices are stored at first need.

        Args:
            tenant_id: The tenant.
            provider: The provider's canonical name.
            fresh: Whether to look for newer prices now, and not only every half minute.
        """
        if provider in LOCAL:
            return free(provider)
        shared = await self._rows(EVERYBODY, provider, fresh=fresh)
        own = await self._rows(tenant_id, provider, fresh=fresh)
        # Tenants without prices of their own, which are most, have them all in common.
        key = (tenant_id if own.rows else EVERYBODY, provider)
        stamp = (*own.stamp, *shared.stamp) if own.rows else shared.stamp
        prices = self._prices.get(key)
        if prices is None or prices.stamp != stamp:
            prices = ProviderPrices(_chain(provider), (*own.rows, *shared.rows), stamp)
            if len(self._prices) >= _MOST_KEPT:  # the names come from callers
                self._prices.clear()
            self._prices[key] = prices
        return prices

    async def close(self) -> None:
        """End reads in flight; their callers get `Unavailable`."""
        await end_tasks(tuple(self._reading.values()))

    async def _rows(self, whose: str, provider: str, *, fresh: bool) -> _Rows:
        """Return the rows of a tenant or of everybody, read at most half a minute ago."""
        key = (whose, provider)
        known = self._read_rows.get(key)
        now = asyncio.get_running_loop().time()
        if known is not None and not fresh and now - known.read_at < STALENESS:
            return known
        if fresh:
            return await self._read(key)
        reading = self._reading.get(key)
        if reading is None:  # whoever asks at the same time shares the read
            reading = self._reading[key] = asyncio.create_task(self._read(key))
            reading.add_done_callback(lambda _: self._reading.pop(key, None))
        try:
            return await asyncio.shield(reading)
        except asyncio.CancelledError:
            if reading.cancelled():  # not the caller, who must not be told that he was cancelled
                raise errors.Unavailable("the service was closed") from None
            raise

    async def _read(self, key: _Whose) -> _Rows:
        whose, provider = key
        scope = self._store.scope(whose)
        chain = _chain(provider)
        if whose == EVERYBODY:
            for each in chain:
                await self._seed(each)
        now = asyncio.get_running_loop().time()
        stamp: list[datetime | None] = []
        for each in chain:
            last = await scope.find_one(PRICES_KNOWN_UP_TO, provider=each)
            stamp.append(None if last is None else last["known_from"])
        known = self._read_rows.get(key)
        if known is not None and known.stamp == tuple(stamp):
            known.read_at = now
            return known
        rows = [
            _row(row)
            for each, last in zip(chain, stamp, strict=True)
            if last is not None
            for row in await scope.find(PRICES_OF_PROVIDER, provider=each)
        ]
        # Told by the rows, which may be newer than the look before.
        newest = {each: _newest(row for row in rows if row.provider == each) for each in chain}
        known = _Rows(tuple(rows), tuple(newest.values()), now)
        if len(self._read_rows) >= _MOST_READ:
            self._read_rows.clear()
        self._read_rows[key] = known
        return known

    async def list(self, tenant_id: str) -> AsyncIterator[PriceRow]:
        """Yield every stored row a tenant's costs can rest on: its own, then the shared ones."""
        for scope in self._scopes(tenant_id):
            async for row in scope.stream(PRICES):
                yield _row(row)

    async def load_file(self, tenant_id: str, path: Path, *, dry_run: bool = False) -> Loaded:
        """Add the prices of a tenant's own file, all or none; they win over the library's.

        Args:
            tenant_id: The tenant.
            path: A TOML or CSV file (`usage.price_file`).
            dry_run: Whether only to check it.

        Raises:
            InvalidInput: See `read_price_file` and `check_prices`; nothing was added then.
        """
        lines = await asyncio.to_thread(read_price_file, path)
        await asyncio.to_thread(check_prices, lines)
        now = self._clock.now()
        rows = [row for _, line in lines for row in line.rows(now)]
        return await self._load(self._store.scope(tenant_id), rows, OWN, dry_run=dry_run)

    async def load_library(self, *, dry_run: bool = False) -> Loaded:
        """Add the prices of the installed library that are new or changed, for all tenants."""
        providers = await asyncio.to_thread(library_providers)
        found = [await asyncio.to_thread(library_prices, provider) for provider in providers]
        return await self._load(
            self._store.scope(EVERYBODY),
            [row for each in found for row in each.rows],
            library_source(),
            left_out=[
                f"{provider}/{model}"
                for provider, each in zip(providers, found, strict=True)
                for model in each.left_out
            ],
            dry_run=dry_run,
        )

    async def _seed(self, provider: str) -> None:
        """Store the library's prices of a provider if none of them are."""
        scope = self._store.scope(EVERYBODY)
        if await scope.find_one(PRICES_KNOWN_UP_TO, provider=provider) is None:
            known = await asyncio.to_thread(library_prices, provider)
            if known.rows:
                await self._load(scope, known.rows, library_source())

    async def _load(
        self,
        scope: Scope,
        rows: Sequence[PriceRow],
        source: str,
        *,
        left_out: Sequence[str] = (),
        dry_run: bool = False,
    ) -> Loaded:
        added = 0
        models: list[str] = []
        unchanged = 0
        by_provider: dict[str, list[PriceRow]] = {}
        for row in rows:
            by_provider.setdefault(row.provider, []).append(row)
        work = list(by_provider.values())

        async def add(transaction: Transaction) -> None:
            nonlocal added, unchanged
            inside = scope.within(transaction)
            added = unchanged = 0
            models.clear()
            for several in work:
                fresh, same = await self._news(inside, several)
                models.extend(sorted({f"{row.provider}/{row.model}" for row in fresh}))
                unchanged += same
                added += len(fresh)
                if fresh and not dry_run:
                    await inside.insert_many(
                        "price_book", [_stored(row) for row in fresh], comment="price_book.load"
                    )

        for attempt in range(_ATTEMPTS):
            try:
                await self._store.transaction(add)
            except errors.AlreadyExists:  # another process has loaded prices at the same time
                if attempt == _ATTEMPTS - 1:
                    raise
                continue
            break
        self._read_rows.clear()
        return Loaded(source, added, tuple(models), unchanged, tuple(left_out))

    async def _news(self, scope: Scope, rows: Sequence[PriceRow]) -> tuple[list[PriceRow], int]:
        """Return the rows of models whose prices differ from the last known, ready to be added."""
        provider = rows[0].provider
        stored = [_row(row) for row in await scope.find(PRICES_OF_PROVIDER, provider=provider)]
        last = _last_known(stored)
        newest = _newest(stored)
        known_from = self._clock.now()
        if newest is not None and known_from <= newest:
            known_from = newest + _TICK  # an order among loads, even within a millisecond
        # The number keeps two loads at the same time apart: they would take the same.
        number = len({row.known_from for row in stored}) + 1
        fresh: list[PriceRow] = []
        same = 0
        for key, several in _by_model(rows).items():
            if {_said(row) for row in several} == {_said(row) for row in last.get(key, ())}:
                same += 1
                continue
            fresh += several
        return [
            replace(row, known_from=known_from, price_id=f"{provider}-{number}-{place}")
            for place, row in enumerate(fresh, start=1)
        ], same

    def _scopes(self, tenant_id: str) -> tuple[Scope, Scope]:
        return self._store.scope(tenant_id), self._store.scope(EVERYBODY)


def _newest(rows: Iterable[PriceRow]) -> datetime | None:
    return max((row.known_from for row in rows), default=None)


def _chain(provider: str) -> tuple[str, ...]:
    return (provider, *FALLBACKS.get(provider, ()))


def _by_model(rows: Iterable[PriceRow]) -> dict[tuple[str, str], list[PriceRow]]:
    groups: dict[tuple[str, str], list[PriceRow]] = {}
    for row in rows:
        groups.setdefault((row.model, row.tier), []).append(row)
    return groups


def _last_known(rows: Iterable[PriceRow]) -> dict[tuple[str, str], list[PriceRow]]:
    """Return by model and tier what was loaded last."""
    found: dict[tuple[str, str], list[PriceRow]] = {}
    for key, several in _by_model(rows).items():
        newest = max(row.known_from for row in several)
        found[key] = [row for row in several if row.known_from == newest]
    return found


def _said(row: PriceRow) -> PriceRow:
    """Return a row without what a load adds to it, to be compared."""
    return replace(row, price_id="", known_from=_NEVER, source="")


_NEVER = datetime.min.replace(tzinfo=UTC)


def _stored(row: PriceRow) -> Row:
    values: dict[str, Any] = {
        name: value for name, value in asdict(row).items() if value is not None
    }
    return values | {"token_class": row.token_class.value, "unit_price": exact(row.unit_price)}


def _row(stored: Row) -> PriceRow:
    return PriceRow(
        price_id=stored["price_id"],
        provider=stored["provider"],
        model=stored["model"],
        pattern=stored.get("pattern"),
        token_class=TokenClass(stored["token_class"]),
        tier=stored["tier"],
        above=stored["above"],
        unit_price=decimal(stored["unit_price"]),
        currency=stored["currency"],
        valid_from=stored.get("valid_from"),
        valid_to=stored.get("valid_to"),
        hours=stored.get("hours"),
        known_from=stored["known_from"],
        source=stored["source"],
    )
