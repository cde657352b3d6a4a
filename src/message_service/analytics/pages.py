"""Reads ahead and writes behind: the server works while summaries are made of what it answered."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from message_service.stopping import end_tasks

PAGE = 400
"""Summaries that are read or written in one round trip."""

_AHEAD = 4
"""Items that are read before they are wanted."""

_BEHIND = 3
"""Pages that are written at the same time."""

_TURN = 20
"""Items after which what is read and written has its turn: making items never waits by itself."""

T = TypeVar("T")


async def pages_of(items: AsyncIterator[T]) -> AsyncIterator[list[T]]:
    """Yield items page by page."""
    page: list[T] = []
    async for item in items:
        page.append(item)
        if len(page) == PAGE:
            yield page
            page = []
    if page:
        yield page


async def read_ahead(items: AsyncGenerator[T]) -> AsyncGenerator[T]:
    """Yield items, of which the next ones are read meanwhile."""
    # The last entry has no item, and what the reading failed with.
    coming: asyncio.Queue[tuple[T | None, Exception | None]] = asyncio.Queue(_AHEAD)

    async def read() -> None:
        failure: Exception | None = None
        try:
            async for item in items:
                await coming.put((item, None))
        except Exception as error:  # raised where the items are taken
            failure = error
        await coming.put((None, failure))

    reading = asyncio.create_task(read())
    try:
        while True:
            item, failure = await coming.get()
            if failure is not None:
                raise failure
            if item is None:
                return
            yield item
    finally:
        await end_tasks((reading,))
        await items.aclose()


class PageWriter(Generic[T]):
    """Takes items and writes them page by page, while it takes further ones.

    At the end of its `async with` block everything is written. A page that cannot be written ends
    the block with its error, and what was not begun is not written.

    Args:
        write: Writes a page.

    Attributes:
        count: How many items it took.
    """

    def __init__(self, write: Callable[[list[T]], Coroutine[Any, Any, None]]) -> None:
        self._write = write
        self._page: list[T] = []
        self._writing: deque[asyncio.Task[None]] = deque()
        self.count = 0

    async def put(self, item: T) -> None:
        """Take an item; raise what an earlier page failed with."""
        self.count += 1
        self._page.append(item)
        if len(self._page) == PAGE:
            await self._begin()
        if self.count % _TURN == 0:
            await asyncio.sleep(0)

    async def _begin(self) -> None:
        if len(self._writing) == _BEHIND:
            await self._writing[0]
            self._writing.popleft()
        self._writing.append(asyncio.create_task(self._write(self._page)))
        self._page = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                if self._page:
                    await self._begin()
                while self._writing:
                    await self._writing[0]
                    self._writing.popleft()
        finally:
            await end_tasks(self._writing)
            for task in self._writing:
                if not task.cancelled():
                    task.exception()  # that of the first one is raised; asyncio logs no others
