"""A test that hangs fails, with the stacks of all threads and of all asyncio tasks.

pytest-timeout keeps the time; this replaces what it does when the time is up, because its exception
could end up in whatever task happens to run, and because the interesting stacks are those of tasks.
Should even this not end a test, `faulthandler_timeout` ends the run.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import pytest_timeout

FAULT_SECONDS = 300
_TESTS = str(Path(__file__).parents[1])
_TRIES = 500


def give_fault_tests_longer(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("faults") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(FAULT_SECONDS))


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_set_timer(item: Any, settings: Any) -> bool:
    tries = iter(range(_TRIES))

    def expired(_number: int, _frame: FrameType | None) -> None:
        loop = asyncio._get_running_loop()
        running = None if loop is None else asyncio.current_task(loop)
        if running is not None and not _is_tests(running) and next(tries, None) is not None:
            # An exception would be that task's. Wait until the loop does.
            signal.setitimer(signal.ITIMER_REAL, 0.01)
            return
        writer = item.config.get_terminal_writer()
        writer.sep("+", f"{item.nodeid} did not end in {settings.timeout:g} s")
        pytest_timeout.dump_stacks(writer)
        for task in () if loop is None else asyncio.all_tasks(loop):
            writer.sep("~", f"Task {task.get_name()}")
            writer.write("".join(f"  {line}\n" for line in await_chain(task)))
            if _is_tests(task):
                task.cancel()  # it must not go on under the tests that follow
        pytest.fail(f"the test did not end in {settings.timeout:g} s")

    def cancel() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)

    item.cancel_timeout = cancel
    signal.signal(signal.SIGALRM, expired)
    signal.setitimer(signal.ITIMER_REAL, settings.timeout)
    return True


def await_chain(task: asyncio.Task[Any]) -> list[str]:
    """Say where a task stands, outermost first."""
    return [f"{f.f_code.co_filename}:{f.f_lineno} {f.f_code.co_qualname}" for f in _frames(task)]


def _frames(task: asyncio.Task[Any]) -> Iterator[FrameType]:
    awaited: Any = task.get_coro()
    while awaited is not None:
        for kind in ("cr", "gi", "ag"):
            frame = getattr(awaited, f"{kind}_frame", None)
            if frame is not None:
                yield frame
                follows = "yieldfrom" if kind == "gi" else "await"
                awaited = getattr(awaited, f"{kind}_{follows}", None)
                break
        else:
            return


def _is_tests(task: asyncio.Task[Any]) -> bool:
    return any(frame.f_code.co_filename.startswith(_TESTS) for frame in _frames(task))
