"""The loop that brings messages into the counters of budgets."""

from __future__ import annotations

from message_service.catalogue.followers.usage import USAGE
from message_service.catalogue.queries.usage_counters import MESSAGE_COUNTED, USAGE_COUNTER
from message_service.database.bulk import TargetedUpdate
from message_service.database.store import Store
from message_service.database.transaction import Transaction
from message_service.database.wake import WakeUp
from message_service.documents.row import Row
from message_service.loops.loop import Loop
from message_service.stopping import StopSignal
from message_service.usage.counters import changes, counted_of

_BATCH = 512
_CHANGED = {"operationType": {"$in": ["insert", "update", "replace"]}}


class UsageCounting(Loop):
    """Counts the usage of messages of all tenants.

    Args:
        store: The database.
        poll: Seconds between looks at the work list when nothing wakes it.
    """

    name = "usage_counting"

    def __init__(self, store: Store, *, poll: float) -> None:
        self._store = store
        self.wake = WakeUp(store.database, "messages", _CHANGED, poll)
        self._counted = 0

    async def step(self) -> bool:
        """Count a batch; False when nothing was due.

        Reading, counting and noting are one transaction: a message whose figures change meanwhile
        makes the server run it again.
        """
        return await self._store.transaction(self._count) > 0

    async def drain(self, most: int | None = None, stop: StopSignal | None = None) -> int:
        """Count until nothing is due, without the lease; return how many messages were.

        Args:
            most: Stop after about this many; None goes on to the end.
            stop: Asks to stop after the step in progress.
        """
        begun = self._counted
        while not (stop is not None and stop.requested) and await self.step():
            if most is not None and self._counted - begun >= most:
                break
        return self._counted - begun

    def figures(self) -> dict[str, int]:
        """Return how many messages were counted."""
        return {"counted": self._counted}

    async def _count(self, transaction: Transaction) -> int:
        inside = self._store.within(transaction)
        due = await inside.find_everywhere(USAGE.work, limit=_BATCH)
        if not due:
            return 0
        await inside.update_each(
            USAGE_COUNTER,
            [
                TargetedUpdate(tenant_id, {"subject": subject, "date": day}, {"$inc": increments})
                for (tenant_id, subject, day), sums in changes(due).items()
                if (increments := sums.increments())
            ],
            upsert=True,
        )
        await inside.update_each(MESSAGE_COUNTED, [_noted(message) for message in due])
        transaction.after_commit(lambda: self._note(len(due)))
        return len(due)

    def _note(self, counted: int) -> None:
        self._counted += counted


def _noted(message: Row) -> TargetedUpdate:
    """Return the update that notes a message as counted."""
    return TargetedUpdate(
        message["tenant_id"],
        {"conversation_id": message["conversation_id"], "message_id": message["message_id"]},
        {
            "$set": {"token_usage.counted": counted_of(message["token_usage"])},
            "$unset": USAGE.cleared,
        },
    )
