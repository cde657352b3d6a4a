"""The messages that usage reports read; what they are grouped by is added to it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from message_service.catalogue.queries.parts import CONVERSATION, LATER, THEN, USER
from message_service.database.query import Filter, Query
from message_service.documents.message import MessageType

_TOMBSTONES = 1.1
"""Documents read for each message, those among them that fill a number being left out."""


def _said(since: datetime, until: datetime, **fields: Any) -> Filter:
    """Return the filter for a period's messages; deleted ones too, since they were paid."""
    return {
        **fields,
        "timestamps.created_at": {"$gte": since, "$lt": until},
        "message_type": {"$ne": MessageType.TOMBSTONE.value},
    }


def _all(since: datetime, until: datetime, character_id: str | None) -> Filter:
    return _said(since, until, **_given(character_id))


def _of_user(user_id: str, since: datetime, until: datetime, character_id: str | None) -> Filter:
    return _said(since, until, user_id=user_id, **_given(character_id))


def _of_conversation(
    conversation_id: str,
    since: datetime,
    until: datetime,
    user_id: str | None,
    character_id: str | None,
) -> Filter:
    named = {} if user_id is None else {"user_id": user_id}
    return _said(since, until, conversation_id=conversation_id, **named, **_given(character_id))


def _given(character_id: str | None) -> Filter:
    return {} if character_id is None else {"character_id": character_id}


USAGE_REPORT = Query(
    name="usage.report",
    collection="messages",
    purpose="Tokens and cost of a period",
    index="idx_temporal_pagination",
    build=_all,
    example={"since": THEN, "until": LATER, "character_id": None},
    examined_ratio=_TOMBSTONES,
    scatter="a tenant's conversations lie on every shard",
)

USAGE_REPORT_OF_USER = Query(
    name="usage.report_of_user",
    collection="messages",
    purpose="Tokens and cost of a user in a period",
    index="idx_user_chronological",
    build=_of_user,
    example={"user_id": USER, "since": THEN, "until": LATER, "character_id": None},
    examined_ratio=_TOMBSTONES,
    scatter="a user's conversations lie on every shard",
)

USAGE_REPORT_OF_CONVERSATION = Query(
    name="usage.report_of_conversation",
    collection="messages",
    purpose="Tokens and cost of a conversation in a period",
    index="idx_hot_conversation_data",
    build=_of_conversation,
    example={
        "conversation_id": CONVERSATION,
        "since": THEN,
        "until": LATER,
        "user_id": None,
        "character_id": None,
    },
    examined_ratio=_TOMBSTONES,
)
