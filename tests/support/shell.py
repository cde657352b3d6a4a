"""The command line as a user calls it: a process that is waited for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

COMMAND = str(Path(sys.executable).parent / "message-service")
NOWHERE = "mongodb://127.0.0.1:9/?replicaSet=nowhere"
"""An address no server has: a command that gets as far as connecting exits with 6."""


class Cli:
    def __init__(self, uri: str, database: str, home: Path) -> None:
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("MESSAGE_SERVICE_")},
            "MESSAGE_SERVICE_URI": uri,
            "MESSAGE_SERVICE_DATABASE": database,
            "MESSAGE_SERVICE_LOCAL_SERVER_DIR": str(home / "server"),
            "MESSAGE_SERVICE_SERVER_SELECTION_TIMEOUT": "2",
            "COLUMNS": "200",
        }

    def __call__(
        self, *words: object, code: int = 0, text: str | None = None, **environment: str
    ) -> str:
        done = subprocess.run(
            [COMMAND, *map(str, words)],
            env={**self.environment, **environment},
            input=text,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
        if code:
            assert "Traceback" not in done.stderr
            return done.stderr
        return done.stdout

    def json(self, *words: object) -> Any:
        return json.loads(self(*words, "--json"))

    def into(self, out: Any, *words: object, err: Any = subprocess.PIPE) -> tuple[int, str]:
        """Run a command with standard output in other hands; return its code and errors."""
        done = subprocess.run(
            [COMMAND, *map(str, words)],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            text=True,
            timeout=120,
            check=False,
        )
        return done.returncode, done.stderr or ""
