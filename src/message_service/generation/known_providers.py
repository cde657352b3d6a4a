"""The providers that are known: every file of `generation.providers` declares one."""

from __future__ import annotations

from message_service.catalogue.discovery import declared_in
from message_service.database.client import Database
from message_service.generation import providers
from message_service.generation.endpoints import Endpoint, EndpointLimits, Endpoints
from message_service.generation.provider import ProviderAccess, ProviderKind
from message_service.settings import Settings

PROVIDERS: dict[str, ProviderKind] = {
    kind.name: kind for kind in declared_in(providers, ProviderKind)
}
"""Every provider, by name."""


def endpoints_of(settings: Settings, database: Database) -> Endpoints:
    """Return the providers as the settings reach them.

    A provider's address and key are the settings `NAME_base_url` and `NAME_api_key`; a provider
    without such settings needs neither.
    """
    known: dict[str, Endpoint] = {}
    for kind in PROVIDERS.values():
        endpoint = Endpoint(
            kind,
            ProviderAccess(
                getattr(settings, f"{kind.name}_base_url", ""),
                getattr(settings, f"{kind.name}_api_key", None),
                settings.llm_connect_timeout,
            ),
            EndpointLimits(
                settings.llm_concurrency,
                settings.llm_requests_per_minute.get(kind.name),
                settings.llm_breaker_failures,
                settings.llm_breaker_pause,
            ),
            database,
        )
        for name in (kind.name, *kind.aliases):
            known[name] = endpoint
    return Endpoints(known)
