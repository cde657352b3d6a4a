"""Updates last number, last message and months of conversations after appends.

Lists show these fields; the messages are authoritative. Updates are gathered and written a few
times a second, so that they cost little compared with the appends. They only ever move forward.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import datetime

from message_service import errors
from message_service.catalogue.queries.conversations import CONVERSATION_BEHIND, CONVERSATION_BY_ID
from message_service.clock import Clock, month_of
from message_service.database.bulk import TargetedUpdate
from message_service.database.store import Store
from message_service.documents.message import MessageStatus
from message_service.documents.row import Row
from message_service.loops.loop import Bell, Loop
from message_service.loops.runner import LoopRunner
from message_service.messages.known_conversations import KnownConversation
from message_service.messages.parts import said
from message_service.stopping import StopSignal, end_tasks

_LOG = logging.getLogger(__name__)
_PAUSE = 0.25
_PREVIEW = 200

LISTED = (MessageStatus.ACTIVE, MessageStatus.ARCHIVED, MessageStatus.FLAGGED)
"""The statuses of messages that lists may show as a conversation's last one."""


@dataclass(slots=True)
class _Newest:
    """What is to be written of one conversation.

    Attributes:
        number: The highest number written.
        shown: The newest written message that lists may show.
    """

    number: int = 0
    shown: Row | None = None

    def see(self, document: Row) -> None:
        """Add a written message."""
        number: int = document["sequence_number"]
        self.number = max(self.number, number)
        if _has_glance(document) and (self.shown is None or self.shown["sequence_number"] < number):
            self.shown = document

    def take_in(self, other: _Newest) -> None:
        """Add what another note knows."""
        if other.shown is not None:
            self.see(other.shown)
        self.number = max(self.number, other.number)

    def fields(self) -> Row:
        """Return the fields of the conversation."""
        number: Row = {"last_sequence_number": self.number}
        if self.shown is None:
            return number
        return number | glance(
            self.shown["message_id"],
            self.shown["role"],
            said(self.shown["content"]),
            self.shown["timestamps"]["created_at"],
        )


class ConversationSummaries(Loop):
    """Gathers written messages and updates their conversations.

    Args:
        store: The database.
        clock: The present moment, for `updated_at`.
    """

    name = "conversation_summaries"

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._waiting: dict[tuple[str, str], _Newest] = {}
        self._months: dict[tuple[str, str], set[str]] = {}
        self.wake = self._noted = Bell()
        self._runner = LoopRunner(self, None, clock)
        self._running: asyncio.Task[bool] | None = None
        self._stop = StopSignal()
        self._write_lock = asyncio.Lock()

    def note(self, state: KnownConversation, document: Row) -> None:
        """Remember a written message for the next update."""
        key = (state.tenant_id, state.conversation_id)
        newest = self._waiting.get(key)
        if newest is None:
            newest = self._waiting[key] = _Newest()
        newest.see(document)
        month = month_of(document["timestamps"]["created_at"])
        if month not in state.months:
            state.months.add(month)
            self._months.setdefault(key, set()).add(month)
        self._noted.ring()
        if self._running is None and not self._stop.requested:
            self._running = asyncio.create_task(self._runner.run(self._stop))

    async def settle(self, tenant_id: str, conversation_id: str) -> None:
        """Write the remembered updates of a conversation, if there are any.

        Raises:
            Unavailable: The database cannot be reached; the notes are kept.
        """
        if self._write_lock.locked() or (tenant_id, conversation_id) in self._waiting:
            await self.flush()

    async def flush(self) -> None:
        """Write all remembered updates.

        Raises:
            Unavailable: The database cannot be reached; the notes are kept.
        """
        async with self._write_lock:
            waiting, self._waiting = self._waiting, {}
            months, self._months = self._months, {}
            if not waiting:
                return
            try:
                await self._write_each(waiting, months)
            except BaseException:  # a cancellation too must not lose them
                for key, newest in waiting.items():
                    self._waiting.setdefault(key, _Newest()).take_in(newest)
                for key, values in months.items():
                    self._months.setdefault(key, set()).update(values)
                raise

    async def close(self) -> None:
        """Write the remaining updates and stop.

        Raises:
            Unavailable: The database cannot be reached; lists show these conversations as they
                were until their next message.
        """
        self._stop.request()
        try:
            if self._running is not None:
                await asyncio.wait((self._running,))
            await self.flush()
        finally:
            if self._running is not None:
                await end_tasks((self._running,))

    async def step(self) -> bool:
        """Gather for a moment, then write the remembered updates."""
        if self._waiting:
            await self._stop.pause(_PAUSE)
            await self.flush()
        return bool(self._waiting)

    async def _write_each(
        self,
        waiting: dict[tuple[str, str], _Newest],
        months: dict[tuple[str, str], set[str]],
    ) -> None:
        """Write all updates in one round trip; if the server refuses, write them one by one."""
        try:
            await self._write(waiting, months)
        except errors.Unavailable:
            raise
        except errors.MessageServiceError as error:
            if len(waiting) > 1:
                for key, note in waiting.items():
                    own = {key: months[key]} if key in months else {}
                    await self._write_each({key: note}, own)
                return
            # Lists go on showing this conversation as it was; no message is lost.
            [(_, conversation_id)] = waiting
            _LOG.error("summary of %s not written: %s", conversation_id, error.code)

    async def _write(
        self,
        waiting: dict[tuple[str, str], _Newest],
        months: dict[tuple[str, str], set[str]],
    ) -> None:
        now = self._clock.now()
        moves: list[TargetedUpdate] = []
        for (tenant_id, conversation_id), newest in waiting.items():
            moves.append(
                TargetedUpdate(
                    tenant_id,
                    {"conversation_id": conversation_id, "number": newest.number},
                    {"$set": {**newest.fields(), "updated_at": now}},
                )
            )
        await self._store.update_each(CONVERSATION_BEHIND, moves)
        additions = [
            TargetedUpdate(
                tenant_id,
                {"conversation_id": conversation_id},
                {"$addToSet": {"months": {"$each": sorted(values)}}},
            )
            for (tenant_id, conversation_id), values in months.items()
        ]
        if additions:
            await self._store.update_each(CONVERSATION_BY_ID, additions)


def glance(message_id: str, role: str, text: str, created_at: datetime) -> Row:
    """Return the fields a conversation shows of its last message."""
    return {
        "last_message": {
            "message_id": message_id,
            "role": role,
            "preview": text[:_PREVIEW],
            "created_at": created_at,
        },
        "last_activity_at": created_at,
    }


def _has_glance(document: Row) -> bool:
    """Whether a message is shown in lists as the last message."""
    return document["message_type"] != "tombstone" and document["status"] in LISTED
