"""Whether a reply is still wanted: what it answers must be there, unchanged, and the last word."""

from __future__ import annotations

from dataclasses import dataclass

from message_service.catalogue.queries.answered import BRANCH_END, CONVERSATION_END
from message_service.catalogue.queries.messages import MESSAGE_BY_ID
from message_service.database.scope import Scope
from message_service.documents.message import MessageStatus
from message_service.documents.row import Row
from message_service.generation.reply_request import ReplyOrder
from message_service.messages.known_conversations import KnownConversations
from message_service.queue.running_job import Withdraw

_ACTIVE = MessageStatus.ACTIVE.value

PARENT_DELETED = "parent_deleted"
PARENT_EDITED = "parent_edited"
SUPERSEDED = "superseded"
GONE = "conversation_gone"
"""Reasons of replies that were withdrawn."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The message that a reply answers.

    Attributes:
        message_id: Its id.
        role: Who said it.
        digest: Digest of what it says.
    """

    message_id: str
    role: str
    digest: str | None

    @classmethod
    def of(cls, row: Row) -> Answered:
        """Return what a reply needs of a message."""
        return cls(row["message_id"], row["role"], row["content"].get("content_hash"))


async def check_wanted(
    scope: Scope, known: KnownConversations, conversation_id: str, order: ReplyOrder
) -> None:
    """Return if a reply is still wanted.

    Args:
        scope: The tenant's scope; that of a transaction, where the reply is stored in it.
        known: The remembered conversations.
        conversation_id: The conversation.
        order: What the reply answers.

    Raises:
        Withdraw: It is not.
        NotFound: No such branch, or no such conversation, any longer.
    """
    last = await last_of_branch(scope, known, conversation_id, order.branch)
    answered = order.parent_message_id
    if last is not None and _is_answered(last, order):
        return
    if answered is not None:
        # The branch was read first: if the parent goes in between, that is the reason then.
        row = await scope.find_one(
            MESSAGE_BY_ID, conversation_id=conversation_id, message_id=answered
        )
        if row is None or row["status"] != _ACTIVE:
            raise Withdraw(PARENT_DELETED, "the message it answers is not there any longer")
        if Answered.of(row).digest != order.parent_digest:
            raise _edited()
    if last is not None or answered is not None:
        raise superseded()


async def check_still_wanted(
    scope: Scope, known: KnownConversations, conversation_id: str, order: ReplyOrder
) -> int:
    """Return the conversation's highest number, if the reply is wanted as its transaction sees it.

    Mostly what a reply answers has that number, so nothing follows it: one read says both.

    Args and errors are those of `check_wanted`.
    """
    end = await scope.find_one(CONVERSATION_END, conversation_id=conversation_id)
    if end is None:
        tail = 0
    else:
        tail = end["sequence_number"]
        if end["status"] == _ACTIVE and _is_answered(Answered.of(end), order):
            return tail
    await check_wanted(scope, known, conversation_id, order)
    return tail


def superseded() -> Withdraw:
    """Return what ends a reply whose branch has gone on without it."""
    return Withdraw(SUPERSEDED, "the branch has gone on without it")


def _edited() -> Withdraw:
    return Withdraw(PARENT_EDITED, "the message it answers was edited")


def _is_answered(message: Answered, order: ReplyOrder) -> bool:
    """Whether this is the message that a reply answers; it must say what it said then."""
    if message.message_id != order.parent_message_id:
        return False
    if message.digest != order.parent_digest:
        raise _edited()
    return True


async def last_of_branch(
    scope: Scope, known: KnownConversations, conversation_id: str, branch: str
) -> Answered | None:
    """Return the last message of a branch that is shown: what a reply answers.

    Raises:
        NotFound: No such branch.
    """
    rows = await scope.find(
        BRANCH_END,
        limit=1,
        conversation_id=conversation_id,
        segments=await known.line(scope, conversation_id, branch),
        statuses=[_ACTIVE],
    )
    return Answered.of(rows[0]) if rows else None
