"""Group commit: concurrent appends share a round trip, and the insert itself gives the number.

A message takes the number after the highest one known; the unique index (conversation, tenant,
number) lets one writer have it, and the others read the tail and try the next. So a number exists
only with its document: no counter to fall out of step, no hole when a process dies, and number n is
never visible before n-1. Within a process the appends of a conversation run through one lane, one
round trip at a time; what arrives meanwhile goes together with the next.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from message_service import errors
from message_service.catalogue.queries.messages import (
    MESSAGE_BY_ID,
    MESSAGES_BY_CLIENT_IDS,
    MESSAGES_BY_IDS,
)
from message_service.database.store import Refused, Store
from message_service.messages import integrity
from message_service.messages.conversation_state import ConversationState, ConversationStates
from message_service.messages.incoming import Prepared, Row
from message_service.stopping import end_tasks

_LOG = logging.getLogger(__name__)
_OF_THE_STORE = (errors.PermissionDenied, errors.StorageFull, errors.Unsupported)
"""Refusals that no single message is the reason of: trying each by itself would only add load."""
_MAX_BATCH_CHARACTERS = 4_000_000
_RETRY_PAUSE = 0.1
_TOO_LATE = "no answer from MongoDB before the deadline"
_CLOSED = "the service was closed before MongoDB answered"


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of one message.

    Attributes:
        message_id: Its id (of the first one stored, for a duplicate).
        conversation_id: Its conversation.
        sequence_number: Its number in the conversation, from 1.
        branch: The branch it lies on.
        created_at: When it was said.
        duplicate: Whether it was stored before under the same client message id.
    """

    message_id: str
    conversation_id: str
    sequence_number: int
    branch: str
    created_at: datetime
    duplicate: bool


Outcome = Appended | errors.MessageServiceError


@dataclass(slots=True)
class _Submission:
    """Messages of one conversation that must keep their order."""

    state: ConversationState
    items: Sequence[Prepared]
    outcomes: list[Outcome | None]
    done: asyncio.Future[list[Outcome]]
    deadline: float
    after: int | None = None
    failure: str = ""
    given_up: bool = False

    @property
    def key(self) -> tuple[str, str]:
        return (self.state.tenant_id, self.state.conversation_id)

    def pending(self) -> list[int]:
        return [place for place, outcome in enumerate(self.outcomes) if outcome is None]

    def fail(self, error: errors.MessageServiceError) -> None:
        """Give what has no outcome yet this one."""
        self.outcomes = [error if outcome is None else outcome for outcome in self.outcomes]

    def in_place(self, place: int) -> bool:
        """Whether the message before this one was, or is about to be, stored where it should."""
        before = self.outcomes[place - 1] if place else None
        return before is None or (isinstance(before, Appended) and not before.duplicate)

    def give_up(self, reason: str) -> None:
        """Tell the caller now: what has no outcome yet may or may not be stored."""
        self.given_up = True
        if self.done.done():
            return
        self.outcomes = [
            self.fate_unknown(item, reason) if outcome is None else outcome
            for item, outcome in zip(self.items, self.outcomes, strict=True)
        ]
        self.done.set_result([outcome for outcome in self.outcomes if outcome is not None])

    def fate_unknown(self, item: Prepared, reason: str) -> Outcome:
        last = f"; the last failure was: {self.failure}" if self.failure else ""
        return errors.OutcomeUnknown(
            f"{reason}{last}. Repeating the call with the same client message id is safe",
            message_id=item.document["message_id"],
        )


Written = Callable[[ConversationState, Row], None]
"""Told of each message written; must not block."""


class Appender:
    """Writes messages in numbered order.

    Args:
        store: The database.
        states: What is remembered of conversations.
        written: Called for every message written.
        lanes: Round trips in flight at once.
        batch: Most messages one round trip carries.
        deadline: Seconds a write is retried through failover.
    """

    def __init__(
        self,
        store: Store,
        states: ConversationStates,
        written: Written,
        *,
        lanes: int,
        batch: int,
        deadline: float,
    ) -> None:
        self._deadline = deadline
        self._lanes = [_Lane(store, states, written, batch) for _ in range(lanes)]

    async def append(
        self, state: ConversationState, items: Sequence[Prepared], *, after: int | None = None
    ) -> list[Outcome]:
        """Write messages of one conversation in order, and return what became of each.

        Cancelling the caller does not take back what is under way.

        Args:
            state: The conversation.
            items: The messages.
            after: The number they must come right behind, without a gap: those that cannot, since
                somebody else has written, become `VersionConflict`. None takes the next free ones.

        Raises:
            OutcomeUnknown: Their fate could not be learned before the deadline.
            Unavailable: The database could not be reached before the deadline.
        """
        loop = asyncio.get_running_loop()
        submission = _Submission(
            state=state,
            items=items,
            outcomes=[None] * len(items),
            done=loop.create_future(),
            deadline=loop.time() + self._deadline,
            after=after,
        )
        lane = self._lanes[hash(state.conversation_id) % len(self._lanes)]
        lane.enqueue(submission)
        # By the clock: a round trip to a server that went silent lasts longer than the deadline.
        timer = loop.call_at(submission.deadline, submission.give_up, _TOO_LATE)
        try:
            return await submission.done
        finally:
            timer.cancel()

    async def drain(self) -> None:
        """Wait until nothing is under way."""
        for lane in self._lanes:
            await lane.drain()

    async def close(self) -> None:
        """End what is under way; callers still waiting learn that its fate is unknown."""
        for lane in self._lanes:
            await lane.close()


