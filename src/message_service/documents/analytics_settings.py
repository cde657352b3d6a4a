"""The collection `analytics_settings`: how a tenant wants its messages summarised."""

from __future__ import annotations

from message_service.documents.fields import Moment, Name, StoredDocument, TenantId


class AnalyticsSettings(StoredDocument):
    """One tenant's settings; a tenant without any has the days of UTC.

    Attributes:
        tenant_id: The tenant.
        time_zone: Whose days its summaries have.
        set_at: When it was set.
    """

    tenant_id: TenantId
    time_zone: Name
    set_at: Moment

    class Settings:
        """Beanie's settings."""

        name = "analytics_settings"
