"""The collection `price_book`: what tokens cost, when it holds, and since when we know.

Rows are only ever added, so that any earlier computation can be explained and repeated.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

from message_service.documents.fields import Count, Moment, Money, Name, StoredDocument
from message_service.documents.token_usage import Currency, TokenClass
from message_service.ids import TENANT_PATTERN

EVERYBODY = "*"
"""The `tenant_id` of the prices that all tenants share; not the name of any tenant."""

_PriceTenant = Annotated[str, StringConstraints(pattern=rf"^({TENANT_PATTERN}|\*)$")]
_Pattern = Annotated[str, StringConstraints(max_length=10_000)]


class Price(StoredDocument):
    """The price of one class of tokens of one model; see `usage.prices.PriceRow`."""

    tenant_id: _PriceTenant
    price_id: Name
    provider: Name
    model: Name
    pattern: _Pattern | None = None
    token_class: TokenClass
    tier: Name
    above: Count
    unit_price: Money
    currency: Currency
    valid_from: Moment | None = None
    valid_to: Moment | None = None
    hours: Name | None = None
    known_from: Moment
    source: Name

    class Settings:
        """Beanie's settings."""

        name = "price_book"
