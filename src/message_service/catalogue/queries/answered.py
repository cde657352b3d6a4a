"""The queries on `messages` that say what a reply answers."""

from __future__ import annotations

from message_service.catalogue.queries.messages import BRANCH_EXAMPLE, branch_page
from message_service.catalogue.queries.parts import CONVERSATION, equal
from message_service.database.query import Query

BRANCH_END = Query(
    name="messages.branch_end",
    collection="messages",
    purpose="The last messages of a branch: what a reply answers",
    index="idx_branch_history",
    build=branch_page,
    example=BRANCH_EXAMPLE,
    sort=(("sequence_number", -1),),
    projection={
        "_id": 0,
        "message_id": 1,
        "role": 1,
        "content.content_hash": 1,
    },
    examined_slack=1,
)


CONVERSATION_END = Query(
    name="messages.end",
    collection="messages",
    purpose="The highest number of a conversation, and whether its holder is what a reply answers",
    index="idx_conversation_sequence",
    build=equal("conversation_id"),
    example={"conversation_id": CONVERSATION},
    sort=(("sequence_number", -1),),
    projection={
        "_id": 0,
        "sequence_number": 1,
        "message_id": 1,
        "role": 1,
        "status": 1,
        "content.content_hash": 1,
    },
)