class _Lane:
    """One shared round trip at a time."""

    def __init__(
        self, store: Store, states: ConversationStates, written: Written, batch: int
    ) -> None:
        self._store = store
        self._states = states
        self._written = written
        self._batch = batch
        self._queue: deque[_Submission] = deque()
        self._under_way: list[_Submission] = []
        self._runner: asyncio.Task[None] | None = None

    def enqueue(self, submission: _Submission) -> None:
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
                # One message may be at fault, whatever it is: the others must not pay for it.
                _LOG.warning("writing message by message after %s", type(error).__name__)
                await self._one_by_one(group)
            unfinished: list[_Submission] = []
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

    async def _round(self, group: list[_Submission], limit: int) -> None:
        await _Round(self._store, self._states, self._written, group, limit).write()

    async def _one_by_one(self, group: list[_Submission]) -> None:
        """Write message by message; the failure of one is its own."""
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

    def _take(self) -> list[_Submission]:
        """Take what one round trip may carry, at least one submission."""
        group: list[_Submission] = []
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


@dataclass(slots=True)
class _Entry:
    submission: _Submission
    place: int
    document: Row

    @property
    def item(self) -> Prepared:
        return self.submission.items[self.place]

    def settle(self, outcome: Outcome) -> None:
        self.submission.outcomes[self.place] = outcome


