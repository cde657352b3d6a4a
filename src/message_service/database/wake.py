"""A wake hint: a change stream where the server has them, else a pause.

The hint may come late, twice or never; the waiting loop polls in any case.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase

from message_service import errors
from message_service.database.translate import translated
from message_service.documents.row import Row


class WakeUp:
    """Waits for changes of one collection.

    Args:
        database: The database.
        collection: The collection watched.
        match: Which changes count (a `$match` on change events).
        seconds: The longest wait.
    """

    def __init__(
        self,
        database: AsyncDatabase[Row],
        collection: str,
        match: Mapping[str, Any],
        seconds: float,
    ) -> None:
        self._collection = database.get_collection(collection)
        self._pipeline = [{"$match": dict(match)}, {"$project": {"_id": 1}}]
        self._seconds = seconds
        self._stream: Any = None

    @property
    def listening(self) -> bool:
        """Whether changes since the last `wait` end the next one at once."""
        return self._stream is not None

    async def arm(self) -> None:
        """Start listening, so that a change after this call ends the next `wait`.

        Earlier changes are forgotten: a stream left open while its owner was busy would report
        every change the owner has seen already.
        """
        await self.disarm()
        with contextlib.suppress(errors.MessageServiceError), translated():  # none here, or now
            self._stream = await self._collection.watch(
                self._pipeline, max_await_time_ms=int(self._seconds * 1000), comment="wake"
            )

    async def wait(self) -> None:
        """Return at the next change since `arm`, or after the longest wait."""
        if self._stream is not None:
            try:
                with translated():
                    await self._stream.try_next()
            except errors.MessageServiceError:
                await self.disarm()
            else:
                return
        await asyncio.sleep(self._seconds)

    async def disarm(self) -> None:
        """Stop listening."""
        stream, self._stream = self._stream, None
        if stream is not None:
            with contextlib.suppress(errors.MessageServiceError), translated():
                await stream.close()
