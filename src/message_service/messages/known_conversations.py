"""The conversations a process remembers between appends.

A remembered state may be of any age, because an insert takes the message's number: if another
process has written since, the unique index refuses the insert, and the state is read again.
Changes that appenders must respect (the active branch, archiving) take a number too, by a
tombstone that says so, and are noticed in the same way. See decision 3.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field, replace

from message_service import errors
from message_service.catalogue.queries.conversations import (
    BRANCHES_OF_CONVERSATION,
    CONVERSATION_BY_ID,
)
from message_service.catalogue.queries.messages import CONVERSATION_TAIL, Segment
from message_service.database.scope import Scope
from message_service.database.store import Store
from message_service.documents.conversation import MAIN_BRANCH
from message_service.documents.row import Row
from message_service.stopping import end_tasks

FULL_SPAN = 2**62
"""Above every sequence number."""


@dataclass(slots=True)
class KnownConversation:
    """One conversation as last read.

    Attributes:
        tail: The highest sequence number known to be taken.
        branches: By name, the parent branch and the last number shared with it.
        months: Months (`202501`) already recorded on the conversation.
        read_at: Loop time when this was read.
    """

    tenant_id: str
    conversation_id: str
    user_id: str
    character_id: str | None
    archived: bool
    active_branch: str
    tail: int
    read_at: float
    branches: dict[str, tuple[str, int]] | None = None
    months: set[str] = field(default_factory=set[str])

    def segments(self, branch: str) -> list[Segment]:
        """Return the stretches that make up a branch, newest first.

        Raises:
            NotFound: There is no such branch.
        """
        found: list[Segment] = []
        up_to = FULL_SPAN
        while branch != MAIN_BRANCH:
            if self.branches is None or branch not in self.branches:
                raise errors.NotFound("branch", branch)
            parent, fork = self.branches[branch]
            # A branch has no number at or below its fork; the bound keeps the index walk short.
            if up_to > fork:
                found.append((branch, fork, up_to))
            branch, up_to = parent, min(up_to, fork)
        found.append((MAIN_BRANCH, 0, up_to))
        return found


class KnownConversations:
    """The remembered conversations of one process, least recently used dropped first.

    Args:
        store: The database.
        capacity: How many are remembered.
    """

    def __init__(self, store: Store, capacity: int) -> None:
        self._store = store
        self._capacity = capacity
        self._known: OrderedDict[tuple[str, str], KnownConversation] = OrderedDict()
        self._reading: dict[tuple[str, str], asyncio.Task[KnownConversation]] = {}

    async def get(
        self,
        tenant_id: str,
        conversation_id: str,
        *,
        branch: str | None = None,
        max_age: float | None = None,
    ) -> KnownConversation:
        """Return a conversation's state, read now if it is not remembered.

        Args:
            tenant_id: The tenant.
            conversation_id: The conversation.
            branch: A branch the state must know of, when it exists.
            max_age: Read anew when the memory is older than this, in seconds.

        Raises:
            NotFound: The tenant has no such conversation.
        """
        key = (tenant_id, conversation_id)
        state = self._known.get(key)
        if state is None:
            state = await self._first(key)
        else:
            self._known.move_to_end(key)
            if max_age is not None and asyncio.get_running_loop().time() - state.read_at > max_age:
                scope = self._store.scope(tenant_id)
                self._learn(state, await self._conversation(scope, conversation_id))
        await self.know_branch(state, branch or state.active_branch)
        return state

    async def inside(
        self, scope: Scope, conversation_id: str, *, tail: int | None = None
    ) -> KnownConversation:
        """Return a conversation's state as a transaction sees it; it is not remembered.

        Args:
            scope: The tenant's scope inside the transaction.
            conversation_id: The conversation.
            tail: Its highest number, if the transaction has read it.

        Raises:
            NotFound: The tenant has no such conversation.
        """
        if tail is None:
            tail = await self._tail(scope, conversation_id)
        known = self.peek(scope.tenant_id, conversation_id)
        if known is not None and known.tail == tail > 0:  # so there is no change it has not seen
            return replace(known, months=set(known.months))
        state = await self._of(scope, conversation_id, tail)
        await self._know_branch(scope, state, state.active_branch)
        return state

    def peek(self, tenant_id: str, conversation_id: str) -> KnownConversation | None:
        """Return the state if it is remembered."""
        return self._known.get((tenant_id, conversation_id))

    def remember(self, state: KnownConversation) -> None:
        """Remember a state (of a conversation just created, or just read)."""
        self._known[(state.tenant_id, state.conversation_id)] = state
        self._forget()

    async def line(self, scope: Scope, conversation_id: str, branch: str) -> list[Segment]:
        """Return the stretches that make up a branch; the main one is known without a read.

        Args:
            scope: The tenant's scope.
            conversation_id: The conversation; it need not exist for the main branch.
            branch: The branch.

        Raises:
            NotFound: The tenant has no such conversation, or that no such branch.
        """
        if branch == MAIN_BRANCH:
            return [(MAIN_BRANCH, 0, FULL_SPAN)]
        state = await self.get(scope.tenant_id, conversation_id, branch=branch)
        return state.segments(branch)

    async def refresh(self, state: KnownConversation) -> None:
        """Read a state again, in place, so that everyone who holds it sees the change."""
        # The tail first: a change to the conversation is written before the number announcing it,
        # so whoever has seen that number reads the change.
        scope = self._store.scope(state.tenant_id)
        tail = await self._tail(scope, state.conversation_id)
        row = await self._conversation(scope, state.conversation_id)
        state.tail = tail
        self._learn(state, row)
        await self.know_branch(state, state.active_branch)

    async def renew(self, tenant_id: str, conversation_id: str) -> None:
        """Remember a conversation as it is now.

        Raises:
            NotFound: The tenant has no such conversation.
        """
        state = self.peek(tenant_id, conversation_id)
        if state is None:
            await self.get(tenant_id, conversation_id)
        else:
            await self.refresh(state)

    async def close(self) -> None:
        """End reads in flight; their callers get `Unavailable`."""
        await end_tasks(tuple(self._reading.values()))

    async def know_branch(self, state: KnownConversation, branch: str) -> None:
        """Make sure `branch` is among the state's branches if it exists."""
        await self._know_branch(self._store.scope(state.tenant_id), state, branch)

    async def _know_branch(self, scope: Scope, state: KnownConversation, branch: str) -> None:
        if branch == MAIN_BRANCH or (state.branches is not None and branch in state.branches):
            return
        rows = await scope.find(BRANCHES_OF_CONVERSATION, conversation_id=state.conversation_id)
        state.branches = {
            row["branch"]: (row["parent_branch"], row["fork_sequence"]) for row in rows
        }

    async def _first(self, key: tuple[str, str]) -> KnownConversation:
        """Read a state that is not remembered; concurrent callers share the read.

        They must also share the state, which keeps them from trying the same number.
        """
        reading = self._reading.get(key)
        if reading is None:
            reading = asyncio.create_task(self._read(self._store.scope(key[0]), key[1]))
            self._reading[key] = reading
            reading.add_done_callback(lambda _: self._reading.pop(key, None))
        try:
            state = await asyncio.shield(reading)
        except asyncio.CancelledError:
            if reading.cancelled():  # not the caller, who must not be told that he was cancelled
                raise errors.Unavailable("the service was closed") from None
            raise
        state = self._known.setdefault(key, state)
        self._forget()
        return state

    def _forget(self) -> None:
        while len(self._known) > self._capacity:
            self._known.popitem(last=False)

    async def _read(self, scope: Scope, conversation_id: str) -> KnownConversation:
        tail = await self._tail(scope, conversation_id)  # first, as in `refresh`
        return await self._of(scope, conversation_id, tail)

    async def _of(self, scope: Scope, conversation_id: str, tail: int) -> KnownConversation:
        row = await self._conversation(scope, conversation_id)
        state = KnownConversation(
            tenant_id=scope.tenant_id,
            conversation_id=conversation_id,
            user_id=row["user_id"],
            character_id=None,
            archived=False,
            active_branch=MAIN_BRANCH,
            tail=tail,
            read_at=0,
            months=set(row.get("months", ())),
        )
        self._learn(state, row)
        return state

    async def _tail(self, scope: Scope, conversation_id: str) -> int:
        row = await scope.find_one(
            CONVERSATION_TAIL, committed=True, conversation_id=conversation_id
        )
        return row["sequence_number"] if row else 0

    async def _conversation(self, scope: Scope, conversation_id: str) -> Row:
        row = await scope.find_one(CONVERSATION_BY_ID, conversation_id=conversation_id)
        if row is None:
            raise errors.NotFound("conversation", conversation_id)
        return row

    def _learn(self, state: KnownConversation, row: Row) -> None:
        """Take the fields of the conversation's document into the state."""
        state.user_id = row["user_id"]
        state.character_id = row.get("character_id")
        state.archived = row["state"] != "active"
        state.active_branch = row["active_branch"]
        state.read_at = asyncio.get_running_loop().time()
