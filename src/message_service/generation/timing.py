"""Reads a provider's answer and keeps the time: to the first piece, between pieces, and in all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from message_service.generation.failures import FailureKind
from message_service.generation.provider import Answering, Event
from message_service.stopping import end_tasks


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an answer may take, in seconds.

    Attributes:
        first_token: From the request to the first piece.
        between_tokens: From one piece to the next.
        total: For the whole answer, further tries and their pauses included.
        attempts: Most tries of one model.
        longest_wait: Longest pause before a further try; where the provider wants a longer one,
            another model is asked, or the reply is tried again later.
        first_delay: Pause before the second try, doubled with each; where the provider wants a
            longer one, that is kept.
    """

    first_token: float
    between_tokens: float
    total: float
    attempts: int
    longest_wait: float
    first_delay: float = 0.5


class TimedOut(Exception):
    """An answer took too long; `kind` says where."""

    def __init__(self, kind: FailureKind) -> None:
        super().__init__(kind.value)
        self.kind = kind


async def timed(
    events: AsyncGenerator[Event, None], patience: Patience, deadline: float
) -> AsyncGenerator[list[Event], None]:
    """Yield the events of an answer; those that came while the caller was busy come together.

    Args:
        events: The answer; it is closed in any case.
        patience: How long it may take.
        deadline: The event loop's time by which all must have come.

    Raises:
        TimedOut: It took too long.
        ProviderFailed: As the answer itself raises it.
    """
    reader = _Reader(events)
    begun = False
    try:
        while True:
            allowed = patience.between_tokens if begun else patience.first_token
            came = await reader.next(min(reader.last + allowed, deadline))
            if came is None:
                reader.task.result()
                return
            if not came:
                if asyncio.get_running_loop().time() >= deadline:
                    raise TimedOut(FailureKind.TOTAL_TIMEOUT)
                raise TimedOut(FailureKind.STALLED if begun else FailureKind.FIRST_TOKEN_TIMEOUT)
            begun = begun or any(not isinstance(event, Answering) for event in came)
            yield came
    finally:
        await end_tasks((reader.task,))


class _Reader:
    """Reads in a task of its own, so that whoever waits can stop waiting at any moment."""

    def __init__(self, events: AsyncGenerator[Event, None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._events = events
        self._came: list[Event] = []
        self._waiter: asyncio.Future[None] | None = None
        self.last = self._loop.time()
        self.task = asyncio.create_task(self._read())
        self.task.add_done_callback(lambda _: self._wake())

    async def _read(self) -> None:
        async with aclosing(self._events):
            async for event in self._events:
                self._came.append(event)
                self.last = self._loop.time()
                self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def next(self, until: float) -> list[Event] | None:
        """Return what has come; nothing when the time is up, None at the end."""
        if not self._came and not self.task.done():
            self._waiter = self._loop.create_future()
            timer = self._loop.call_at(until, self._wake)
            try:
                await self._waiter
            finally:
                timer.cancel()
                self._waiter = None
        came, self._came = self._came, []
        return None if not came and self.task.done() else came
