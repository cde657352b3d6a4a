"""The queries on `usage_counters` and `usage_budgets`, and on messages not counted yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from message_service.catalogue.followers.usage import USAGE
from message_service.catalogue.queries.parts import CONVERSATION, LATER, MESSAGE, THEN, USER, equal
from message_service.database.query import Filter, Query

_SUBJECT = f"user:{USER}"
_SCATTER = "messages that are not counted yet lie on every shard"


def _days(subject: str, since: datetime, until: datetime) -> Filter:
    return {"subject": subject, "date": {"$gte": since, "$lt": until}}


USAGE_COUNTER = Query(
    name="usage_counters.one",
    collection="usage_counters",
    purpose="The counter of a subject and day",
    index="idx_usage_counter_unique",
    build=equal("subject", "date"),
    example={"subject": _SUBJECT, "date": THEN},
)

USAGE_COUNTER_AT_REVISION = Query(
    name="usage_counters.at_revision",
    collection="usage_counters",
    purpose="The counter of a subject and day, if nobody has changed it since it was read",
    index="idx_usage_counter_unique",
    build=equal("subject", "date", "revision"),
    example={"subject": _SUBJECT, "date": THEN, "revision": 1},
    examined_slack=1,
)


def _several(keys: Sequence[tuple[str, str, datetime]]) -> Filter:
    return {
        "subject": {"$in": sorted({subject for _, subject, _ in keys})},
        "$or": [
            {"subject": subject, "tenant_id": tenant_id, "date": date}
            for tenant_id, subject, date in keys
        ],
    }


USAGE_COUNTERS = Query(
    name="usage_counters.several",
    collection="usage_counters",
    purpose="The counters of a batch of messages",
    index="idx_usage_counter_unique",
    build=_several,
    example={"keys": [("default", _SUBJECT, THEN)]},
    all_tenants="the counters are kept for all tenants together",
)

USAGE_COUNTERS_OF_SUBJECT = Query(
    name="usage_counters.of_subject",
    collection="usage_counters",
    purpose="The counters of a subject over some days",
    index="idx_usage_counter_unique",
    build=_days,
    example={"subject": _SUBJECT, "since": THEN, "until": LATER},
    sort=(("date", 1),),
)


def _subjects(subjects: Sequence[str]) -> Filter:
    return {"subject": {"$in": list(subjects)}}


BUDGETS = Query(
    name="usage_budgets.all",
    collection="usage_budgets",
    purpose="Every budget of a tenant",
    index="idx_usage_budget_unique",
    build=dict,
    example={},
    sort=(("subject", 1), ("period", 1), ("unit", 1)),
)

BUDGETS_OF_SUBJECTS = Query(
    name="usage_budgets.of_subjects",
    collection="usage_budgets",
    purpose="The budgets that a call must respect",
    index="idx_usage_budget_unique",
    build=_subjects,
    example={"subjects": [_SUBJECT, "tenant:default"]},
    examined_slack=2,
)

BUDGET = Query(
    name="usage_budgets.one",
    collection="usage_budgets",
    purpose="One budget",
    index="idx_usage_budget_unique",
    build=equal("subject", "period", "unit"),
    example={"subject": _SUBJECT, "period": "month", "unit": "USD"},
)


def _uncounted(
    user_id: str | None, character_id: str | None, since: datetime, until: datetime
) -> Filter:
    chosen: Filter = {
        USAGE.pending: {"$exists": True},
        "timestamps.created_at": {"$gte": since, "$lt": until},
    }
    if user_id is not None:
        chosen["user_id"] = user_id
    if character_id is not None:
        chosen["character_id"] = character_id
    return chosen


def _figures(tokens: str, cost: str, currency: str, sign: int) -> Mapping[str, Any]:
    """Return what a message adds to a counter, or takes away from it."""
    return {
        "currency": {"$ifNull": [f"${currency}", None]},
        "cost": {"$multiply": [{"$ifNull": [f"${cost}", 0]}, sign]},
        "tokens": {"$multiply": [{"$ifNull": [f"${tokens}", 0]}, sign]},
    }


UNCOUNTED = Query(
    name="usage.uncounted",
    collection="messages",
    purpose="What the messages not counted yet add to a subject's counters",
    index=USAGE.index.name,
    build=_uncounted,
    example={"user_id": USER, "character_id": None, "since": THEN, "until": LATER},
    stages=(
        {
            "$project": {
                "change": [
                    _figures(
                        "token_usage.total_tokens",
                        "token_usage.total_cost",
                        "token_usage.cost_currency",
                        1,
                    ),
                    _figures(
                        "token_usage.counted.tokens",
                        "token_usage.counted.cost",
                        "token_usage.counted.currency",
                        -1,
                    ),
                ]
            }
        },
        {"$unwind": "$change"},
        {
            "$group": {
                "_id": "$change.currency",
                "cost": {"$sum": "$change.cost"},
                "tokens": {"$sum": "$change.tokens"},
            }
        },
    ),
    # The dates and the character are not in the key: as many as wait are read.
    examined_ratio=float("inf"),
    scatter=_SCATTER,
)

MESSAGE_COUNTED = Query(
    name="usage.counted",
    collection="messages",
    purpose="What a message is counted for",
    index="idx_message_id_unique",
    build=equal("conversation_id", "message_id"),
    example={"conversation_id": CONVERSATION, "message_id": MESSAGE},
    projection={"_id": 0, "token_usage.revision": 1, "token_usage.counted": 1},
)

UNCOUNTED_MESSAGES = Query(
    name="usage.uncounted_messages",
    collection="messages",
    purpose="The messages of a subject that are not counted yet, while some are being counted",
    index=USAGE.index.name,
    build=_uncounted,
    example={"user_id": USER, "character_id": None, "since": THEN, "until": LATER},
    projection=USAGE.work.projection,
    examined_ratio=float("inf"),
    scatter=_SCATTER,
)
