"""Writes the entries of all replies of a process, together: a group commit.

While one round trip is under way, the entries of all replies gather for the next. So a single reply
is written as soon as it says something, and hundreds share their round trips; nothing waits for a
timer. A reply has one entry under way at a time, so its entries are stored in order.
"""

from __future__ import annotations

import asyncio

from message_service import errors
from message_service.database.store import Store
from message_service.documents.row import Row
from message_service.stopping import end_tasks

_MOST = 1_000
_RETRY_PAUSE = 0.1


class EntryWriter:
    """Writes entries.

    Args:
        store: The database.
        patience: Seconds a write is tried through failover.
    """

    def __init__(self, store: Store, patience: float) -> None:
        self._store = store
        self._patience = patience
        self._waiting: list[tuple[Row, asyncio.Future[bool]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def write(self, entry: Row) -> bool:
        """Store an entry; False when its number is taken.

        Raises:
            MessageServiceError: It could not be written.
        """
        written: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, written))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all())
        return await written

    async def close(self) -> None:
        """End what is under way; whoever waits for it is told that it is not written."""
        if self._writing is not None:
            await end_tasks((self._writing,))
        for _, written in self._waiting:
            _tell(written, errors.Unavailable("the service is closed"))
        self._waiting = []

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
                batch = [each for each in batch if not each[1].done()]  # cancelled meanwhile
                try:
                    await self._write(batch)
                except BaseException as error:
                    for _, written in batch:
                        _tell(written, error)
                    if not isinstance(error, errors.MessageServiceError):
                        raise
        finally:
            self._writing = None

    async def _write(self, batch: list[tuple[Row, asyncio.Future[bool]]]) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience
        while batch:
            try:
                refused = await self._store.insert(
                    "reply_entries",
                    [entry for entry, _ in batch],
                    ordered=False,
                    comment="reply_entries.write",
                )
                break
            except errors.Unavailable:
                if loop.time() > deadline:
                    raise
                await asyncio.sleep(_RETRY_PAUSE)
            except Exception as error:
                if len(batch) > 1:  # one of them cannot be stored; the others can
                    await self._write_each(batch)
                    return
                if isinstance(error, errors.MessageServiceError):
                    raise
                name = type(error).__name__  # its message may quote the text
                raise errors.Internal(f"a piece of a reply could not be written: {name}") from error
        else:
            return
        by_place = {each.position: each.error for each in refused}
        for place, (_, written) in enumerate(batch):
            error = by_place.get(place)
            if error is None or isinstance(error, errors.AlreadyExists):
                _tell(written, error is None)
            else:
                _tell(written, error)

    async def _write_each(self, batch: list[tuple[Row, asyncio.Future[bool]]]) -> None:
        for each in batch:
            try:
                await self._write([each])
            except errors.MessageServiceError as error:
                _tell(each[1], error)


def _tell(written: asyncio.Future[bool], outcome: bool | BaseException) -> None:
    if written.done():
        return
    if isinstance(outcome, bool):
        written.set_result(outcome)
    elif isinstance(outcome, Exception):
        written.set_exception(outcome)
    else:
        written.set_exception(errors.Unavailable("writing was ended"))
