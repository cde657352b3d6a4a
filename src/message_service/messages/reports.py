"""The source design's reports over one tenant's messages."""

from __future__ import annotations

from datetime import datetime

from message_service import errors
from message_service.arguments import check_text_argument
from message_service.catalogue.queries.messages import DAILY_STATS, DUPLICATES, USER_TOKENS
from message_service.clock import check_datetime
from message_service.database.scope import Scope
from message_service.documents.row import Row
from message_service.ids import IdKind, check_id


class MessageReports:
    """Reports over one tenant's messages, read from the messages themselves.

    Args:
        scope: The tenant's scope.
    """

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def with_same_text(self, conversation_id: str, content_hash: str) -> list[Row]:
        """Return the messages of a conversation with this content hash (duplicate detection).

        A report only: two messages may have the same text. For idempotency use `client_msg_id`.
        """
        check_id(IdKind.CONVERSATION, "conversation_id", conversation_id)
        check_text_argument("content_hash", content_hash, most=128, what="'sha256:...' digest")
        return await self._scope.find(
            DUPLICATES, conversation_id=conversation_id, content_hash=content_hash
        )

    async def tokens_by_user(self, user_id: str, *, since: datetime, until: datetime) -> list[Row]:
        """Return a user's tokens and cost by provider and model over a period (end excluded).

        The source design's aggregation; reads the messages of the period.

        Raises:
            InvalidInput: An argument is wrong, or the dates are reversed.
        """
        check_id(IdKind.USER, "user_id", user_id)
        start, end = _period(since, until)
        return await self._scope.aggregate(USER_TOKENS, user_id=user_id, since=start, until=end)

    async def daily_stats(self, *, since: datetime, until: datetime) -> list[Row]:
        """Return messages, tokens, cost, users and conversations by UTC day, latest first.

        As the view `daily_message_stats`, for this tenant and any period (end excluded).

        Raises:
            InvalidInput: The dates are naive or reversed.
        """
        start, end = _period(since, until)
        return await self._scope.aggregate(DAILY_STATS, since=start, until=end)


def _period(since: datetime, until: datetime) -> tuple[datetime, datetime]:
    start, end = check_datetime("since", since), check_datetime("until", until)
    if end < start:
        raise errors.InvalidInput("until", "lies before since", "Swap the two dates")
    return start, end
