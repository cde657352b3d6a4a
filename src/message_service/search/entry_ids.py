"""Ids of search entries: ordered by the time of the message, and derived from the message.

An entry's id begins with the second of its message's time, as every ObjectId does, and continues
with a digest of the message's own ids. So the id orders entries by time, makes every index key
unique for paging, and a repeated indexing finds the entry it wrote before.
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