@dataclass(slots=True)
class _Round:
    """One attempt to write a group; what it leaves unsettled is tried again."""

    store: Store
    states: ConversationStates
    written: Written
    group: list[_Submission]
    limit: int
    entries: list[_Entry] = field(default_factory=list["_Entry"])

    async def write(self) -> None:
        self._number()
        if not self.entries:
            return
        conversations = {entry.submission.key for entry in self.entries}
        # In order, a refusal leaves nothing behind it, so that no number is skipped. When no
        # conversation has two messages here there is nothing behind, and order need not be kept.
        ordered = len(conversations) < len(self.entries)
        try:
            refused = await self.store.insert(
                "messages",
                [entry.document for entry in self.entries],
                ordered=ordered,
                comment="messages.append",
            )
        except errors.Unavailable as error:
            await self._learn_fate(error)
            return
        await self._settle(refused, ordered)

    def _number(self) -> None:
        """Give every waiting message the number it will try to take."""
        tails: dict[tuple[str, str], int] = {}
        for submission in self.group:
            state, key = submission.state, submission.key
            # A state dropped from memory and read again may stand here twice.
            tails[key] = max(tails.get(key, 0), state.tail)
            for place in submission.pending():
                if len(self.entries) >= self.limit:
                    return
                prepared = submission.items[place]
                document = prepared.document
                if state.archived and document["message_type"] != "tombstone":
                    submission.outcomes[place] = errors.ConversationClosed(
                        f"conversation {state.conversation_id!r} is archived; "
                        "set its state to 'active' to append to it"
                    )
                    continue
                if submission.after is not None:
                    # Who says so has seen that number, even where this process has not.
                    tails[key] = max(tails[key], submission.after)
                    if tails[key] != submission.after + place or not submission.in_place(place):
                        submission.outcomes[place] = _went_on(state, tails[key])
                        continue
                number = tails[key] = tails[key] + 1
                document["sequence_number"] = number
                document["relationships"]["conversation_branch"] = (
                    prepared.branch or state.active_branch
                )
                document["checksum"] = integrity.checksum(document)
                self.entries.append(_Entry(submission, place, document))

    async def _settle(self, refused: list[Refused], ordered: bool) -> None:
        by_position = {refusal.position: refusal for refusal in refused}
        end = min(by_position) if ordered and by_position else len(self.entries)
        for position, entry in enumerate(self.entries[:end]):
            if position not in by_position:
                self._done(entry)
        stale: dict[int, ConversationState] = {}
        for position, refusal in by_position.items():
            entry = self.entries[position]
            if "sequence_number" in refusal.fields:
                stale[id(entry.submission.state)] = entry.submission.state
            else:
                await self._refused(entry, refusal)
        if stale:
            await asyncio.gather(*(self.states.refresh(state) for state in stale.values()))

    def _done(self, entry: _Entry) -> None:
        state = entry.submission.state
        number: int = entry.document["sequence_number"]
        state.tail = max(state.tail, number)
        entry.settle(_appended(entry.document, duplicate=False))
        self.written(state, entry.document)

    async def _refused(self, entry: _Entry, refusal: Refused) -> None:
        """Settle a message that met another index than the numbers', or the validator."""
        if not isinstance(refusal.error, errors.AlreadyExists):
            entry.settle(refusal.error)
            return
        state = entry.submission.state
        scope = self.store.scope(state.tenant_id)
        key = entry.item.client_msg_id
        if key is not None:
            [*found] = await scope.find(
                MESSAGES_BY_CLIENT_IDS,
                conversation_id=state.conversation_id,
                client_msg_ids=[key],
            )
            if found:
                entry.settle(duplicate_or_conflict(entry.item, found[0]))
                return
        message_id = entry.document["message_id"]
        stored = await scope.find_one(
            MESSAGE_BY_ID, conversation_id=state.conversation_id, message_id=message_id
        )
        if stored is not None and stored["_id"] == entry.document["_id"]:
            # Our own write of an earlier attempt whose answer was lost.
            entry.settle(_appended(stored, duplicate=False))
            self.written(state, stored)
            return
        entry.settle(errors.AlreadyExists(f"message {message_id!r} exists already"))

    async def _learn_fate(self, error: errors.Unavailable) -> None:
        """After a write without an answer, find out what is in; fail what is past its deadline."""
        for entry in self.entries:
            entry.submission.failure = error.message
        await asyncio.sleep(_RETRY_PAUSE)
        states = {id(e.submission.state): e.submission.state for e in self.entries}
        for state in states.values():
            mine = [entry for entry in self.entries if entry.submission.state is state]
            try:
                stored = await self.store.scope(state.tenant_id).find(
                    MESSAGES_BY_IDS,
                    committed=True,
                    conversation_id=state.conversation_id,
                    message_ids=[entry.document["message_id"] for entry in mine],
                )
                await self.states.refresh(state)
            except errors.Unavailable:
                stored = []
            by_object: dict[Any, Row] = {row["_id"]: row for row in stored}
            for entry in mine:
                row = by_object.get(entry.document.get("_id"))
                if row is not None:
                    entry.settle(_appended(row, duplicate=False))
                    self.written(state, row)
        now = asyncio.get_running_loop().time()
        for entry in self.entries:
            late = entry.submission.deadline < now
            if late and entry.submission.outcomes[entry.place] is None:
                entry.settle(entry.submission.fate_unknown(entry.item, _TOO_LATE))


def _went_on(state: ConversationState, tail: int) -> errors.VersionConflict:
    return errors.VersionConflict(
        f"conversation {state.conversation_id!r} went on to number {tail} meanwhile; read it again",
        sequence_number=tail,
    )


def duplicate_or_conflict(item: Prepared, stored: Row) -> Outcome:
    """Return the first result for a repeated request, or the conflict for another request."""
    first: Row = stored.get("client_metadata") or {}
    again: Row = item.document["client_metadata"]
    fields: Row = first.get("request_fields") or {}
    settled = (
        ("message_id", item.named_id, stored["message_id"]),
        ("created_at", item.named_date, stored["timestamps"]["created_at"]),
        ("branch", item.branch, stored["relationships"]["conversation_branch"]),
    )
    other = [name for name, named, was in settled if named is not None and named != was]
    other += [
        name
        for name, digest in again.get("request_fields", {}).items()
        if digest != fields.get(name)
    ]
    if first.get("content_fingerprint") == again["content_fingerprint"] and not other:
        return _appended(stored, duplicate=True)
    return errors.IdempotencyConflict(
        f"client message id {item.client_msg_id!r} was used before with "
        + (f"another {other[0]}" if other else "other content"),
        message_id=stored["message_id"],
        sequence_number=stored["sequence_number"],
    )


def _appended(document: Row, *, duplicate: bool) -> Appended:
    return Appended(
        message_id=document["message_id"],
        conversation_id=document["conversation_id"],
        sequence_number=document["sequence_number"],
        branch=document["relationships"]["conversation_branch"],
        created_at=document["timestamps"]["created_at"],
        duplicate=duplicate,
    )
