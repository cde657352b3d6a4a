"""Loops that work off a backlog of messages, and what operators call of them."""

from __future__ import annotations

from abc import abstractmethod
from typing import Generic, TypeVar

from message_service.arguments import check_instance, check_whole_number
from message_service.clock import Clock
from message_service.database.lease import Lease
from message_service.database.store import Store
from message_service.loops.loop import Loop
from message_service.loops.runner import LoopRunner
from message_service.stopping import StopSignal


class BacklogLoop(Loop):
    """A loop that takes changed messages off a list."""

    @property
    @abstractmethod
    def taken(self) -> int:
        """How many messages it has taken off so far."""

    async def drain(self, most: int | None = None, stop: StopSignal | None = None) -> int:
        """Work until nothing is due, without the lease; return how many messages were.

        Args:
            most: Stop after about this many; None goes on to the end.
            stop: Asks to stop after the step in progress.
        """
        begun = self.taken
        while not (stop is not None and stop.requested) and await self.step():
            if most is not None and self.taken - begun >= most:
                break
        return self.taken - begun


L = TypeVar("L", bound=BacklogLoop)


class Backlog(Generic[L]):
    """A loop with its lease, for operators.

    Args:
        loop: The loop.
        store: The database.
        clock: The present moment.
        holder: Name of this process, unique.
        poll: Seconds between looks whether the process at work has died.
    """

    def __init__(self, loop: L, store: Store, clock: Clock, holder: str, poll: float) -> None:
        self._loop = loop
        lease = Lease(store.database, loop.name, holder, loop.lease_seconds)
        self._runner = LoopRunner(loop, lease, clock, standby=poll)

    async def run(self, stop: StopSignal | None = None) -> bool:
        """Work until asked to stop; one process works at a time, the others stand by.

        Args:
            stop: Asks to stop: the step in progress is finished, for 5 seconds at most. Without
                it, cancel the task that runs this call. Nothing is lost either way.

        Returns:
            Whether the last step was finished.
        """
        if stop is not None:
            check_instance("stop", stop, StopSignal)
        return await self._runner.run(stop)

    async def drain(self, most: int | None = None, stop: StopSignal | None = None) -> int:
        """Work until nothing is due; return how many changed messages were taken in.

        Args:
            most: Stop after about this many messages; None goes on to the end.
            stop: Asks to stop after the step in progress.

        Raises:
            Unavailable: The database cannot be reached; finished work is kept.
        """
        if most is not None:
            check_whole_number("most", most, 1, 2**63 - 1)
        if stop is not None:
            check_instance("stop", stop, StopSignal)
        return await self._loop.drain(most, stop)
