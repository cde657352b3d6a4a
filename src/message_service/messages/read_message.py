"""Reads one stored message."""

from __future__ import annotations

from message_service import errors
from message_service.catalogue.queries.messages import MESSAGE_BY_ID
from message_service.database.scope import Scope
from message_service.documents.row import Row
from message_service.ids import IdKind, check_id


async def read_message(scope: Scope, conversation_id: str, message_id: str) -> Row:
    """Return one whole message, whatever its status.

    Raises:
        InvalidId: One of the ids is not an id.
        NotFound: No such message in this tenant's conversation.
    """
    check_id(IdKind.CONVERSATION, "conversation_id", conversation_id)
    check_id(IdKind.MESSAGE, "message_id", message_id)
    row = await scope.find_one(
        MESSAGE_BY_ID, conversation_id=conversation_id, message_id=message_id
    )
    if row is None:
        raise errors.NotFound("message", message_id)
    return row
