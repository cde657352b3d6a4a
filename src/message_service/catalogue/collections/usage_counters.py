"""The collections `usage_counters` and `usage_budgets`: indexes and shard keys."""

from __future__ import annotations

from message_service.catalogue.model import Collection, Index, Keys
from message_service.documents import UsageBudget, UsageCounter

_BY_SUBJECT: Keys = (("subject", "hashed"),)

USAGE_COUNTERS = Collection(
    name="usage_counters",
    document=UsageCounter,
    purpose="tokens and cost by tenant, user or character and day",
    shard_key=_BY_SUBJECT,
    indexes=(
        Index(
            "idx_usage_counter_unique",
            (("subject", 1), ("tenant_id", 1), ("date", 1)),
            "one counter by subject and day",
            unique=True,
            added=True,
        ),
        Index("idx_usage_counter_shard_key", _BY_SUBJECT, "the shard key", added=True),
    ),
)

USAGE_BUDGETS = Collection(
    name="usage_budgets",
    document=UsageBudget,
    purpose="what tenants, users and characters may spend in a day, week or month",
    shard_key=None,
    indexes=(
        Index(
            "idx_usage_budget_unique",
            (("tenant_id", 1), ("subject", 1), ("period", 1), ("unit", 1)),
            "one budget by subject, period and unit",
            unique=True,
            added=True,
        ),
    ),
)
