"""No test run leaves a process behind, however it ends.

Every process a run starts inherits a mark in its environment. A watcher in a session of its own
holds the read end of a pipe; when the run is over, or killed, the pipe closes, and the watcher
kills whatever still carries the mark: servers that became daemons too.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

MARK = "TEST_RUN_OF_MESSAGE_SERVICE"


class Watcher:
    """Guards one test run."""

    def __init__(self) -> None:
        run = f"{os.getpid()}-{secrets.token_hex(8)}"
        os.environ[MARK] = run
        self._process = subprocess.Popen(
            [sys.executable, __file__, run],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    def finish(self) -> list[str]:
        """Kill what the run left behind and return it, a line a process."""
        said, _ = self._process.communicate(timeout=30)
        return said.splitlines()


def marked(run: str) -> dict[int, str]:
    """Return the processes of a run, except this one: process id and command line."""
    wanted = f"{MARK}={run}".encode()
    found: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        try:
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                words = (entry / "cmdline").read_bytes().strip(b"\0").split(b"\0")
                found[int(entry.name)] = b" ".join(words).decode(errors="replace")
        except OSError:
            continue  # it ended, or is another user's
    return {pid: line for pid, line in found.items() if line}  # the dead have no command line


def watch(run: str) -> None:
    """Wait for the end of the run, then kill what it left."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.read()
    told = set[int]()
    seen_none = False
    for _ in range(50):
        left = marked(run)
        if not left:
            if seen_none:
                return
            # Look twice: a process that is just being started has no environment for a moment.
            seen_none = True
            time.sleep(0.1)
            continue
        for pid, line in left.items():
            if pid not in told:
                told.add(pid)
                with contextlib.suppress(BrokenPipeError):  # a killed run hears nothing
                    print(f"{pid} {line[:300]}", flush=True)
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.1)


if __name__ == "__main__":
    watch(sys.argv[1])
