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
from collections.abc import Mapping, Sequence


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


def _call(words: Sequence[str]) -> tuple[int, str]:
    with tempfile.TemporaryFile() as said:
        child = os.fork()
        if child == 0:
            nothing = os.open(os.devnull, os.O_RDWR)
            os.dup2(nothing, 0)
            os.dup2(nothing, 1)
            os.dup2(said.fileno(), 2)
            sys.argv = ["message-service", *words]
            main()
            os._exit(99)  # main ends the process itself
        _, status = os.waitpid(child, 0)
        said.seek(0)
        return os.waitstatus_to_exitcode(status), said.read().decode()


if __name__ == "__main__":
    from message_service.cli import main

    json.dump([_call(words) for words in json.load(sys.stdin)], sys.stdout)
