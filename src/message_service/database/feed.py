"""New documents of a collection, handed to whoever waits for them: one change stream a process.

A feed is a hint: it may begin late, break off, or not exist on this server. Whoever uses it also
looks into the collection now and then, and knows by the documents themselves what it has seen.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Generator, Hashable, Mapping
from contextlib import contextmanager
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase

from message_service import errors
from message_service.database.translate import translated
from message_service.documents.row import Row
from message_service.stopping import end_tasks

_LOG = logging.getLogger(__name__)
_RETRY_PAUSE = 0.5
_READY_WITHIN = 1.0


class Subscription:
    """The documents of one key, as they come."""

    def __init__(self) -> None:
        self._came: list[Row] = []
        self._waiter: asyncio.Future[None] | None = None

    def give(self, row: Row) -> None:
        """Hand over a document."""
        self._came.append(row)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self, seconds: float) -> list[Row]:
        """Return what has come; waits for the first, for so long at most."""
        if not self._came:
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            timer = loop.call_later(seconds, self._wake)
            try:
                await self._waiter
            finally:
                timer.cancel()
                self._waiter = None
        came, self._came = self._came, []
        return came


class Feed:
    """The feed of one collection.

    Args:
        database: The database.
        collection: The collection.
        match: Which insertions count (a `$match` on change events).
        key: Tells whom a document is for.
        comment: Name of the command in logs.
    """

    def __init__(
        self,
        database: AsyncDatabase[Row],
        collection: str,
        match: Mapping[str, Any],
        key: Callable[[Row], Hashable],
        comment: str,
    ) -> None:
        self._collection = database.get_collection(collection)
        self._pipeline = [{"$match": {"operationType": "insert", **match}}]
        self._key = key
        self._comment = comment
        self._subscriptions: dict[Hashable, set[Subscription]] = {}
        self._listening: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._closed = False

    @contextmanager
    def subscribed(self, key: Hashable) -> Generator[Subscription]:
        """Hand over the documents of a key."""
        subscription = Subscription()
        self._subscriptions.setdefault(key, set()).add(subscription)
        if self._listening is None and not self._closed:
            self._listening = asyncio.create_task(self._listen())
        try:
            yield subscription
        finally:
            several = self._subscriptions[key]
            several.discard(subscription)
            if not several:
                del self._subscriptions[key]

    async def ready(self) -> None:
        """Return once it listens, or after a second: what comes later is handed over."""
        if self._ready.is_set():
            return
        waiting = asyncio.create_task(self._ready.wait())
        try:
            await asyncio.wait((waiting,), timeout=_READY_WITHIN)
        finally:
            await end_tasks((waiting,))

    async def close(self) -> None:
        """Stop listening."""
        self._closed = True
        if self._listening is not None:
            await end_tasks((self._listening,))

    async def _listen(self) -> None:
        while True:
            try:
                await self._hand_over()
            except errors.Unsupported:
                self._ready.set()
                return  # whoever waits looks by itself
            except errors.MessageServiceError as error:
                _LOG.info("the feed of %s broke off: %s", self._collection.name, error.code)
            self._ready.clear()
            await asyncio.sleep(_RETRY_PAUSE)

    async def _hand_over(self) -> None:
        with translated():
            stream = await self._collection.watch(self._pipeline, comment=self._comment)
        try:
            self._ready.set()
            while True:
                with translated():
                    event = await anext(stream, None)
                if event is None:
                    return
                row: Row = event["fullDocument"]
                for subscription in self._subscriptions.get(self._key(row), ()):
                    subscription.give(row)
        finally:
            with translated():
                await stream.close()
