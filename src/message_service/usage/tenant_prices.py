"""One tenant's prices: the calls callers make."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

from message_service import errors
from message_service.arguments import check_flag, check_text_argument
from message_service.catalogue.queries.usage import UNPRICED_MODELS
from message_service.clock import Clock, check_datetime
from message_service.database.scope import Scope
from message_service.documents.fields import MAX_NAME
from message_service.usage.files import path_of
from message_service.usage.missing_prices import MissingPrice
from message_service.usage.price_book import Loaded, PriceBook
from message_service.usage.prices import ModelPrices, PriceRow
from message_service.usage.tiers import STANDARD, provider_of, tier_of


class Prices:
    """What one tenant pays for tokens.

    Args:
        scope: The tenant's scope.
        book: The prices of all tenants.
        clock: The present moment.
    """

    def __init__(self, scope: Scope, book: PriceBook, clock: Clock) -> None:
        self._scope = scope
        self._book = book
        self._clock = clock

    async def load(self, file: Path | str, *, dry_run: bool = False) -> Loaded:
        """Add the tenant's own prices of a TOML or CSV file, all or none.

        They win over the library's. Messages keep their cost until they are recomputed.

        Args:
            file: The file; see docs/how-to/prices.md.
            dry_run: Whether only to check it and say what is new.

        Raises:
            InvalidInput: The file cannot be read, a line is wrong, or lines contradict one another
                or leave gaps. Nothing was added.
        """
        check_flag("dry_run", dry_run)
        path = path_of("file", file)
        return await self._book.load_file(self._scope.tenant_id, path, dry_run=dry_run)

    async def load_library(self, *, dry_run: bool = False) -> Loaded:
        """Add the prices of the installed library that are new or changed, for all tenants."""
        check_flag("dry_run", dry_run)
        return await self._book.load_library(dry_run=dry_run)

    def rows(self) -> AsyncIterator[PriceRow]:
        """Yield every stored price the tenant's costs can rest on."""
        return self._book.list(self._scope.tenant_id)

    async def find(
        self, model: str, provider: str, *, at: datetime | None = None, tier: str = STANDARD
    ) -> ModelPrices:
        """Return the prices of a model in force at a moment.

        Args:
            model: The model.
            provider: The provider.
            at: The moment; None for now.
            tier: The tier of service.

        Raises:
            NotFound: There is no price.
        """
        check_text_argument("model", model, most=MAX_NAME)
        check_text_argument("provider", provider, most=MAX_NAME)
        check_text_argument("tier", tier, most=MAX_NAME)
        moment = self._clock.now() if at is None else check_datetime("at", at)
        name = provider_of(provider) or provider
        prices = await self._book.of(self._scope.tenant_id, name, fresh=True)
        found = prices.find(model, tier_of(tier) or STANDARD, moment)
        if found is None:
            raise errors.NotFound("price", f"{name}/{model} ({tier})")
        return found

    async def missing(self) -> list[MissingPrice]:
        """Return the models of messages whose tokens are known, and whose price is not."""
        return [MissingPrice.of(row) for row in await self._scope.aggregate(UNPRICED_MODELS)]
