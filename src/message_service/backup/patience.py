"""Reads that are repeated when the server fails over or is restarted meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from message_service import errors

TRIES = 5
"""How often is asked; each time the driver waits some seconds for a usable server."""

PAUSE = 0.5
"""Seconds between two tries."""

T = TypeVar("T")


async def patiently(read: Callable[[], Awaitable[T]]) -> T:
    """Return what a read gives, however often the server fails over.

    Raises:
        Unavailable: No server answers for a while.
    """
    for _ in range(TRIES - 1):
        try:
            return await read()
        except errors.Unavailable:
            await asyncio.sleep(PAUSE)
    return await read()
