"""The loop that brings messages into the counters of budgets; see `usage.counters`.

No transaction writes here: one whose client is killed would hold up every other change of its
messages for a minute, until the server gives it up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from message_service import errors
from message_service.catalogue.followers.usage import USAGE
from message_service.catalogue.queries.messages import MESSAGE_AT_USAGE
from message_service.catalogue.queries.usage_counters import (
    MESSAGE_COUNTED,
    USAGE_COUNTER,
    USAGE_COUNTER_AT_REVISION,
    USAGE_COUNTERS,
)
from message_service.database.bulk import TargetedUpdate
from message_service.database.store import Store
from message_service.database.transaction import Transaction
from message_service.database.wake import WakeUp
from message_service.documents.row import Row
from message_service.loops.backlog import BacklogLoop
from message_service.usage.counters import Counter, Key, counted_of, keys_of

_BATCH = 512
_CHANGED = {"operationType": {"$in": ["insert", "update", "replace"]}}


class UsageCounting(BacklogLoop):
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
        """Count a batch; False when nothing was due."""
        due, counters = await self._store.transaction(self._read)
        if not due:
            return False
        for message in due:
            for key in keys_of(message):
                counters[key].take_in(message)
        if await self._write(counters.values()):
            noted = await self._note(due)
            await self._drop(noted)
            self._counted += len(noted)
        return True

    @property
    def taken(self) -> int:
        """How many messages were counted."""
        return self._counted

    def figures(self) -> dict[str, int]:
        """Return how many messages were counted."""
        return {"counted": self._counted}

    async def _read(self, transaction: Transaction) -> tuple[list[Row], dict[Key, Counter]]:
        """Return what is due and its counters, in one snapshot.

        A message that waits there, and that no counter has applied there, is counted by nobody;
        that it stays so is ensured by the revisions of the counters.
        """
        inside = self._store.within(transaction)
        due = await inside.find_everywhere(USAGE.work, limit=_BATCH)
        keys = {key for message in due for key in keys_of(message)}
        counters = {key: Counter(key) for key in keys}
        if keys:
            for row in await inside.find_everywhere(USAGE_COUNTERS, keys=sorted(keys)):
                counter = Counter.of(row)
                counters[counter.key] = counter
        return due, counters

    async def _write(self, counters: Iterable[Counter]) -> bool:
        """Store counters; False when somebody else has changed one of them meanwhile."""
        several = list(counters)
        known = [counter for counter in several if counter.revision]
        fresh = [counter for counter in several if not counter.revision]
        found = 0
        if known:
            found = await self._store.update_each(
                USAGE_COUNTER_AT_REVISION,
                [
                    _on(counter.key, {"$set": counter.fields()}, revision=counter.revision)
                    for counter in known
                ],
            )
        refused = 0
        if fresh:
            documents = [
                dict(zip(("tenant_id", "subject", "date"), counter.key, strict=True))
                | counter.fields()
                for counter in fresh
            ]
            refusals = await self._store.insert(
                "usage_counters", documents, ordered=False, comment="usage_counters.begin"
            )
            for refusal in refusals:
                if not isinstance(refusal.error, errors.AlreadyExists):
                    raise refusal.error
            refused = len(refusals)
        return found == len(known) and not refused

    async def _note(self, due: Sequence[Row]) -> list[Row]:
        """Note what messages are counted for; return those that have not changed meanwhile."""
        updates = [
            _at(
                message,
                {
                    "$set": {"token_usage.counted": counted_of(message["token_usage"])},
                    "$unset": USAGE.cleared,
                },
            )
            for message in due
        ]
        if await self._store.update_each(MESSAGE_AT_USAGE, updates) == len(due):
            return [*due]
        return [message for message in due if await self._is_noted(message)]

    async def _is_noted(self, message: Row) -> bool:
        found = await self._store.scope(message["tenant_id"]).find_one(
            MESSAGE_COUNTED,
            committed=True,
            conversation_id=message["conversation_id"],
            message_id=message["message_id"],
        )
        fields: Row = {} if found is None else found["token_usage"]
        return fields.get("revision") == message["token_usage"]["revision"] and (
            fields.get("counted") == counted_of(message["token_usage"])
        )

    async def _drop(self, noted: Sequence[Row]) -> None:
        """Drop the notes of messages from their counters."""
        notes: dict[Key, list[Row]] = {}
        for message in noted:
            note = {
                "message_id": message["message_id"],
                "revision": message["token_usage"]["revision"],
            }
            for key in keys_of(message):
                notes.setdefault(key, []).append(note)
        updates = [
            _on(key, {"$pull": {"applied": {"$or": several}}, "$inc": {"revision": 1}})
            for key, several in notes.items()
        ]
        if updates:
            await self._store.update_each(USAGE_COUNTER, updates)


def _on(key: Key, update: Row, **guard: int) -> TargetedUpdate:
    tenant_id, subject, day = key
    return TargetedUpdate(tenant_id, {"subject": subject, "date": day, **guard}, update)


def _at(message: Row, update: Row) -> TargetedUpdate:
    return TargetedUpdate(
        message["tenant_id"],
        {
            "conversation_id": message["conversation_id"],
            "message_id": message["message_id"],
            "usage_revision": message["token_usage"]["revision"],
        },
        update,
    )
