"""Group commit: concurrent appends share a round trip, and the insert takes the number.

A message takes the number after the highest known number. The unique index (conversation, tenant,
number) accepts one writer; the others read the highest number again and try the next. So a number
exists only together with its document: there is no counter that could disagree with the messages,
no hole when a process dies, and number n is never visible before n-1. Within a process, the appends
of a conversation go through one lane, which has one round trip in flight; messages that arrive
during it are sent with the next one.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence

from message_service import errors
from message_service.database.scope import Scope
from message_service.database.store import Store
from message_service.database.transaction import Transaction
from message_service.messages.append_within import append_within
from message_service.messages.incoming import Prepared
from message_service.messages.known_conversations import KnownConversation, KnownConversations
from message_service.messages.outcomes import Appended, Outcome
from message_service.messages.write_round import TOO_LATE, Round, Submission, Written
from message_service.stopping import end_tasks

_LOG = logging.getLogger(__name__)
_OF_THE_STORE = (errors.PermissionDenied, errors.StorageFull, errors.Unsupported)
"""Refusals that no single message is the reason of: trying each by itself would only add load."""
_MAX_BATCH_CHARACTERS = 4_000_000
_CLOSED = "the service was closed before MongoDB answered"


class Appender:
    """Writes messages in numbered order.

    Args:
        store: The database.
        known: The remembered conversations.
        written: Called for every message written.
        lanes: Round trips in flight at once.
        batch: Most messages one round trip carries.
        deadline: Seconds a write is retried through failover.
    """

    def __init__(
        self,
        store: Store,
        known: KnownConversations,
        written: Written,
        *,
        lanes: int,
        batch: int,
        deadline: float,
    ) -> None:
        self._known = known
        self._written = written
        self._deadline = deadline
        self._lanes = [_Lane(store, known, written, batch) for _ in range(lanes)]

    async def append(
        self, state: KnownConversation, items: Sequence[Prepared], *, after: int | None = None
    ) -> list[Outcome]:
        """Write messages of one conversation in order, and return the outcome of each.

        Cancelling the caller does not undo a write that is in flight.

        Args:
            state: The conversation.
            items: The messages.
            after: The number the messages must directly follow. If another writer has taken the
                next number, the outcome is `VersionConflict`. None takes the next free numbers.

        Raises:
            OutcomeUnknown: No answer arrived before the deadline; the messages may be stored.
            Unavailable: The database could not be reached before the deadline.
        """
        loop = asyncio.get_running_loop()
        submission = Submission(
            state=state,
            items=items,
            outcomes=[None] * len(items),
            done=loop.create_future(),
            deadline=loop.time() + self._deadline,
            after=after,
        )
        lane = self._lanes[hash(state.conversation_id) % len(self._lanes)]
        lane.enqueue(submission)
        # A timer, because a round trip to a silent server lasts longer than the deadline.
        timer = loop.call_at(submission.deadline, submission.give_up, TOO_LATE)
        try:
            return await submission.done
        finally:
            timer.cancel()

    async def append_within(
        self,
        transaction: Transaction,
        scope: Scope,
        state: KnownConversation,
        items: Sequence[Prepared],
        *,
        after: int | None = None,
    ) -> list[Appended]:
        """Write messages of one conversation as part of a transaction.

        Args and errors are those of `append_within.append_within`.
        """
        outcomes, documents = await append_within(scope, state, items, after)

        def committed() -> None:
            shared = self._known.peek(state.tenant_id, state.conversation_id) or state
            for document in documents:
                # A memory that is further behind stays so: what was announced between is read when
                # its next number is found taken.
                if shared.tail == document["sequence_number"] - 1:
                    shared.tail += 1
                self._written(shared, document)

        transaction.after_commit(committed)
        return outcomes

    async def drain(self) -> None:
        """Wait until no write is in flight."""
        for lane in self._lanes:
            await lane.drain()

    async def close(self) -> None:
        """End writes that are in flight; callers still waiting get `OutcomeUnknown`."""
        for lane in self._lanes:
            await lane.close()


class _Lane:
    """One shared round trip at a time."""

    def __init__(
        self, store: Store, known: KnownConversations, written: Written, batch: int
    ) -> None:
        self._store = store
        self._known = known
        self._written = written
        self._batch = batch
        self._queue: deque[Submission] = deque()
        self._under_way: list[Submission] = []
        self._runner: asyncio.Task[None] | None = None

    def enqueue(self, submission: Submission) -> None:
        self._queue.append(submission)
        if self._runner is None or self._runner.done():
            self._runner = asyncio.create_task(self._run())

    async def drain(self) -> None:
        while self._runner is not None and not self._runner.done():
            await asyncio.wait([self._runner])

    async def close(self) -> None:
        if self._runner is not None:
            await end_tasks((self._runner,))
        for submission in (*self._under_way, *self._queue):
            submission.give_up(_CLOSED)
        self._under_way = []
        self._queue.clear()

    async def _run(self) -> None:
        while self._queue:
            group = self._under_way = self._take()
            try:
                await self._round(group, self._batch)
            except _OF_THE_STORE as error:
                for submission in group:
                    submission.fail(error)
            except Exception as error:
                # One message may be the cause: the others must still be written.
                _LOG.warning("writing message by message after %s", type(error).__name__)
                await self._one_by_one(group)
            unfinished: list[Submission] = []
            for submission in group:
                if submission.given_up:
                    continue
                if submission.pending():
                    unfinished.append(submission)
                elif not submission.done.done():
                    submission.done.set_result(
                        [outcome for outcome in submission.outcomes if outcome is not None]
                    )
            self._queue.extendleft(reversed(unfinished))

    async def _round(self, group: list[Submission], limit: int) -> None:
        await Round(self._store, self._known, self._written, group, limit).write()

    async def _one_by_one(self, group: list[Submission]) -> None:
        """Write the messages one by one, so that the failure of one does not affect the others."""
        for submission in group:
            while not submission.given_up and (pending := submission.pending()):
                try:
                    await self._round([submission], 1)
                except errors.MessageServiceError as error:
                    submission.outcomes[pending[0]] = error
                except Exception as error:
                    _LOG.error("a message could not be written: %s", errors.trace_of(error))
                    submission.outcomes[pending[0]] = errors.Internal(
                        f"the message could not be written: {type(error).__name__}"
                    )

    def _take(self) -> list[Submission]:
        """Take what one round trip may carry, at least one submission."""
        group: list[Submission] = []
        count = characters = 0
        while self._queue and count < self._batch and characters < _MAX_BATCH_CHARACTERS:
            submission = self._queue.popleft()
            if submission.given_up:
                continue
            group.append(submission)
            waiting = submission.pending()[: self._batch]
            count += len(waiting)
            characters += sum(
                submission.items[place].document["content"]["character_count"] for place in waiting
            )
        return group
