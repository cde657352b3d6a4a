"""The collection `price_book`: its indexes. It is small and lies on one shard."""

from __future__ import annotations

from message_service.catalogue.model import Collection, Index
from message_service.documents import Price

PRICE_BOOK = Collection(
    name="price_book",
    document=Price,
    purpose="what tokens cost, from when to when, and since when that is known",
    shard_key=None,
    indexes=(
        Index(
            "idx_price_unique",
            (("tenant_id", 1), ("price_id", 1)),
            "one row by id",
            unique=True,
            added=True,
        ),
        Index(
            "idx_price_provider",
            (("tenant_id", 1), ("provider", 1), ("known_from", -1)),
            "the rows of a provider, the last known first",
            added=True,
        ),
    ),
)
