"""Ids of search entries: in the order the messages were said, and the same whenever made again.

An entry's id begins with the second its message was said at, as every ObjectId does, and goes on
with a digest of the message's own ids. So the id alone orders entries by time, ends every index key
with something unique to page by, and a repeated indexing finds its entry.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

from message_service.database.encoding import object_id

_LATEST = 2**32 - 1


def entry_id(tenant_id: str, conversation_id: str, message_id: str, created_at: datetime) -> Any:
    """Return the id of a message's entry."""
    named = f"{tenant_id}\x1f{conversation_id}\x1f{message_id}".encode()
    return object_id(f"{_seconds(created_at):08x}{hashlib.sha256(named).hexdigest()[:16]}")


def first_id(moment: datetime) -> Any:
    """Return the lowest id an entry said at this moment or later can have."""
    return object_id(f"{_seconds(moment):08x}{'0' * 16}")


def _seconds(moment: datetime) -> int:
    # Moments before 1970 and after 2106 keep their entry, at the end of the order.
    return min(_LATEST, max(0, int(moment.timestamp())))
