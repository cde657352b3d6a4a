"""Reports of one tenant's usage, made from the messages themselves."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable
from datetime import datetime, timedelta
from typing import Any

from message_service import errors
from message_service.arguments import check_flag, check_text_argument, check_whole_number
from message_service.catalogue.queries.usage_reports import (
    USAGE_REPORT,
    USAGE_REPORT_OF_CONVERSATION,
    USAGE_REPORT_OF_USER,
)
from message_service.database.query import Query
from message_service.database.scope import Scope
from message_service.documents.fields import MAX_NAME
from message_service.documents.token_usage import CURRENCY
from message_service.ids import IdKind, check_id
from message_service.reports.zones import zone_of
from message_service.usage.periods import check_period
from message_service.usage.reporting.dimensions import dimensions
from message_service.usage.reporting.pipeline import Wanted, stages_of
from message_service.usage.reporting.rows import MESSAGES, TOKENS, UsageRow, all_rows, top_rows

MOST_DAYS = 3_653
"""The longest period of a report: ten years."""

MOST_TOP = 10_000
"""The highest `top`: that many rows are held in memory. Without it there may be millions."""


class Reporting:
    """Makes usage reports.

    Args:
        scope: The tenant's scope.
    """

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def report(
        self,
        since: datetime,
        until: datetime,
        by: Iterable[str] = (),
        *,
        time_zone: str = "UTC",
        top: int | None = None,
        order_by: str | None = None,
        user_id: str | None = None,
        character_id: str | None = None,
        conversation_id: str | None = None,
        detailed: bool = False,
    ) -> AsyncIterator[UsageRow]:
        """Yield tokens and cost of a period, a row for each group of messages.

        The rows are computed by the server from the messages, as they are now, and read as they are
        needed, so there may be millions of them. The sums are exact to 34 digits.

        Args:
            since: The first moment of the period.
            until: The first moment after it, at most ten years later.
            by: What tells groups apart: any of `day`, `week`, `month`, `user`, `character`,
                `conversation`, `provider`, `model`, `role`, `tier`. None of them makes one row.
            time_zone: The zone whose days, weeks (from Monday) and months are meant.
            top: Only so many rows, those with the most first; None for all, ordered by what tells
                them apart.
            order_by: What `top` means: the most `messages`, `tokens` (without it), or of a currency
                such as `USD`.
            user_id: Only messages of this user.
            character_id: Only messages of this character.
            conversation_id: Only messages of this conversation.
            detailed: Whether to tell the classes of tokens apart, and the cost of prompts and
                replies.

        Raises:
            InvalidInput: An argument is wrong.
            Unavailable: The database cannot be reached; raised while rows are read.
        """
        since, until = check_period(since, until)
        if until - since > timedelta(days=MOST_DAYS):
            raise errors.InvalidInput(
                "until", "is more than ten years after the beginning", "Ask for ten years or less"
            )
        check_flag("detailed", detailed)
        wanted = Wanted(dimensions(by), since, until, zone_of(time_zone), detailed)
        names = tuple(each.name for each in wanted.by)
        order = _order(top, order_by)
        query, values = _chosen(user_id, character_id, conversation_id)
        parts = self._scope.summarise(query, stages_of(wanted), since=since, until=until, **values)
        rows = all_rows(parts, names, detailed=detailed)
        return rows if top is None else top_rows(rows, top, order)


def check_measure(field: str, measure: str) -> str:
    """Return what amounts of rows are compared, checked: `messages`, `tokens` or a currency.

    Raises:
        InvalidInput: It is none of them.
    """
    check_text_argument(field, measure, most=MAX_NAME)
    if measure not in (MESSAGES, "tokens") and not re.fullmatch(CURRENCY, measure):
        raise errors.InvalidInput(
            field,
            "is neither 'messages' nor 'tokens' nor a currency",
            "Use 'tokens', or a code like 'USD'",
        )
    return measure


def _order(top: int | None, order_by: str | None) -> str:
    """Return what the top rows have most of."""
    if top is not None:
        check_whole_number("top", top, 1, MOST_TOP)
    elif order_by is not None:
        raise errors.InvalidInput("order_by", "is given without top", "Give top too, as in top=10")
    measure = "tokens" if order_by is None else check_measure("order_by", order_by)
    return TOKENS if measure == "tokens" else measure


def _chosen(
    user_id: str | None, character_id: str | None, conversation_id: str | None
) -> tuple[Query, dict[str, Any]]:
    """Return the query that reads the messages of these, and its values."""
    given = {
        (IdKind.USER, "user_id"): user_id,
        (IdKind.CHARACTER, "character_id"): character_id,
        (IdKind.CONVERSATION, "conversation_id"): conversation_id,
    }
    for (kind, name), value in given.items():
        if value is not None:
            check_id(kind, name, value)
    values: dict[str, Any] = {"character_id": character_id}
    if conversation_id is not None:
        values |= {"conversation_id": conversation_id, "user_id": user_id}
        return USAGE_REPORT_OF_CONVERSATION, values
    if user_id is not None:
        return USAGE_REPORT_OF_USER, values | {"user_id": user_id}
    return USAGE_REPORT, values
