"""The collection `analytics_settings`: its index."""

from __future__ import annotations

from message_service.catalogue.model import Collection, Index
from message_service.documents import AnalyticsSettings

ANALYTICS_SETTINGS = Collection(
    name="analytics_settings",
    document=AnalyticsSettings,
    purpose="the time zones of tenants' summaries",
    shard_key=None,
    indexes=(
        Index(
            "idx_analytics_settings_unique",
            (("tenant_id", 1),),
            "one set of settings by tenant",
            unique=True,
            added=True,
        ),
    ),
)
