"""One round trip of the group commit: give numbers, insert, learn what was written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from message_service import errors
from message_service.catalogue.queries.messages import (
    MESSAGE_BY_ID,
    MESSAGES_BY_CLIENT_IDS,
    MESSAGES_BY_IDS,
)
from message_service.database.bulk import Refused
from message_service.database.store import Store
from message_service.documents.row import Row
from message_service.messages.incoming import Prepared
from message_service.messages.known_conversations import KnownConversation, KnownConversations
from message_service.messages.outcomes import (
    Appended,
    Outcome,
    appended,
    closed,
    duplicate_or_conflict,
    went_on,
)

TOO_LATE = "no answer from MongoDB before the deadline"
"""Why the fate of a message is unknown."""

_RETRY_PAUSE = 0.1


@dataclass(slots=True)
class Submission:
    """Messages of one conversation that must keep their order."""

    state: KnownConversation
    items: Sequence[Prepared]
    outcomes: list[Outcome | None]
    done: asyncio.Future[list[Outcome]]
    deadline: float
    after: int | None = None
    failure: str = ""
    given_up: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """Tenant and conversation."""
        return (self.state.tenant_id, self.state.conversation_id)

    def pending(self) -> list[int]:
        """Places of the messages that have no outcome yet."""
        return [place for place, outcome in enumerate(self.outcomes) if outcome is None]

    def fail(self, error: errors.MessageServiceError) -> None:
        """Give this error to all messages that have no outcome yet."""
        self.outcomes = [error if outcome is None else outcome for outcome in self.outcomes]

    def in_place(self, place: int) -> bool:
        """Whether the message before this one was, or is about to be, stored in its place."""
        before = self.outcomes[place - 1] if place else None
        return before is None or (isinstance(before, Appended) and not before.duplicate)

    def give_up(self, reason: str) -> None:
        """Answer the caller now: messages without an outcome may or may not be stored."""
        self.given_up = True
        if self.done.done():
            return
        self.outcomes = [
            self.fate_unknown(item, reason) if outcome is None else outcome
            for item, outcome in zip(self.items, self.outcomes, strict=True)
        ]
        self.done.set_result([outcome for outcome in self.outcomes if outcome is not None])

    def fate_unknown(self, item: Prepared, reason: str) -> Outcome:
        """Return the outcome of a message that may or may not be stored."""
        last = f"; the last failure was: {self.failure}" if self.failure else ""
        return errors.OutcomeUnknown(
            f"{reason}{last}. Repeating the call with the same client message id is safe",
            message_id=item.document["message_id"],
        )


Written = Callable[[KnownConversation, Row], None]
"""Told of each message written; must not block."""


@dataclass(slots=True)
class _Entry:
    submission: Submission
    place: int
    document: Row

    @property
    def item(self) -> Prepared:
        return self.submission.items[self.place]

    def settle(self, outcome: Outcome) -> None:
        self.submission.outcomes[self.place] = outcome


@dataclass(slots=True)
class Round:
    """One attempt to write a group; messages without an outcome are tried again."""

    store: Store
    known: KnownConversations
    written: Written
    group: list[Submission]
    limit: int
    entries: list[_Entry] = field(default_factory=list["_Entry"])

    async def write(self) -> None:
        """Insert as many of the waiting messages as one round trip may carry."""
        self._number()
        if not self.entries:
            return
        conversations = {entry.submission.key for entry in self.entries}
        # An ordered insert stops at the first refusal, so that no number is skipped. When no
        # conversation has two messages in the group, no number can be skipped in any order.
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
            # A state that was dropped from memory and read again may occur twice here.
            tails[key] = max(tails.get(key, 0), state.tail)
            for place in submission.pending():
                if len(self.entries) >= self.limit:
                    return
                prepared = submission.items[place]
                if state.archived and prepared.document["message_type"] != "tombstone":
                    submission.outcomes[place] = closed(state)
                    continue
                if submission.after is not None:
                    # The caller has seen that number, even if this process has not.
                    tails[key] = max(tails[key], submission.after)
                    if tails[key] != submission.after + place or not submission.in_place(place):
                        submission.outcomes[place] = went_on(state, tails[key])
                        continue
                number = tails[key] = tails[key] + 1
                document = prepared.placed(number, state.active_branch)
                self.entries.append(_Entry(submission, place, document))

    async def _settle(self, refused: list[Refused], ordered: bool) -> None:
        by_position = {refusal.position: refusal for refusal in refused}
        end = min(by_position) if ordered and by_position else len(self.entries)
        for position, entry in enumerate(self.entries[:end]):
            if position not in by_position:
                self._done(entry)
        stale: dict[int, KnownConversation] = {}
        for position, refusal in by_position.items():
            entry = self.entries[position]
            if "sequence_number" in refusal.fields:
                stale[id(entry.submission.state)] = entry.submission.state
            else:
                await self._refused(entry, refusal)
        if stale:
            await asyncio.gather(*(self.known.refresh(state) for state in stale.values()))

    def _done(self, entry: _Entry) -> None:
        state = entry.submission.state
        number: int = entry.document["sequence_number"]
        state.tail = max(state.tail, number)
        entry.settle(appended(entry.document, duplicate=False))
        self.written(state, entry.document)

    async def _refused(self, entry: _Entry, refusal: Refused) -> None:
        """Settle a message that the validator or another index than that of numbers refused."""
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
            entry.settle(appended(stored, duplicate=False))
            self.written(state, stored)
            return
        entry.settle(errors.AlreadyExists(f"message {message_id!r} exists already"))

    async def _learn_fate(self, error: errors.Unavailable) -> None:
        """After a write without an answer: look up what is stored, fail what is past its time."""
        for entry in self.entries:
            entry.submission.failure = error.message
        await asyncio.sleep(_RETRY_PAUSE)
        states = {id(entry.submission.state): entry.submission.state for entry in self.entries}
        for state in states.values():
            mine = [entry for entry in self.entries if entry.submission.state is state]
            try:
                stored = await self.store.scope(state.tenant_id).find(
                    MESSAGES_BY_IDS,
                    committed=True,
                    conversation_id=state.conversation_id,
                    message_ids=[entry.document["message_id"] for entry in mine],
                )
                await self.known.refresh(state)
            except errors.Unavailable:
                stored = []
            by_object: dict[Any, Row] = {row["_id"]: row for row in stored}
            for entry in mine:
                row = by_object.get(entry.document.get("_id"))
                if row is not None:
                    entry.settle(appended(row, duplicate=False))
                    self.written(state, row)
        now = asyncio.get_running_loop().time()
        for entry in self.entries:
            late = entry.submission.deadline < now
            if late and entry.submission.outcomes[entry.place] is None:
                entry.settle(entry.submission.fate_unknown(entry.item, TOO_LATE))
