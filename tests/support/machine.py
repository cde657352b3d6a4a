"""What a run needs of its machine, said at once where it is missing.

A full disk kills the run's MongoDB. Each test after that would wait for it in vain, for the longest
of timeouts, and the last lines would be lost with the disk.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest

from message_service.local_server.log import failure
from message_service.local_server.manager import LocalServer

ROOM = 2 * 1024**3
"""Bytes: a server's data is 300 MB, at most three run at once, and failed tests keep theirs."""


def require_room() -> None:
    """End the run before its first test when its files would not fit."""
    directory = tempfile.gettempdir()
    free = shutil.disk_usage(directory).free
    if free < ROOM:
        pytest.exit(
            f"the tests need {ROOM / 1024**3:.1f} GiB free in {directory}, "
            f"{free / 1024**3:.1f} GiB are: free some, or set TMPDIR to another place",
            returncode=pytest.ExitCode.USAGE_ERROR,
        )


def require_alive(server: LocalServer) -> None:
    """End the run when its MongoDB is gone."""
    if not runs(server.pid):
        reason = failure(server.log, 0) or "its log gives no reason"
        pytest.exit(
            f"the tests' MongoDB (pid {server.pid}) has ended: {reason}",
            returncode=pytest.ExitCode.TESTS_FAILED,
        )


def runs(pid: int | str) -> bool:
    """Whether a process runs; a dead one that nobody has reaped has no command line."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False
