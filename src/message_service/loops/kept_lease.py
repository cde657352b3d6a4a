"""A lease that is renewed while its holder works."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import Any

from message_service import errors
from message_service.database.lease import Lease
from message_service.documents.row import Row
from message_service.stopping import StopSignal, end_tasks, within

_LOG = logging.getLogger(__name__)


class KeptLease:
    """Holds a lease and renews it in the background, three times per its length.

    Args:
        lease: The lease.
        report: Returns the report written with each renewal; None writes no report.
    """

    def __init__(self, lease: Lease, report: Callable[[], Mapping[str, Any]] | None = None) -> None:
        self.lease = lease
        self._report = report
        self._held_until = 0.0
        self._keeper: asyncio.Task[None] | None = None
        self._stop = StopSignal()
        self._lost = asyncio.Event()
        self._paused = False
        self.seen: Row = {}

    @property
    def held(self) -> bool:
        """Whether the lease is held, by this process's own clock."""
        return asyncio.get_running_loop().time() < self._held_until

    async def hold(self) -> bool:
        """Make sure that the lease is held: acquire it if it is free.

        Returns:
            Whether it is held. If not, `seen` is the lease's document, with its holder or its
            pause.

        Raises:
            Unavailable: The database cannot be reached.
        """
        if self._paused:
            await self.release()
            self._paused = False
        if self.held:
            return True
        await self._end_keeper()
        asked = asyncio.get_running_loop().time()
        renewed = await self.lease.renew(self._reported()) if self._held_until else None
        self.seen = renewed or await self.lease.try_acquire()
        if self.seen["holder"] != self.lease.holder or self.seen.get("paused_at") is not None:
            self._held_until = 0.0
            return False
        self._held_until = asked + self.lease.seconds
        self._stop, self._lost = StopSignal(), asyncio.Event()
        self._keeper = asyncio.create_task(self._keep(self._stop))
        return True

    async def renew(self) -> bool:
        """Renew the lease now; False when it has expired and another process may hold it.

        Raises:
            Unavailable: The database cannot be reached.
        """
        asked = asyncio.get_running_loop().time()
        row = await self.lease.renew(self._reported())
        if row is None:
            self._lose()
            return False
        self._paused = row.get("paused_at") is not None
        self._held_until = asked + self.lease.seconds
        return True

    async def lost(self) -> None:
        """Return when the lease is lost."""
        await self._lost.wait()

    async def release(self) -> None:
        """Stop renewing the lease and give it back; if that fails, it expires by itself."""
        await self._end_keeper()
        if self._held_until:
            self._held_until = 0.0
            with contextlib.suppress(errors.MessageServiceError, TimeoutError):
                await within(self.lease.seconds, self.lease.release(self._reported()))

    async def _keep(self, stop: StopSignal) -> None:
        while True:
            await stop.pause(self.lease.seconds / 3)
            if stop.requested:
                return
            try:
                if not await self.renew():
                    return
            except errors.MessageServiceError as error:
                if not self.held:  # until then the next try may succeed, after a failover
                    _LOG.warning("lease %s was not renewed: %s", self.lease.name, error.code)
                    self._lose()
                    return

    def _lose(self) -> None:
        self._held_until = 0.0
        self._lost.set()

    async def _end_keeper(self) -> None:
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            self._stop.request()
            await end_tasks((keeper,))

    def _reported(self) -> Mapping[str, Any] | None:
        return None if self._report is None else self._report()
