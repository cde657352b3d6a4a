"""The command line as a user calls it: a process that is waited for."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from support.preloaded import PRELOADED

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
        done = PRELOADED.run(
            [*map(str, words)], {**self.environment, **environment}, text=text or ""
        )
        assert done.code == code, (words, done)
        if code:
            assert "Traceback" not in done.err
            return done.err
        return done.out

    def json(self, *words: object) -> Any:
        return json.loads(self(*words, "--json"))

    def into(self, out: Any, *words: object, err: Any = None) -> tuple[int, str]:
        """Run a command with standard output in other hands; return its code and errors."""
        done = PRELOADED.run([*map(str, words)], self.environment, out=out, err=err)
        return done.code, done.err
