"""The state of the loops of a database; pausing and resuming them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from message_service import errors
from message_service.database.client import Database
from message_service.database.lease import read_lease, set_paused
from message_service.documents.row import Row


@dataclass(frozen=True, slots=True)
class LoopStatus:
    """The state of one loop.

    Attributes:
        name: Its name.
        state: "working", "paused", or "idle" when no process runs it.
        holder: The process at work; None when there is none.
        since: When that process took over.
        worked_at: When a step last had work to do.
        steps: Steps done by the process that reported last.
        figures: Counts of that process, by name.
        failures: Its failed steps.
        failure: Reason of the last failure: an error's code or type, or "stalled".
        failed_at: Time of the last failure.
    """

    name: str
    state: str
    holder: str | None
    since: datetime | None
    worked_at: datetime | None
    steps: int
    figures: Mapping[str, int]
    failures: int
    failure: str | None
    failed_at: datetime | None

    def to_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return asdict(self)


class LoopControl:
    """The loops of one database.

    Args:
        database: The database.
        names: The names of the loops.
    """

    def __init__(self, database: Database, names: Sequence[str]) -> None:
        self._database = database
        self.names = tuple(names)

    async def status(self) -> list[LoopStatus]:
        """Return the state of each loop."""
        return [_status(name, await read_lease(self._database, name)) for name in self.names]

    async def pause(self, loop: str) -> None:
        """Keep every process from running a loop until `resume`; a running one stops in seconds.

        Raises:
            InvalidInput: There is no such loop.
        """
        await set_paused(self._database, self._known(loop), paused=True)

    async def resume(self, loop: str) -> None:
        """Let a paused loop run again.

        Raises:
            InvalidInput: There is no such loop.
        """
        await set_paused(self._database, self._known(loop), paused=False)

    def _known(self, loop: str) -> str:
        if not isinstance(loop, str) or loop not in self.names:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise errors.InvalidInput(
                "loop", "is not the name of a loop", f"Name one of: {', '.join(self.names)}"
            )
        return loop


def _status(name: str, lease: Row) -> LoopStatus:
    report: Row = lease.get("loop") or {}
    working = bool(lease.get("in_force"))
    return LoopStatus(
        name=name,
        state="paused" if lease.get("paused_at") else "working" if working else "idle",
        holder=lease["holder"] if working else None,
        since=lease["acquired_at"] if working else None,
        worked_at=report.get("worked_at"),
        steps=report.get("steps", 0),
        figures=report.get("figures", {}),
        failures=report.get("failures", 0),
        failure=report.get("failure"),
        failed_at=report.get("failed_at"),
    )
