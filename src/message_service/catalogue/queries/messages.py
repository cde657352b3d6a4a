"""The queries on `messages`; the five patterns of the source design among them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from message_service.catalogue.collections.daily_message_stats import DAILY_STATS_STAGES
from message_service.catalogue.queries.parts import (
    BY_USER_REASON,
    CONVERSATION,
    LATER,
    MESSAGE,
    THEN,
    USER,
    equal,
)
from message_service.database.query import Filter, Query

Segment = tuple[str, int, int]
"""A stretch of one branch: its name, the number above which and the one up to which it counts."""


PAGE_FIELDS: dict[str, int] = {
    "_id": 0,
    "message_id": 1,
    "conversation_id": 1,
    "user_id": 1,
    "content.text": 1,
    "content.parts": 1,
    "role": 1,
    "message_type": 1,
    "status": 1,
    "sequence_number": 1,
    "revision": 1,
    "timestamps.created_at": 1,
    "relationships.conversation_branch": 1,
    "relationships.parent_message_id": 1,
    "relationships.continues_message_id": 1,
}
"""What a page of history shows: the design's projection and what places a message."""


def _by_message_ids(conversation_id: str, message_ids: Sequence[str]) -> Filter:
    return {"conversation_id": conversation_id, "message_id": {"$in": list(message_ids)}}


def _by_client_ids(conversation_id: str, client_msg_ids: Sequence[str]) -> Filter:
    # The type condition repeats the partial filter of the index, which is not used otherwise.
    wanted = {"$in": list(client_msg_ids), "$type": "string"}
    return {"conversation_id": conversation_id, "client_metadata.client_msg_id": wanted}


def _user_tokens(user_id: str, since: datetime, until: datetime) -> Filter:
    return {
        "user_id": user_id,
        "timestamps.created_at": {"$gte": since, "$lt": until},
        "token_usage.total_tokens": {"$exists": True},
    }


def _duplicates(conversation_id: str, content_hash: str) -> Filter:
    return {"content.content_hash": content_hash, "conversation_id": conversation_id}


def _period(since: datetime, until: datetime) -> Filter:
    return {"timestamps.created_at": {"$gte": since, "$lt": until}}


def _one_or_many(values: Sequence[str]) -> Any:
    return values[0] if len(values) == 1 else {"$in": list(values)}


def branch_page(
    conversation_id: str, segments: Sequence[Segment], statuses: Sequence[str]
) -> Filter:
    """Return one range per stretch of the branch, each a bounded walk of idx_branch_history."""
    ranges: list[Filter] = [
        {
            "conversation_id": conversation_id,
            "relationships.conversation_branch": branch,
            "status": _one_or_many(statuses),
            "sequence_number": {"$gt": above, "$lte": up_to},
        }
        for branch, above, up_to in segments
    ]
    if len(ranges) == 1:
        return ranges[0]
    # The shard key is outside the $or too, where the router can see it.
    return {"conversation_id": conversation_id, "$or": ranges}


BRANCH_EXAMPLE = {
    "conversation_id": CONVERSATION,
    "segments": [("main", 0, 100)],
    "statuses": ["active"],
}


BRANCH_FORWARD = Query(
    name="messages.branch_forward",
    collection="messages",
    purpose="Messages of a conversation (the design's most frequent), oldest first",
    index="idx_branch_history",
    build=branch_page,
    example=BRANCH_EXAMPLE,
    sort=(("sequence_number", 1),),
    projection=PAGE_FIELDS,
    examined_slack=1,
)


BRANCH_BACKWARD = Query(
    name="messages.branch_backward",
    collection="messages",
    purpose="Messages of a conversation, newest first",
    index="idx_branch_history",
    build=branch_page,
    example=BRANCH_EXAMPLE,
    sort=(("sequence_number", -1),),
    projection=PAGE_FIELDS,
    examined_slack=1,
)


