"""The workers of a database, as they announce themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from message_service.database.client import Database
from message_service.database.presence import Presence
from message_service.documents.row import Row

WORKERS = "queue_worker"
"""What workers are called in `Presence`."""

SILENT = 60.0
"""Seconds after which a worker that says nothing is taken for dead."""

FORGOTTEN = 86_400.0
"""Seconds after which a dead worker is forgotten."""


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """One worker.

    Attributes:
        name: Its name.
        node: Its machine.
        alive: Whether it has been heard of within a minute.
        began_at: When it began.
        seen_at: When it was last heard of.
        queues: The queues it listens on.
        job_types: The job types it has handlers for, with their queues.
        concurrency: Most jobs it runs at once.
        running: Jobs it ran when it was last heard of.
        figures: Counts of the jobs it has run, by outcome.
    """

    name: str
    node: str
    alive: bool
    began_at: datetime
    seen_at: datetime
    queues: tuple[str, ...]
    job_types: Mapping[str, str]
    concurrency: int
    running: int
    figures: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return asdict(self)


class QueueControl:
    """The queue of all tenants, for operators.

    Args:
        database: The database.
    """

    def __init__(self, database: Database) -> None:
        self._presence = Presence(database, WORKERS)

    async def workers(self) -> list[WorkerStatus]:
        """Return the workers, and those that were killed within the last day."""
        rows = await self._presence.seen()
        for row in rows:
            if row["silent"] > FORGOTTEN:
                await self._presence.forget(row["name"], row["seen_at"])
        return [_status(row) for row in rows if row["silent"] <= FORGOTTEN]

    async def listening(self) -> list[WorkerStatus]:
        """Return the workers that are alive."""
        return [worker for worker in await self.workers() if worker.alive]


def _status(row: Row) -> WorkerStatus:
    values: Row = row["values"]
    return WorkerStatus(
        name=row["name"],
        node=values["node"],
        alive=row["silent"] < SILENT,
        began_at=row["began_at"],
        seen_at=row["seen_at"],
        queues=tuple(values["queues"]),
        job_types=values["job_types"],
        concurrency=values["concurrency"],
        running=values["running"],
        figures=values["figures"],
    )
