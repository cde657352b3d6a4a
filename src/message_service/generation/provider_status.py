"""The providers as this process sees them: reachable or not, their models and limits."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from message_service import errors
from message_service.generation.breaker import BreakerState
from message_service.generation.endpoints import Endpoint, Endpoints
from message_service.generation.failures import FailureKind, failed
from message_service.generation.provider import ModelInfo
from message_service.stopping import within


@dataclass(frozen=True, slots=True)
class ProviderStatus:
    """One provider.

    Attributes:
        name: Its name.
        aliases: Its other names.
        base_url: Where it is reached, without user and password; empty when there is no address.
        key_set: Whether a key is set.
        reachable: Whether it has answered just now.
        reason: Why not; one of `failures.FailureKind`, or `unsupported` without its SDK.
        problem: The same in words.
        models: The models it offers, by name.
        concurrency: Most requests of this process at once.
        per_minute: Most requests of all processes in a minute; None for no limit.
        breaker: Whether requests are let through.
    """

    name: str
    aliases: tuple[str, ...]
    base_url: str
    key_set: bool
    reachable: bool
    reason: str | None
    problem: str | None
    models: tuple[ModelInfo, ...]
    concurrency: int
    per_minute: float | None
    breaker: BreakerState


class Providers:
    """The providers of a process, for operators.

    Args:
        endpoints: The providers.
        patience: Seconds a provider may take to answer.
    """

    def __init__(self, endpoints: Endpoints, patience: float) -> None:
        self._endpoints = endpoints
        self._patience = patience

    async def status(self) -> Sequence[ProviderStatus]:
        """Ask every provider for its models; return how each stands, by name."""
        return await asyncio.gather(*(self._status(each) for each in self._endpoints.each()))

    async def _status(self, endpoint: Endpoint) -> ProviderStatus:
        models: Sequence[ModelInfo] = ()
        reason = problem = None
        try:
            models = await within(self._patience, endpoint.provider().models())
        except TimeoutError:
            silent = failed(FailureKind.FIRST_TOKEN_TIMEOUT, endpoint.kind.name)
            reason, problem = silent.reason, silent.message
        except errors.ProviderFailed as failure:
            reason, problem = failure.reason, failure.message
        except errors.Unsupported as missing:
            reason, problem = missing.code, missing.message
        return ProviderStatus(
            name=endpoint.kind.name,
            aliases=endpoint.kind.aliases,
            base_url=_without_secrets(endpoint.access.base_url),
            key_set=endpoint.access.api_key is not None,
            reachable=reason is None,
            reason=reason,
            problem=problem,
            models=tuple(sorted(models, key=lambda model: model.name)),
            concurrency=endpoint.limits.concurrency,
            per_minute=endpoint.limits.per_minute,
            breaker=endpoint.breaker.state,
        )


def _without_secrets(url: str) -> str:
    """Return an address without user, password and query."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError:
        return "(not an address)"
    return urlunsplit((parts.scheme, f"{host}{port}", parts.path, "", ""))
