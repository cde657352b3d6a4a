"""Other replies to the same message: each on a branch of its own, nothing copied."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from message_service import errors
from message_service.documents.message import Role
from message_service.ids import IdKind, check_id
from message_service.messages.branches import Branches
from message_service.messages.conversations import Conversations
from message_service.messages.history import HistoryReader
from message_service.messages.rows import StoredMessage


@dataclass(frozen=True, slots=True)
class Alternative:
    """One of the replies to a message.

    Attributes:
        branch: The branch that shows it.
        message: The reply.
        active: Whether the conversation shows it now.
    """

    branch: str
    message: StoredMessage
    active: bool


class Alternatives:
    """The alternatives of one tenant's replies.

    Args:
        conversations: The tenant's conversations.
        branches: Their branches.
        history: Reads their messages.
    """

    def __init__(
        self, conversations: Conversations, branches: Branches, history: HistoryReader
    ) -> None:
        self._conversations = conversations
        self._branches = branches
        self._history = history

    async def open(
        self, conversation_id: str, active: str, message_id: str | None, request_id: str | None
    ) -> tuple[str, StoredMessage | None]:
        """Start a branch for another reply, make it the active one; return it and its last message.

        Args:
            conversation_id: The conversation.
            active: The active branch.
            message_id: The reply; None for the last one of the active branch.
            request_id: Names the branch, so that the same request opens it once.
        """
        reply = await self._reply(conversation_id, active, message_id)
        parent = await self._before(reply)
        name = None
        if request_id is not None:
            name = f"alt-{hashlib.sha256(request_id.encode()).hexdigest()[:26]}"
        opened = await self._branches.create(
            conversation_id, None if parent is None else parent.message_id, name=name
        )
        await self._conversations.patch(conversation_id, active_branch=opened.name)
        return opened.name, parent

    async def list(
        self, conversation_id: str, active: str, message_id: str | None
    ) -> list[Alternative]:
        """Return the replies to the message that a reply answers."""
        reply = await self._reply(conversation_id, active, message_id)
        parent = await self._before(reply)
        fork = 0 if parent is None else parent.sequence_number
        found: dict[str, Alternative] = {}
        others = [each.name for each in await self._branches.list(conversation_id)]
        for branch in dict.fromkeys([active, reply.branch, *others]):
            message = await self._at(conversation_id, branch, fork)
            if message is None or message.role != Role.ASSISTANT:
                continue
            before = await self._before(message)
            if (before and before.message_id) == (parent and parent.message_id):
                own = Alternative(branch, message, active=branch == active)
                found.setdefault(message.message_id, own)
        return sorted(found.values(), key=lambda each: each.message.sequence_number)

    async def swipe(self, conversation_id: str, active: str, step: int) -> Alternative:
        """Make the branch of another reply the active one."""
        several = await self.list(conversation_id, active, None)
        shown = [number for number, each in enumerate(several) if each.active]
        place = (shown[0] if shown else -1) + step
        if not 0 <= place < len(several):
            raise errors.Conflict(
                f"there are {len(several)} replies, and none is so far on; regenerate makes one"
            )
        chosen = several[place]
        await self._conversations.patch(conversation_id, active_branch=chosen.branch)
        return Alternative(chosen.branch, chosen.message, active=True)

    async def _reply(
        self, conversation_id: str, active: str, message_id: str | None
    ) -> StoredMessage:
        if message_id is None:
            page = await self._history.page(
                conversation_id, branch=active, direction="backward", limit=1
            )
            if not page.items:
                raise errors.Conflict("the active branch has no reply")
            [reply] = page.items
        else:
            check_id(IdKind.MESSAGE, "message_id", message_id)
            reply = await self._history.get(conversation_id, message_id)
        if reply.role != Role.ASSISTANT:
            raise errors.Conflict(f"message {reply.message_id} is not a reply", role=reply.role)
        while reply.continues_message_id is not None:
            reply = await self._history.get(conversation_id, reply.continues_message_id)
        return reply

    async def _before(self, reply: StoredMessage) -> StoredMessage | None:
        """Return the message before a reply, on its own branch."""
        page = await self._history.page(
            reply.conversation_id,
            branch=reply.branch,
            direction="backward",
            before=reply.sequence_number,
            limit=1,
            full=True,
        )
        return page.items[0] if page.items else None

    async def _at(self, conversation_id: str, branch: str, fork: int) -> StoredMessage | None:
        """Return the first message of a branch after a number."""
        page = await self._history.page(conversation_id, branch=branch, after=fork, limit=1)
        return page.items[0] if page.items else None
