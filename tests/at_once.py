"""The whole suite as two runs at once: tests that mostly wait, and all others.

Tests of faults, of the guards and of every option start processes and wait for their end; meanwhile
the others use the processor. Each run has its own MongoDB; its data is in memory where the machine
has room for that. For single tests call pytest itself.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile

WAITING = (
    "tests/faults",
    "tests/meta",
    "tests/property/test_any_option.py",
)


NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"
MEMORY = "/dev/shm"
ROOM = 6 * 1024**3
"""Bytes that must be free there: the servers of both runs, and what tests write beside."""


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
    """Run both, show one after the other, and return the exit code of the first that failed."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # ends both runs
    pytest = (sys.executable, "-m", "pytest", *arguments)
    ignored = [f"--ignore={path}" for path in WAITING]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
        # Two runs cannot keep one cache of what failed last.
        waiting = subprocess.Popen(
            [*pytest, "-o", "cache_dir=.pytest_cache/waiting", *WAITING],
            stdout=said,
            stderr=subprocess.STDOUT,
            env=environment(),
        )
        try:
            others = subprocess.run([*pytest, *ignored], check=False, env=environment()).returncode
            code = waiting.wait() or others
        finally:
            # Killed, it still ends what it started (see support/leftovers.py).
            waiting.kill()
            waiting.wait()
        said.seek(0)
        sys.stdout.writelines(said)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
