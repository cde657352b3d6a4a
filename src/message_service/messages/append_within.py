"""Appends that take part in a transaction: together with what else it writes, or not at all.

The number is taken as outside of one, by the insert; the tail is read inside the transaction.
Who takes the same number meanwhile makes the server refuse one of the two, and the transaction is
run again. No lane is shared: the appends of others wait for nobody's transaction.
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
        after: The number they must come right behind; None takes the next free ones.

    Returns:
        What became of each, and the documents that were written.

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
    """Return what is stored under the messages' idempotency keys."""
    keys = [item.client_msg_id for item in items if item.client_msg_id is not None]
    if not keys or not state.tail:
        return {}
    rows = await scope.find(
        MESSAGES_BY_CLIENT_IDS, conversation_id=state.conversation_id, client_msg_ids=keys
    )
    return {row["client_metadata"]["client_msg_id"]: row for row in rows}
