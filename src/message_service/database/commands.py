"""Server commands whose refusals may be expected answers."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

import pymongo
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure

from message_service.database.translate import translated
from message_service.documents.row import Row

NAMESPACE_NOT_FOUND = 26
INDEX_NOT_FOUND = 27
DUPLICATE_KEY = 11000
CANNOT_CONVERT_TO_UNIQUE = 359

_UNHURRIED_SECONDS = 14 * 24 * 3600


async def run_command(
    database: AsyncDatabase[Row],
    command: Mapping[str, Any],
    *,
    tolerate: frozenset[int] = frozenset(),
) -> Row:
    """Run a command and return the server's answer.

    Args:
        database: The database to run it on.
        command: The command, its name first.
        tolerate: Error codes for which the refusal itself is returned, with `ok` 0, `code` and
            `errmsg`.

    Raises:
        MessageServiceError: The server refused with another code, or did not answer.
    """
    with translated():
        try:
            return await database.command(dict(command))
        except OperationFailure as refusal:
            if refusal.code not in tolerate:
                raise
            return {"ok": 0.0, "errmsg": str(refusal), "code": refusal.code} | dict(
                refusal.details or {}
            )


@contextmanager
def unhurried() -> Generator[None]:
    """Lift the client's socket timeout, for commands of any duration (index builds, full reads).

    TCP keep-alive still detects a lost server.
    """
    with pymongo.timeout(_UNHURRIED_SECONDS):
        yield
