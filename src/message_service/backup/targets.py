"""What a restore is asked for: the newest state, a moment, a point of the oplog, or a backup."""

from __future__ import annotations

import re
from datetime import datetime

from message_service import errors
from message_service.backup.recovery import Target
from message_service.backup.replay import Until
from message_service.clock import epoch_milliseconds
from message_service.database.point import OplogPoint

LATEST = "latest"
"""The newest state there is."""

_POINT = re.compile(r"(\d{10})[:-](\d{1,10})(?:-(\d+))?", re.ASCII)
_FULL = "full-"


def target_of(to: object, now: datetime) -> Target:
    """Return what is to be restored.

    Args:
        to: `latest`, a moment with its zone, a point or its text, or the name of a full backup.
        now: The present moment.

    Raises:
        InvalidInput: It is none of these, or lies in the future.
    """
    if isinstance(to, OplogPoint):
        return Target(None, Until(to, None))
    if isinstance(to, datetime):
        return Target(None, Until(None, _wall(to, now)))
    if isinstance(to, str):
        if to == LATEST:
            return Target(None, Until(None, None))
        if found := _POINT.fullmatch(to):
            seconds, increment, term = found.groups()
            return Target(
                None, Until(OplogPoint(int(seconds), int(increment), int(term or 0)), None)
            )
        if to.startswith(_FULL):
            return Target(to, Until(None, None))
        try:
            return Target(None, Until(None, _wall(datetime.fromisoformat(to), now)))
        except ValueError:
            pass
    raise errors.InvalidInput(
        "to",
        "is neither a moment, a point, a backup nor `latest`",
        "Give a moment such as 2026-11-28T10:30:00Z, SECONDS:INCREMENT, the name of a full "
        "backup, or latest",
    )


def _wall(moment: datetime, now: datetime) -> int:
    if moment.tzinfo is None:
        raise errors.InvalidInput("to", "has no time zone", "Add one, such as Z for UTC or +01:00")
    wall = epoch_milliseconds(moment)
    if wall > epoch_milliseconds(now):
        raise errors.InvalidInput("to", "is in the future", "Give a moment of the past")
    return wall
