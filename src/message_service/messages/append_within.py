"""Appends inside a transaction: stored together with its other writes, or not at all.

The insert takes the number, as outside a transaction; the highest number is read inside it. If
another writer takes the same number at the same time, the server refuses one of the two writes and
the transaction is run again. These appends do not use the lanes of the group commit, so other
appends never wait for a transaction.
"""

from __future__ import annotations

from collections.abc import Sequence

from message_service import errors
from message_service.catalogue.queries.messages import MESSAGES_BY_CLIENT_IDS
from message_service.database.scope import Scope
from message_service.documents.row import Row
from message_service.messages.incoming import Prepared
from message_service.messages.known_conversations import KnownConversation
from message_service.messages.outcomes import (
    Appended,
    appended,
    closed,
    duplicate_or_conflict,
    went_on,
)


async def append_within(
    scope: Scope, state: KnownConversation, items: Sequence[Prepared], after: int | None
) -> tuple[list[Appended], list[Row]]:
    """Write messages of one conversation inside a transaction.

    Args:
        scope: The tenant's scope inside the transaction.
        state: The conversation as read inside the transaction.
        items: The messages.
        after: The number the messages must directly follow; None takes the next free numbers.

    Returns:
        The outcome of each message, and the documents that were written.

    Raises:
        ConversationClosed: The conversation is archived.
        IdempotencyConflict: A client message id was used with other content.
        AlreadyExists: A message id is taken.
        VersionConflict: The conversation does not end with `after`.
    """
    if state.archived:
        raise closed(state)
    if after is not None and after != state.tail:
        raise went_on(state, state.tail)
    stored = await _stored(scope, state, items)
    outcomes: list[Appended] = []
    documents: list[Row] = []
    for item in items:
        before = None if item.client_msg_id is None else stored.get(item.client_msg_id)
        if before is not None:
            outcome = duplicate_or_conflict(item, before)
            if isinstance(outcome, errors.MessageServiceError):
                raise outcome
            outcomes.append(outcome)
            continue
        state.tail += 1
        document = item.placed(state.tail, state.active_branch)
        if item.client_msg_id is not None:
            stored[item.client_msg_id] = document
        documents.append(document)
        outcomes.append(appended(document, duplicate=False))
    if documents:
        try:
            await scope.insert_many("messages", documents, comment="messages.append")
        except errors.AlreadyExists as error:
            raise errors.AlreadyExists("a message with one of these ids exists already") from error
    return outcomes, documents


async def _stored(
    scope: Scope, state: KnownConversation, items: Sequence[Prepared]
) -> dict[str, Row]:
    """Return the messages stored under these idempotency keys, by key."""
    keys = [item.client_msg_id for item in items if item.client_msg_id is not None]
    if not keys or not state.tail:
        return {}
    rows = await scope.find(
        MESSAGES_BY_CLIENT_IDS, conversation_id=state.conversation_id, client_msg_ids=keys
    )
    return {row["client_metadata"]["client_msg_id"]: row for row in rows}
