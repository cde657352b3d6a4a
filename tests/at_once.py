"""The whole suite as three runs at once: tests that mostly wait, those with a database, all others.

Tests of faults, of the guards and of every option start processes and wait for their end; meanwhile
the others use the processors. Each run has its own MongoDB; its data is in memory where the machine
has room for that. For single tests call pytest itself.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

APART = {
    "waiting": ("tests/faults", "tests/meta", "tests/property/test_any_option.py"),
    "integration": ("tests/integration",),
}
"""What is run beside all others, by the name of its cache: runs cannot share what failed last."""

NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"
MEMORY = "/dev/shm"
ROOM = 6 * 1024**3
"""Bytes that must be free there: the servers of all runs, and what tests write beside."""


def environment() -> dict[str, str]:
    """Return the runs' environment; a TMPDIR of the caller's stays.

    Python keeps what it compiles, even if the caller's environment forbids that: the tests start
    hundreds of processes, and each would compile all modules again, for a third of its time.
    """
    try:
        fits = shutil.disk_usage(MEMORY).free >= ROOM
    except OSError:
        fits = False
    inherited = {name: value for name, value in os.environ.items() if name != NO_BYTECODE}
    return {**({"TMPDIR": MEMORY} if fits else {}), **inherited}


def main(arguments: list[str]) -> int:
    """Run them, show one after the other, and return the exit code of the first that failed."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # ends all runs
    pytest = (sys.executable, "-m", "pytest", *arguments)
    with ExitStack() as ending:
        apart = [
            ending.enter_context(_apart((*pytest, "-o", f"cache_dir=.pytest_cache/{name}", *paths)))
            for name, paths in APART.items()
        ]
        ignored = [f"--ignore={path}" for paths in APART.values() for path in paths]
        run = subprocess.run([*pytest, *ignored], check=False, env=environment())
        codes = [run.returncode, *(finish() for finish in apart)]
    return next((code for code in codes if code), 0)


@contextmanager
def _apart(command: Sequence[str]) -> Iterator[Callable[[], int]]:
    """Run in the background; yield what waits for the end, shows it, and returns the exit code."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
        process = subprocess.Popen(
            command, stdout=said, stderr=subprocess.STDOUT, env=environment()
        )

        def finish() -> int:
            code = process.wait()
            said.seek(0)
            sys.stdout.writelines(said)
            sys.stdout.flush()
            return code

        try:
            yield finish
        finally:
            # Killed, it still ends what it started (see support/leftovers.py).
            process.kill()
            process.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
