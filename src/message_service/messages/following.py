"""The loop of a follower: read what is due, do the work, clear the marks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from message_service.catalogue.follower import Follower
from message_service.catalogue.queries.messages import MESSAGE_AT_REVISION
from message_service.database.bulk import TargetedUpdate
from message_service.database.store import Store
from message_service.database.wake import WakeUp
from message_service.documents.row import Row
from message_service.loops.loop import Loop

MESSAGES_CHANGED = {"operationType": {"$in": ["insert", "update", "replace"]}}
"""Which changes of `messages` wake a follower (a `$match` on change events)."""

_BATCH = 512


class MessageFollower(Loop):
    """Follows every change of every message, of all tenants.

    A subclass names itself and its declaration, and writes `follow`.

    Args:
        store: The database.
        poll: Seconds between looks at the work list when nothing wakes it.
    """

    follower: ClassVar[Follower]

    def __init__(self, store: Store, *, poll: float) -> None:
        self._store = store
        self.wake = WakeUp(store.database, "messages", MESSAGES_CHANGED, poll)

    @abstractmethod
    async def follow(self, messages: Sequence[Row]) -> None:
        """Do the work for these messages; it must be idempotent and may be ended at any `await`."""

    async def step(self) -> bool:
        """Follow a batch and clear its marks; False when nothing was due."""
        due = await self._store.find_everywhere(self.follower.work, limit=_BATCH, committed=True)
        if not due:
            return False
        await self.follow(due)
        clear = {"$unset": self.follower.cleared}
        await update_unchanged(self._store, [(message, clear) for message in due])
        return True


async def update_unchanged(store: Store, updates: Sequence[tuple[Row, Mapping[str, Any]]]) -> None:
    """Update messages as they were read; the revision stays.

    A message that changed meanwhile has another revision: it is left alone, and so keeps the mark
    of that change.

    Args:
        store: The database.
        updates: The message as read, and its update.
    """
    await store.update_each(
        MESSAGE_AT_REVISION,
        [
            TargetedUpdate(
                message["tenant_id"],
                {
                    "conversation_id": message["conversation_id"],
                    "message_id": message["message_id"],
                    "revision": message["revision"],
                },
                update,
            )
            for message, update in updates
        ],
    )
