"""Every wait of a test has an end, and says what it waited for."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar, cast

from message_service.stopping import end_tasks

WAIT = 45.0
"""Seconds that are long enough for anything a test waits for on a slow machine."""

T = TypeVar("T")


async def soon(what: str, awaited: Awaitable[T], *, seconds: float = WAIT) -> T:
    """Return the result of `awaited`; fail with `what` when it takes too long."""
    task = asyncio.ensure_future(_coroutine(awaited))
    try:
        await asyncio.wait((task,), timeout=seconds)
        in_time = task.done()
    finally:
        await end_tasks((task,))
    assert in_time, f"waited {seconds:g} s for {what}"
    return task.result()


async def until(
    what: str,
    condition: Callable[[], T | Coroutine[Any, Any, T | None] | None],
    *,
    seconds: float = WAIT,
    every: float = 0.02,
) -> T:
    """Ask until `condition` answers something true, and return that; fail with `what`."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if inspect.isawaitable(answer):
            answer = await soon(what, answer, seconds=max(1.0, deadline - time.monotonic()))
        if answer:
            return cast("T", answer)
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s for {what}")
        await asyncio.sleep(every)


async def ended(process: asyncio.subprocess.Process, what: str, *, seconds: float = WAIT) -> int:
    """Return the exit code of a process that ends in time."""
    return await soon(f"{what} (pid {process.pid}) to end", process.wait(), seconds=seconds)


async def _coroutine(awaited: Awaitable[T]) -> T:
    return await awaited
