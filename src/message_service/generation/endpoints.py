"""The providers of a process: their connections, limits and breakers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from message_service import errors
from message_service.database.client import Database
from message_service.database.pacing import Pace
from message_service.generation.breaker import Breaker
from message_service.generation.failures import FAILURES, FailureKind, failed
from message_service.generation.provider import Provider, ProviderAccess, ProviderKind


@dataclass(frozen=True, slots=True)
class EndpointLimits:
    """The limits of one provider.

    Attributes:
        concurrency: Most requests of this process at once.
        per_minute: Most requests of all processes in a minute; None for no limit.
        failures: Failures in a row that open the breaker.
        pause: Seconds the breaker stays open at first.
    """

    concurrency: int
    per_minute: float | None
    failures: int
    pause: float


class Endpoint:
    """One provider, as this process sees it.

    Args:
        kind: The provider.
        access: How it is reached.
        limits: Its limits.
        database: The database, for the pace that all processes keep.
    """

    def __init__(
        self,
        kind: ProviderKind,
        access: ProviderAccess,
        limits: EndpointLimits,
        database: Database,
    ) -> None:
        self.kind = kind
        self.access = access
        self.limits = limits
        self.breaker = Breaker(limits.failures, limits.pause, time.monotonic)
        self.places = asyncio.Semaphore(limits.concurrency)
        self._pace = (
            None
            if limits.per_minute is None
            # A tenth of a minute's turns may come at once.
            else Pace(database, kind.name, limits.per_minute, max(1, int(limits.per_minute // 10)))
        )
        self._held_until = 0.0
        self._provider: Provider | None = None

    def provider(self, model: str | None = None) -> Provider:
        """Return the provider, made when it is first asked.

        Raises:
            ProviderFailed: It needs a key, and none is set.
            Unsupported: Its SDK is not installed.
        """
        if self.kind.key_needed and self.access.api_key is None:
            raise failed(
                FailureKind.KEY_MISSING,
                self.kind.name,
                model,
                detail=f"set MESSAGE_SERVICE_{self.kind.name.upper()}_API_KEY",
            )
        if self._provider is None:
            self._provider = self.kind.make(self.access)
        return self._provider

    async def turn(self) -> float:
        """Return the seconds to wait before the next request may be sent."""
        shared = 0.0 if self._pace is None else await self._pace.take()
        return max(shared, self._held_until - time.monotonic())

    async def hold(self, seconds: float) -> None:
        """The provider wants to be left alone for so long."""
        self._held_until = max(self._held_until, time.monotonic() + seconds)
        if self._pace is not None:
            await self._pace.hold(seconds)

    @contextmanager
    def guarded(self, model: str) -> Generator[None]:
        """Let a request through the breaker, and tell the breaker how it ended.

        Raises:
            ProviderFailed: The breaker is open.
        """
        if not self.breaker.admit():
            left = self.breaker.seconds_left
            raise failed(FailureKind.CIRCUIT_OPEN, self.kind.name, model, retry_after=left)
        try:
            yield
        except errors.ProviderFailed as error:
            trips = FAILURES[FailureKind(error.reason)].trips
            (self.breaker.failed if trips else self.breaker.left)()
            raise
        except BaseException:
            self.breaker.left()
            raise
        self.breaker.succeeded()

    async def close(self) -> None:
        """Close the provider's connections."""
        provider, self._provider = self._provider, None
        if provider is not None:
            await provider.close()


class Endpoints:
    """The providers of a process, by name and alias."""

    def __init__(self, endpoints: Mapping[str, Endpoint]) -> None:
        self._by_name = dict(endpoints)

    @property
    def names(self) -> list[str]:
        """The names of the providers."""
        return sorted({endpoint.kind.name for endpoint in self._by_name.values()})

    def each(self) -> list[Endpoint]:
        """Return every provider once, by name."""
        return [self._by_name[name] for name in self.names]

    def of(self, name: str, field: str = "provider") -> Endpoint:
        """Return a provider.

        Raises:
            InvalidInput: There is none of that name.
        """
        endpoint = self._by_name.get(name)
        if endpoint is None:
            raise errors.InvalidInput(
                field, f"{name!r} is not a provider", f"Use one of: {', '.join(self.names)}"
            )
        return endpoint

    async def close(self) -> None:
        """Close all connections."""
        for endpoint in self.each():
            await endpoint.close()
