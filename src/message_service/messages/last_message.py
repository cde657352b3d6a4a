"""Keeps what lists show of a conversation's last message true after that message has changed."""

from __future__ import annotations

import logging

from message_service.catalogue.queries.conversations import (
    CONVERSATION_BY_ID,
    CONVERSATION_SHOWING,
)
from message_service.database.scope import Scope
from message_service.documents.row import Row
from message_service.messages.conversation_summary import LISTED, glance
from message_service.messages.history import HistoryReader
from message_service.messages.parts import said
from message_service.messages.rows import StoredMessage
from message_service.messages.runtime import Runtime

_LOG = logging.getLogger(__name__)
_ATTEMPTS = 10


class LastMessage:
    """Follows the changes of one tenant's messages.

    Args:
        runtime: What the process shares.
        scope: The tenant's scope.
        history: Reads the tenant's messages.
    """

    def __init__(self, runtime: Runtime, scope: Scope, history: HistoryReader) -> None:
        self._scope = scope
        self._summaries = runtime.summaries
        self._history = history

    async def follow(self, changed: StoredMessage, *, appears: bool = False) -> None:
        """Update the conversation of a changed message, if lists show or should show the message.

        The message shown is the newest of the active branch that is neither hidden nor deleted.

        Args:
            changed: The message after its change.
            appears: Whether the change may have made it visible.

        Raises:
            Unavailable: The database cannot be reached. Repeating the change repeats this too.
        """
        conversation_id = changed.conversation_id
        # A note of its append that is written later would bring the old text back.
        await self._summaries.settle(self._scope.tenant_id, conversation_id)
        for _ in range(_ATTEMPTS):
            conversation = await self._scope.find_one(
                CONVERSATION_BY_ID, conversation_id=conversation_id
            )
            if conversation is None:
                return
            shown: Row = conversation.get("last_message") or {}
            if shown.get("message_id") != changed.message_id and not appears:
                return
            newest = await self._newest(conversation_id)
            if newest == (shown or None):
                return
            update: Row = (
                {"$unset": {"last_message": ""}}
                if newest is None
                else {"$set": {"last_message": newest}}
            )
            if await self._scope.update_one(
                CONVERSATION_SHOWING,
                update,
                conversation_id=conversation_id,
                message_id=shown.get("message_id"),
            ):
                return
        # Others append all the time; what they append is what lists show.
        _LOG.info("the last message of %s is changed by others", conversation_id)

    async def _newest(self, conversation_id: str) -> Row | None:
        page = await self._history.page(
            conversation_id, direction="backward", limit=1, statuses=LISTED
        )
        if not page.items:
            return None
        [message] = page.items
        text = said(message.raw["content"])
        shown = glance(message.message_id, message.role, text, message.created_at)
        return shown["last_message"]
