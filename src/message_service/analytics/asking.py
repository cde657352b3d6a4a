"""What callers ask for, checked: days, periods, subjects, metrics."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

from message_service import errors
from message_service.analytics import subjects
from message_service.analytics.metrics import PUBLISHED, Metric
from message_service.analytics.subjects import Subject
from message_service.arguments import check_text_argument
from message_service.documents.analytics import AggregationType, Dimension
from message_service.documents.fields import MAX_NAME
from message_service.documents.token_usage import CURRENCY
from message_service.ids import IdKind, check_id
from message_service.usage.tiers import provider_of

MOST_DAYS = 3_653
"""The longest period of a series: ten years."""

PERIODS = {
    "day": AggregationType.DAILY,
    "week": AggregationType.WEEKLY,
    "month": AggregationType.MONTHLY,
}
"""The lengths of periods, by the names callers use."""


DIMENSIONS = ("user", "character", "conversation", "model")
"""What a tenant has several of."""


def check_day(field: str, day: date) -> datetime:
    """Return a day as the summaries name it: as midnight UTC.

    Raises:
        InvalidInput: It is no date, or lies outside the years 1900 to 2999.
    """
    if isinstance(day, datetime) or not isinstance(day, date):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise errors.InvalidInput(
            field, "is not a date", "Give a day of the tenant's time zone, like date(2026, 1, 31)"
        )
    if not 1900 <= day.year <= 2999:
        raise errors.InvalidInput(field, "lies outside the years 1900 to 2999", "Correct the date")
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def check_days(since: date, until: date) -> tuple[datetime, datetime]:
    """Return the first day of a range and the first one after it, as midnights UTC.

    Raises:
        InvalidInput: One is no date, they are reversed, or more than ten years apart.
    """
    first, end = check_day("since", since), check_day("until", until)
    if end <= first:
        raise errors.InvalidInput("until", "is not after the first day", "Swap the two dates")
    if end - first > timedelta(days=MOST_DAYS):
        raise errors.InvalidInput(
            "until", "is more than ten years after the first day", "Ask for ten years or less"
        )
    return first, end


def check_period(period: str) -> AggregationType:
    """Return the length of period of a name: `day`, `week` or `month`.

    Raises:
        InvalidInput: It is none of them.
    """
    return PERIODS[one_of("period", period, PERIODS)]


def check_dimension(field: str, name: str) -> Dimension:
    """Return the dimension of a name, of those of which a tenant has several.

    Raises:
        InvalidInput: It is none of them; the error names similar ones.
    """
    return Dimension(one_of(field, name, DIMENSIONS))


def is_currency(name: str) -> bool:
    """Return whether a name is that of a currency rather than of a metric."""
    return re.fullmatch(CURRENCY, name) is not None


def check_metric(field: str, name: str) -> Metric:
    """Return the metric of a name.

    Raises:
        InvalidInput: There is none; the error names similar ones.
    """
    return PUBLISHED[one_of(field, name, PUBLISHED)]


def one_of(field: str, name: str, known: Iterable[str]) -> str:
    """Return a name that is one of those known.

    Raises:
        InvalidInput: It is not; the error names similar ones.
    """
    check_text_argument(field, name, most=MAX_NAME)
    names = [*known]
    if name in names:
        return name
    similar = difflib.get_close_matches(name, names, 3, 0.5)
    raise errors.InvalidInput(
        field,
        f"{name[:60]!r} is not known",
        f"Did you mean {', '.join(similar)}?" if similar else f"Use {', '.join(names[:12])}",
    )


def check_subject(
    tenant_id: str,
    *,
    user_id: str | None,
    character_id: str | None,
    conversation_id: str | None,
    provider: str | None,
    model: str | None,
) -> Subject:
    """Return what a caller names, or the tenant when nothing is named.

    Raises:
        InvalidInput: Two different things are named, or one wrongly.
    """
    named = {
        "user_id": user_id,
        "character_id": character_id,
        "conversation_id": conversation_id,
        "model": model if model is not None else provider,
    }
    given = [name for name, value in named.items() if value is not None]
    if len(given) > 1:
        raise errors.InvalidInput(
            given[1], f"is given beside {given[0]}", "Name one of them; there is no summary of both"
        )
    if user_id is not None:
        return subjects.user(tenant_id, check_id(IdKind.USER, "user_id", user_id))
    if character_id is not None:
        character = check_id(IdKind.CHARACTER, "character_id", character_id)
        return subjects.character(tenant_id, character)
    if conversation_id is not None:
        conversation = check_id(IdKind.CONVERSATION, "conversation_id", conversation_id)
        return subjects.conversation(tenant_id, conversation)
    for name, value in (("provider", provider), ("model", model)):
        if value is not None:
            check_text_argument(name, value, most=MAX_NAME)
    if provider is not None or model is not None:
        return subjects.model(tenant_id, provider_of(provider), model)
    return subjects.tenant(tenant_id)
