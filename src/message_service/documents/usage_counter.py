"""The collections `usage_counters` and `usage_budgets`: what was spent by day, and what may be."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from message_service.documents.fields import (
    Count,
    Embedded,
    MessageId,
    Moment,
    Money,
    StoredDocument,
    TenantId,
)
from message_service.documents.token_usage import CountedUsage, Currency

SUBJECT = r"(tenant|user|character):[A-Za-z0-9_*-]{1,160}"
"""Who spends: `tenant:acme`, `user:ID`, `character:ID`; in budgets `user:*` for every user."""

Subject = Annotated[str, StringConstraints(pattern=rf"^{SUBJECT}$")]


class Period(StrEnum):
    """The time a budget is for; days, weeks (from Monday) and months of UTC."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class Applied(Embedded):
    """A message on its way into a counter."""

    message_id: MessageId
    revision: Count
    counted: CountedUsage


class UsageCounter(StoredDocument):
    """What one subject used on one day, as far as its messages are counted.

    Attributes:
        tenant_id: The tenant.
        subject: Who spends.
        date: The day's first moment, UTC.
        messages: Messages with usage.
        tokens: Their tokens.
        cost: Their cost by currency.
        unpriced: Messages among them whose tokens have no price.
        unknown: Messages among them whose tokens are not known.
        applied: The messages taken in that do not say so themselves yet (`usage.counters`).
        revision: Counts the changes; guards them.
    """

    tenant_id: TenantId
    subject: Subject
    date: Moment
    messages: Count
    tokens: Count
    cost: dict[Currency, Money] | None = None
    unpriced: Count = 0
    unknown: Count = 0
    applied: list[Applied] = Field(default_factory=list[Applied])
    revision: Count

    class Settings:
        """Beanie's settings."""

        name = "usage_counters"


class UsageBudget(StoredDocument):
    """What a subject may spend in a period: an amount of money, or of tokens.

    Attributes:
        tenant_id: The tenant.
        subject: Who spends.
        period: The period.
        unit: The currency, or `tokens`.
        limit: The most that may be spent.
        near: The share of the limit from which it is nearly spent.
        set_at: When it was set.
    """

    tenant_id: TenantId
    subject: Subject
    period: Period
    unit: Annotated[str, StringConstraints(pattern=r"^([A-Z]{3}|tokens)$")]
    limit: Money
    near: Annotated[float, Field(ge=0, le=1)] = 0.8
    set_at: Moment

    class Settings:
        """Beanie's settings."""

        name = "usage_budgets"
