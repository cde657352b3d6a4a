"""The queries on `price_book`."""

from __future__ import annotations

from message_service.catalogue.queries.parts import equal
from message_service.database.query import Filter, Query


def _all() -> Filter:
    return {}


PRICES_OF_PROVIDER = Query(
    name="price_book.of_provider",
    collection="price_book",
    purpose="Every price of a provider, the last known first",
    index="idx_price_provider",
    build=equal("provider"),
    example={"provider": "openai"},
    sort=(("known_from", -1),),
)

PRICES_KNOWN_UP_TO = Query(
    name="price_book.known_up_to",
    collection="price_book",
    purpose="When a provider's prices changed last; the index alone answers it",
    index="idx_price_provider",
    build=equal("provider"),
    example={"provider": "openai"},
    sort=(("known_from", -1),),
    projection={"_id": 0, "known_from": 1},
    examined_ratio=0,
)

PRICES = Query(
    name="price_book.all",
    collection="price_book",
    purpose="Every price, by provider",
    index="idx_price_provider",
    build=_all,
    example={},
    sort=(("provider", 1), ("known_from", -1)),
)