def _whole(conversation_id: str, above: int, below: int, statuses: Sequence[str]) -> Filter:
    return {
        "conversation_id": conversation_id,
        "sequence_number": {"$gt": above, "$lt": below},
        **({"status": _one_or_many(statuses)} if statuses else {}),
    }


_WHOLE_EXAMPLE: dict[str, Any] = {
    "conversation_id": CONVERSATION,
    "above": 0,
    "below": 100,
    "statuses": [],
}


CONVERSATION_FORWARD = Query(
    name="messages.conversation_forward",
    collection="messages",
    purpose="All branches of a conversation by number, oldest first",
    index="idx_conversation_sequence",
    build=_whole,
    example=_WHOLE_EXAMPLE,
    sort=(("sequence_number", 1),),
    projection=PAGE_FIELDS,
)


CONVERSATION_BACKWARD = Query(
    name="messages.conversation_backward",
    collection="messages",
    purpose="All branches of a conversation by number, newest first",
    index="idx_conversation_sequence",
    build=_whole,
    example=_WHOLE_EXAMPLE,
    sort=(("sequence_number", -1),),
    projection=PAGE_FIELDS,
)


CONVERSATION_TAIL = Query(
    name="messages.tail",
    collection="messages",
    purpose="The highest number given in a conversation",
    index="idx_conversation_sequence",
    build=equal("conversation_id"),
    example={"conversation_id": CONVERSATION},
    sort=(("sequence_number", -1),),
    projection={"_id": 0, "sequence_number": 1},
    examined_ratio=0,
)


CONVERSATION_LAST = Query(
    name="messages.last",
    collection="messages",
    purpose="What holds the highest number of a conversation",
    index="idx_conversation_sequence",
    build=equal("conversation_id"),
    example={"conversation_id": CONVERSATION},
    sort=(("sequence_number", -1),),
    projection=PAGE_FIELDS,
)


CONVERSATION_NUMBERS = Query(
    name="messages.numbers",
    collection="messages",
    purpose="Every number of a conversation, to find holes and messages out of their line",
    index="idx_conversation_sequence",
    build=equal("conversation_id"),
    example={"conversation_id": CONVERSATION},
    sort=(("sequence_number", 1),),
    projection={
        "_id": 0,
        "sequence_number": 1,
        "message_id": 1,
        "message_type": 1,
        "status": 1,
        "content.content_hash": 1,
        "relationships.conversation_branch": 1,
        "relationships.parent_message_id": 1,
    },
)


CONVERSATION_LAYOUT = Query(
    name="messages.layout",
    collection="messages",
    purpose="Where the messages of a conversation lie, and what an import compares",
    index="idx_conversation_sequence",
    build=equal("conversation_id"),
    example={"conversation_id": CONVERSATION},
    sort=(("sequence_number", 1),),
    projection={
        "_id": 0,
        "sequence_number": 1,
        "message_id": 1,
        "message_type": 1,
        "status": 1,
        "user_id": 1,
        "character_id": 1,
        "relationships.conversation_branch": 1,
        "content.content_hash": 1,
        "client_metadata.content_fingerprint": 1,
        "client_metadata.request_fields": 1,
        "custom_metadata": 1,
    },
)


MESSAGE_BY_ID = Query(
    name="messages.by_id",
    collection="messages",
    purpose="One message",
    index="idx_message_id_unique",
    build=equal("conversation_id", "message_id"),
    example={"conversation_id": CONVERSATION, "message_id": MESSAGE},
)


MESSAGE_AT_REVISION = Query(
    name="messages.at_revision",
    collection="messages",
    purpose="One message, if nobody has changed it since it was read",
    index="idx_message_id_unique",
    build=equal("conversation_id", "message_id", "revision"),
    example={"conversation_id": CONVERSATION, "message_id": MESSAGE, "revision": 1},
    examined_slack=1,
)


