"""Many calls of the command line, each in a process of its own, for one start of the interpreter.

Run as a program: reads a JSON list of argument lists, forks for each, writes a JSON list of
`[exit code, stderr]`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Mapping, Sequence
from typing import IO

AT_ONCE = 4


def call_each(
    calls: Sequence[Sequence[str]], environment: Mapping[str, str]
) -> list[tuple[int, str]]:
    """Return exit code and stderr of each call."""
    done = subprocess.run(
        [sys.executable, __file__],
        input=json.dumps(calls),
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    return [(code, said) for code, said in json.loads(done.stdout)]


def _start(words: Sequence[str]) -> tuple[int, IO[bytes]]:
    said = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the process has ended
    child = os.fork()
    if child == 0:
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(nothing, 1)
        os.dup2(said.fileno(), 2)
        sys.argv = ["message-service", *words]
        main()
        os._exit(99)  # main ends the process itself
    return child, said


def _call_all(calls: Sequence[Sequence[str]]) -> list[tuple[int, str]]:
    """Run the calls, some at a time."""
    outcomes: dict[int, tuple[int, str]] = {}
    running: dict[int, tuple[int, IO[bytes]]] = {}
    waiting = deque(enumerate(calls))
    while waiting or running:
        while waiting and len(running) < AT_ONCE:
            place, words = waiting.popleft()
            child, said = _start(words)
            running[child] = (place, said)
        child, status = os.wait()
        place, said = running.pop(child)
        with said:
            said.seek(0)
            outcomes[place] = (os.waitstatus_to_exitcode(status), said.read().decode())
    return [outcomes[place] for place in range(len(calls))]


if __name__ == "__main__":
    from message_service.cli import main

    json.dump(_call_all(json.load(sys.stdin)), sys.stdout)
