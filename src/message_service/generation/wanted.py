"""Whether a reply is still wanted: what it answers must be there, unchanged, and the last word."""

from __future__ import annotations

from message_service import errors
from message_service.catalogue.queries.messages import MESSAGE_BY_ID
from message_service.catalogue.queries.prompt_window import WINDOW_TOKENS
from message_service.database.scope import Scope
from message_service.documents.message import MessageStatus
from message_service.generation.reply_request import ReplyOrder
from message_service.messages.known_conversations import KnownConversations
from message_service.queue.running_job import Withdraw

_ACTIVE = MessageStatus.ACTIVE.value

PARENT_DELETED = "parent_deleted"
PARENT_EDITED = "parent_edited"
SUPERSEDED = "superseded"
GONE = "conversation_gone"


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
    """
    try:
        state = await known.get(scope.tenant_id, conversation_id, branch=order.branch)
        segments = state.segments(order.branch)
    except errors.NotFound as gone:
        raise Withdraw(GONE, gone.message) from None
    # The branch is read first: if the parent goes in between, that is the reason then.
    newest = await scope.find(
        WINDOW_TOKENS,
        limit=1,
        conversation_id=conversation_id,
        segments=segments,
        statuses=[_ACTIVE],
    )
    parent = None
    if order.parent_message_id is not None:
        parent = await scope.find_one(
            MESSAGE_BY_ID, conversation_id=conversation_id, message_id=order.parent_message_id
        )
        if parent is None or parent["status"] != _ACTIVE:
            raise Withdraw(PARENT_DELETED, "the message it answers is not there any longer")
        if parent["content"].get("content_hash") != order.parent_digest:
            raise Withdraw(PARENT_EDITED, "the message it answers was edited")
    last = newest[0]["sequence_number"] if newest else None
    if last != (None if parent is None else parent["sequence_number"]):
        raise Withdraw(SUPERSEDED, "the branch has gone on without it")