def _at_usage(conversation_id: str, message_id: str, usage_revision: int | None) -> Filter:
    # Equality with null finds a message that has no figures yet.
    return {
        "conversation_id": conversation_id,
        "message_id": message_id,
        "token_usage.revision": usage_revision,
    }


MESSAGE_AT_USAGE = Query(
    name="messages.at_usage",
    collection="messages",
    purpose="One message, if nobody has changed its usage since it was read",
    index="idx_message_id_unique",
    build=_at_usage,
    example={"conversation_id": CONVERSATION, "message_id": MESSAGE, "usage_revision": 1},
    examined_slack=1,
)


MESSAGES_BY_IDS = Query(
    name="messages.by_ids",
    collection="messages",
    purpose="Which of these messages are stored",
    index="idx_message_id_unique",
    build=_by_message_ids,
    example={"conversation_id": CONVERSATION, "message_ids": [MESSAGE]},
)


MESSAGES_BY_CLIENT_IDS = Query(
    name="messages.by_client_ids",
    collection="messages",
    purpose="What was stored under these idempotency keys",
    index="idx_client_message_id",
    build=_by_client_ids,
    example={"conversation_id": CONVERSATION, "client_msg_ids": ["a"]},
)


def _user_page(
    user_id: str,
    before: tuple[datetime, Any] | None,
    since: datetime | None,
    left_out: Sequence[str],
) -> Filter:
    chosen: Filter = {"user_id": user_id, "status": {"$nin": list(left_out)}}
    if since is not None:
        chosen["timestamps.created_at"] = {"$gte": since}
    if before is not None:
        moment, tie = before
        chosen["$or"] = [
            {"timestamps.created_at": {"$lt": moment}},
            {"timestamps.created_at": moment, "_id": {"$lt": tie}},
        ]
        chosen.setdefault("timestamps.created_at", {})["$lte"] = moment
    return chosen


USER_PAGE = Query(
    name="messages.by_user",
    collection="messages",
    purpose="Temporal paging of a user's messages over all conversations, newest first",
    index="idx_user_chronological",
    build=_user_page,
    example={"user_id": USER, "before": None, "since": None, "left_out": ["deleted"]},
    sort=(("timestamps.created_at", -1), ("_id", -1)),
    projection={**PAGE_FIELDS, "_id": 1},
    examined_ratio=1.2,
    examined_slack=5,
    scatter=BY_USER_REASON,
)


USER_TOKENS = Query(
    name="messages.tokens_by_user",
    collection="messages",
    purpose="Token analytics of a user by provider and model",
    index="idx_token_analytics",
    build=_user_tokens,
    example={"user_id": USER, "since": THEN, "until": LATER},
    stages=(
        {
            "$group": {
                "_id": {"provider": "$llm_metadata.provider", "model": "$llm_metadata.model"},
                "total_tokens": {"$sum": "$token_usage.total_tokens"},
                "total_cost": {"$sum": "$token_usage.total_cost"},
                "message_count": {"$sum": 1},
                "avg_tokens": {"$avg": "$token_usage.total_tokens"},
            }
        },
        {"$sort": {"total_tokens": -1, "_id": 1}},
    ),
    scatter=BY_USER_REASON,
)


DUPLICATES = Query(
    name="messages.duplicates",
    collection="messages",
    purpose="Duplicate detection: messages of a conversation with this text",
    index="idx_deduplication",
    build=_duplicates,
    example={"conversation_id": CONVERSATION, "content_hash": "sha256:0"},
    projection={"_id": 0, "message_id": 1, "sequence_number": 1, "user_id": 1},
)


DAILY_STATS = Query(
    name="messages.daily_stats",
    collection="messages",
    purpose="One tenant's messages, tokens, cost, users and conversations by day",
    index="idx_temporal_pagination",
    build=_period,
    example={"since": THEN, "until": LATER},
    stages=DAILY_STATS_STAGES,
    scatter="a day's messages lie on every shard",
)
