"""Runs a command's coroutine so that signals end it.

The first SIGINT or SIGTERM asks the command to stop: a command that loops finishes its round, any
other is cancelled. The second signal ends the process at once. In any case the process ends some
seconds after the first signal: `_HARD_LIMIT`, or a little more than a longer grace period. This
cannot harm stored data, because every write survives `kill -9`.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Generic, TypeVar

from message_service.stopping import STOP_GRACE, StopOverdue, StopSignal, run_until_stopped

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_LOOP_GRACE = STOP_GRACE + 2.0  # a loop has its own grace period and cleans up after it
_HARD_LIMIT = 10.0
_AFTER_GRACE = 3.0
_SHOW_CURSOR = b"\x1b[?25h"
_unfinished = set[Path]()

T = TypeVar("T")


def collect_rarely() -> None:
    """Let Python look for cyclic garbage less often, and never in what is imported.

    Imports and exports make millions of dictionaries that form no cycles. With Python's defaults
    the search for cycles takes a sixth of an import's processor time and finds nothing. The one at
    the end of the process takes a fifth of a second, mostly in modules. A process that uses the
    library can do the same.
    """
    gc.set_threshold(50_000, 20, 20)
    gc.freeze()


class Interrupted(Exception):
    """A signal ended a command before its work was done.

    Attributes:
        exit_code: 128 plus the signal's number, as shells report it.
    """

    def __init__(self, number: int, message: str = "interrupted") -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = 128 + number


@dataclass(frozen=True, slots=True)
class Ended(Generic[T]):
    """How a looping command ended.

    Attributes:
        result: Its result.
        signal: The signal that asked it to stop; None when it ended by itself.
    """

    result: T
    signal: int | None

    def check(self, message: str) -> T:
        """Return the result of a command that a stop leaves unfinished.

        Raises:
            Interrupted: It was asked to stop.
        """
        if self.signal is not None:
            raise Interrupted(self.signal, message)
        return self.result


@contextmanager
def removed_on_leaving(path: Path) -> Generator[None]:
    """Remove an unfinished file if a second signal ends the process at once."""
    _unfinished.add(path)
    try:
        yield
    finally:
        _unfinished.discard(path)


def run_once(work: Coroutine[Any, Any, T]) -> T:
    """Run a command that a signal cancels.

    Raises:
        Interrupted: A signal came.
    """
    return _run(lambda _: work, grace=0.0).check("interrupted")


def run_loop(
    work: Callable[[StopSignal], Coroutine[Any, Any, T]], *, grace: float = _LOOP_GRACE
) -> Ended[T]:
    """Run a command that looks at its stop signal in each round.

    Args:
        work: The command.
        grace: Seconds it has to end after the first signal.

    Raises:
        Interrupted: A signal came, and the round did not end within the grace period.
    """
    return _run(work, grace=grace)


def _run(
    work: Callable[[StopSignal], Coroutine[Any, Any, T]],
    *,
    grace: float,
    interrupts: Interrupts | None = None,
) -> Ended[T]:
    received = _Received(limit=max(_HARD_LIMIT, grace + _AFTER_GRACE), interrupts=interrupts)

    async def main() -> T:
        stop = StopSignal()
        with received.told_to(asyncio.get_running_loop(), stop):
            return await run_until_stopped(work(stop), stop, grace=grace)

    with received.listening():
        try:
            result = asyncio.run(main())
        except StopOverdue as overdue:
            if received.number is None:
                raise
            raise Interrupted(received.number, str(overdue) if grace else "interrupted") from None
    return Ended(result, received.number)


class Interrupts:
    """Takes Ctrl-C for something that can be interrupted, so that it does not end the command."""

    def __init__(self) -> None:
        self._taker: Callable[[], object] | None = None

    @contextmanager
    def taken(self) -> Generator[asyncio.Event]:
        """Set the event at the first Ctrl-C while this is entered; a second one is not taken."""
        loop = asyncio.get_running_loop()
        event = asyncio.Event()
        self._taker = lambda: loop.call_soon_threadsafe(event.set)
        try:
            yield event
        finally:
            self._taker = None

    def take(self) -> bool:
        """Take one; False when there is nothing to interrupt."""
        taker, self._taker = self._taker, None
        if taker is None:
            return False
        taker()
        return True


def run_interactive(
    work: Callable[[StopSignal, Interrupts], Coroutine[Any, Any, T]],
) -> Ended[T]:
    """Run a command in which Ctrl-C interrupts what is under way, and otherwise ends it.

    Raises:
        Interrupted: A signal came, and the command did not end within the grace period.
    """
    interrupts = Interrupts()
    return _run(lambda stop: work(stop, interrupts), grace=_LOOP_GRACE, interrupts=interrupts)


@dataclass(slots=True)
class _Received:
    """The first signal received, and the callback to tell of it."""

    limit: float
    interrupts: Interrupts | None = None
    number: int | None = None
    _tell: Callable[[], object] | None = None
    _watchdog: _Watchdog | None = None

    @contextmanager
    def told_to(self, loop: asyncio.AbstractEventLoop, stop: StopSignal) -> Generator[None]:
        self._tell = lambda: loop.call_soon_threadsafe(stop.request)
        if self.number is not None:
            stop.request()
        try:
            yield
        finally:
            self._tell = None  # the loop is about to close

    @contextmanager
    def listening(self) -> Generator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield  # only the main thread may receive signals; the host program does
            return
        self._watchdog = watchdog = _Watchdog(self.limit)
        # Not the event loop's handlers: they would wait for a loop that may be busy.
        before = {number: signal.signal(number, self._receive) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            watchdog.dismiss()

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.interrupts is not None and self.interrupts.take():
            return
        # Not the default action: a process with id 1, as in a container, has no default action.
        if self.number is not None:
            _leave(number)
        self.number = number
        if self._watchdog is not None:
            self._watchdog.wake(number)
        if self._tell is not None:
            self._tell()


class _Watchdog:
    """Ends the process some time after it is woken, even if the main thread hangs.

    Its thread is started beforehand: a signal handler that starts a thread could wait for a lock
    that the interrupted code holds.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._reading, self._writing = os.pipe()
        self._thread = threading.Thread(target=self._watch, name="signals", daemon=True)
        self._thread.start()

    def wake(self, number: int) -> None:
        os.write(self._writing, bytes([number]))

    def dismiss(self) -> None:
        os.close(self._writing)
        self._thread.join()
        os.close(self._reading)

    def _watch(self) -> None:
        woken = os.read(self._reading, 1)
        if woken and not select.select([self._reading], [], [], self._limit)[0]:
            _leave(woken[0])


def _leave(number: int) -> None:
    if sys.stderr.isatty():
        os.write(2, _SHOW_CURSOR)  # a progress bar may have hidden it
    for path in tuple(_unfinished):
        with contextlib.suppress(OSError):
            path.unlink()
    os._exit(128 + number)
