"""The queries on `reply_entries`."""

from __future__ import annotations

from message_service.catalogue.queries.parts import CONVERSATION
from message_service.database.query import Filter, Query

_REPLY = "job_000000000000"


def _after(conversation_id: str, reply_id: str, after: int) -> Filter:
    return {"conversation_id": conversation_id, "reply_id": reply_id, "number": {"$gt": after}}


ENTRIES_AFTER = Query(
    name="reply_entries.after",
    collection="reply_entries",
    purpose="What a reply says after an entry, in order",
    index="idx_reply_entry_unique",
    build=_after,
    example={"conversation_id": CONVERSATION, "reply_id": _REPLY, "after": -1},
    sort=(("number", 1),),
    projection={"_id": 0},
)

LAST_ENTRY = Query(
    name="reply_entries.last",
    collection="reply_entries",
    purpose="The last entry of a reply",
    index="idx_reply_entry_unique",
    build=_after,
    example={"conversation_id": CONVERSATION, "reply_id": _REPLY, "after": -1},
    sort=(("number", -1),),
    projection={"_id": 0},
)
