"""The base class of loops, and the hints that wake them."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Protocol


class Wake(Protocol):
    """A hint that there may be work; it may come late, twice or never."""

    async def arm(self) -> None:
        """Listen from now on."""

    async def wait(self) -> None:
        """Return at the first hint since `arm`, or after the longest wait."""

    async def disarm(self) -> None:
        """Stop listening."""


class Poll:
    """No hint, only a pause of some seconds."""

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
    """A hint from the same process: code that makes work rings the bell."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """End the present wait, or the next one."""
        self._rung.set()

    async def arm(self) -> None:
        """Forget earlier rings."""
        self._rung.clear()

    async def wait(self) -> None:
        """Return when the bell is rung."""
        await self._rung.wait()

    async def disarm(self) -> None:
        """Do nothing."""


class Loop(ABC):
    """Work done in idempotent steps, run by `LoopRunner`.

    Attributes:
        name: Name of the loop, of its lease and its record in `db status`; used in logs.
        lease_seconds: How long other processes wait when the one at work has died.
        step_seconds: Longest duration of a step; a step that takes longer is ended as stalled.
        wake: Ends the wait when nothing is due; by default a pause of one second.
    """

    name: ClassVar[str]
    lease_seconds: ClassVar[float] = 10.0
    step_seconds: ClassVar[float] = 120.0
    wake: Wake = Poll(1.0)

    @abstractmethod
    async def step(self) -> bool:
        """Do one round of work; return whether there may be more right now.

        A step may be ended at any `await`; it is then repeated, by this or another process.
        """

    async def finish(self) -> None:
        """Finish work that the last step left in progress."""
        return

    def figures(self) -> Mapping[str, int]:
        """Return counts of the work done so far, by name, for operators."""
        return {}
