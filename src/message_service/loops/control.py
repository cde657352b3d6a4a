"""How the loops of a database stand, and holding one of them up."""

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
    """One loop.

    Attributes:
        name: Its name.
        state: "working", "paused", or "idle" when no process runs it.
        holder: The process at work; None when there is none.
        since: When that process took over.
        worked_at: When a step last did something.
        steps: Steps done by the process that reported last.
        figures: What that process has done, by name.
        failures: Its steps that failed.
        failure: Why the last of those did: an error's code or type, or "stalled".
        failed_at: When.
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
        database: Where their leases are.
        names: The loops there are.
    """

    def __init__(self, database: Database, names: Sequence[str]) -> None:
        self._database = database
        self.names = tuple(names)

    async def status(self) -> list[LoopStatus]:
        """Return how each loop stands."""
        return [_status(name, await read_lease(self._database, name)) for name in self.names]

    async def pause(self, loop: str) -> None:
        """Have no process run a loop until `resume`; the one at work stops within seconds.

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
