"""What a loop is: a class with a name and `step()`."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Protocol


class Wake(Protocol):
    """A hint that there may be work: it may come late, twice or never."""

    async def arm(self) -> None:
        """Listen from now on."""

    async def wait(self) -> None:
        """Return at the first hint since `arm`, or when it is time to look in any case."""

    async def disarm(self) -> None:
        """Stop listening."""


class Poll:
    """No hint: look again after some seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def arm(self) -> None:
        """Do nothing."""

    async def wait(self) -> None:
        """Return after the seconds."""
        await asyncio.sleep(self._seconds)

    async def disarm(self) -> None:
        """Do nothing."""


class Bell:
    """A hint from the same process, and nothing else: whoever makes work rings it."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Wake who waits, or keep the next from waiting."""
        self._rung.set()

    async def arm(self) -> None:
        """Forget what was rung before."""
        self._rung.clear()

    async def wait(self) -> None:
        """Return when it is rung."""
        await self._rung.wait()

    async def disarm(self) -> None:
        """Do nothing."""


class Loop(ABC):
    """Work done in steps, each safe to repeat, by `LoopRunner`.

    Attributes:
        name: Its name: that of its lease, of its record in `db status`, and in logs.
        lease_seconds: How long another process waits when the one at work died.
        step_seconds: How long a step may take; then it is ended, as stalled.
        wake: What ends the wait when nothing is due; by default, a look every second.
    """

    name: ClassVar[str]
    lease_seconds: ClassVar[float] = 10.0
    step_seconds: ClassVar[float] = 120.0
    wake: Wake = Poll(1.0)

    @abstractmethod
    async def step(self) -> bool:
        """Do one round of work; return whether there may be more right now.

        It may be ended at any `await`, and is then done again, here or by another process.
        """

    async def finish(self) -> None:
        """Bring to an end what the last step left under way."""
        return

    def figures(self) -> Mapping[str, int]:
        """Return what was done so far, by name, for operators."""
        return {}
