"""The queries of prompt windows on `messages`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from message_service.catalogue.queries.messages import BRANCH_EXAMPLE, PAGE_FIELDS, branch_page
from message_service.catalogue.queries.parts import CONVERSATION
from message_service.database.query import Filter, Query


def _pinned(conversation_id: str) -> Filter:
    return {"conversation_id": conversation_id, "pinned": True}


_WINDOW_FIELDS: dict[str, Any] = {
    **PAGE_FIELDS,
    "content.token_count": 1,
    "content.reasoning_token_count": 1,
    "content.call_ids": 1,
    "content.tokenizer": 1,
    "content.content_hash": 1,
}


WINDOW_TOKENS = Query(
    name="messages.window_tokens",
    collection="messages",
    purpose="Token counts of a branch, newest first, from the index alone",
    index="idx_branch_history",
    build=branch_page,
    example=BRANCH_EXAMPLE,
    sort=(("sequence_number", -1),),
    projection={"_id": 0, "sequence_number": 1, "content.token_count": 1},
    examined_ratio=0,
)


WINDOW_MESSAGES = Query(
    name="messages.window",
    collection="messages",
    purpose="The messages of a prompt window, oldest first",
    index="idx_branch_history",
    build=branch_page,
    example=BRANCH_EXAMPLE,
    sort=(("sequence_number", 1),),
    projection=_WINDOW_FIELDS,
)


WINDOW_NEWEST = Query(
    name="messages.window_newest",
    collection="messages",
    purpose="The newest messages of a branch, which are all that a small prompt window needs",
    index="idx_branch_history",
    build=branch_page,
    example=BRANCH_EXAMPLE,
    sort=(("sequence_number", -1),),
    projection=_WINDOW_FIELDS,
)


def _by_call_ids(conversation_id: str, call_ids: Sequence[str]) -> Filter:
    return {"conversation_id": conversation_id, "content.call_ids": {"$in": list(call_ids)}}


MESSAGES_BY_CALL_IDS = Query(
    name="messages.by_call_ids",
    collection="messages",
    purpose="The messages that make or answer these tool calls",
    index="idx_tool_calls",
    build=_by_call_ids,
    example={"conversation_id": CONVERSATION, "call_ids": ["call_1"]},
    examined_slack=1,
)


PINNED = Query(
    name="messages.pinned",
    collection="messages",
    purpose="The pinned messages of a conversation",
    index="idx_pinned",
    build=_pinned,
    example={"conversation_id": CONVERSATION},
    sort=(("sequence_number", 1),),
)
