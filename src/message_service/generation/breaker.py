"""A circuit breaker: a provider that fails again and again is left alone for a while.

Closed, it lets everything through. After so many failures in a row it opens: requests fail at once,
without a connection. When the pause is over, one request is let through; its success closes the
breaker, its failure opens it again, for twice as long. See Nygard, Release It!, "Circuit Breaker".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

BreakerState = Literal["closed", "open", "half_open"]

_LONGEST_PAUSE = 300.0


class Breaker:
    """The breaker of one provider, in one process.

    Args:
        failures: Failures in a row that open it; 0 never opens it.
        pause: Seconds it stays open at first.
        time: Returns seconds that only grow.
    """

    def __init__(self, failures: int, pause: float, time: Callable[[], float]) -> None:
        self._most = failures
        self._first_pause = pause
        self._time = time
        self._failures = 0
        self._pause = pause
        self._until: float | None = None
        self._trying = False

    @property
    def state(self) -> BreakerState:
        """Whether it lets requests through."""
        if self._until is None:
            return "closed"
        return "open" if self._time() < self._until else "half_open"

    @property
    def seconds_left(self) -> float:
        """Seconds until it lets a request through."""
        return 0.0 if self._until is None else max(0.0, self._until - self._time())

    def admit(self) -> bool:
        """Whether a request may be sent now; `succeeded`, `failed` or `left` must follow."""
        if self._until is None:
            return True
        if self._trying or self._time() < self._until:
            return False
        self._trying = True
        return True

    def succeeded(self) -> None:
        """The provider has answered: all is well."""
        self._failures = 0
        self._pause = self._first_pause
        self._until = None
        self._trying = False

    def failed(self) -> None:
        """The provider has failed."""
        self._failures += 1
        if self._trying:
            self._trying = False
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            self._until = self._time() + self._pause
        elif self._until is None and 0 < self._most <= self._failures:
            self._until = self._time() + self._pause

    def left(self) -> None:
        """The request ended without telling anything about the provider."""
        self._trying = False
