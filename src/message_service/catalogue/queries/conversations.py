"""The queries on `conversations` and `conversation_branches`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from message_service.catalogue.queries.parts import (
    BY_USER_REASON,
    CONVERSATION,
    USER,
    equal,
)
from message_service.database.query import Filter, Query


def _by_conversation_ids(conversation_ids: Sequence[str]) -> Filter:
    return {"conversation_id": {"$in": list(conversation_ids)}}


def _behind(conversation_id: str, number: int) -> Filter:
    return {"conversation_id": conversation_id, "last_sequence_number": {"$lt": number}}


CONVERSATION_BY_ID = Query(
    name="conversations.by_id",
    collection="conversations",
    purpose="One conversation",
    index="idx_conversation_id_unique",
    build=equal("conversation_id"),
    example={"conversation_id": CONVERSATION},
    projection={"_id": 0},
)


def _at_mark(
    conversation_id: str, revision: int, fingerprint: str | None, completed: bool | None
) -> Filter:
    return {
        "conversation_id": conversation_id,
        "revision": revision,
        "import_source.fingerprint": fingerprint,
        "import_source.completed": completed,
    }


CONVERSATION_AT_MARK = Query(
    name="conversations.at_mark",
    collection="conversations",
    purpose="One conversation as an import has read it, to mark it as imported",
    index="idx_conversation_id_unique",
    build=_at_mark,
    example={
        "conversation_id": CONVERSATION,
        "revision": 1,
        "fingerprint": None,
        "completed": None,
    },
    examined_slack=1,
)

CONVERSATION_AT_REVISION = Query(
    name="conversations.at_revision",
    collection="conversations",
    purpose="One conversation, if nobody has changed it since it was read",
    index="idx_conversation_id_unique",
    build=equal("conversation_id", "revision"),
    example={"conversation_id": CONVERSATION, "revision": 1},
    examined_slack=1,
)


def _showing(conversation_id: str, message_id: str | None) -> Filter:
    return {"conversation_id": conversation_id, "last_message.message_id": message_id}


CONVERSATION_SHOWING = Query(
    name="conversations.showing",
    collection="conversations",
    purpose="One conversation, if lists still show this message of it",
    index="idx_conversation_id_unique",
    build=_showing,
    example={"conversation_id": CONVERSATION, "message_id": None},
    examined_slack=1,
)


CONVERSATION_BEHIND = Query(
    name="conversations.behind",
    collection="conversations",
    purpose="One conversation, if it does not know of this number yet",
    index="idx_conversation_id_unique",
    build=_behind,
    example={"conversation_id": CONVERSATION, "number": 1},
    examined_slack=1,
)


CONVERSATIONS_BY_IDS = Query(
    name="conversations.by_ids",
    collection="conversations",
    purpose="Several conversations",
    index="idx_conversation_id_unique",
    build=_by_conversation_ids,
    example={"conversation_ids": [CONVERSATION]},
    projection={"_id": 0},
)


def _recent(before: tuple[datetime, str] | None, **subject: str) -> Filter:
    chosen: Filter = dict(subject)
    if before is not None:
        moment, tie = before
        chosen["last_activity_at"] = {"$lte": moment}
        chosen["$or"] = [
            {"last_activity_at": {"$lt": moment}},
            {"last_activity_at": moment, "conversation_id": {"$lt": tie}},
        ]
    return chosen


_RECENT_SORT = (("last_activity_at", -1), ("conversation_id", -1))


CONVERSATIONS_RECENT = Query(
    name="conversations.recent",
    collection="conversations",
    purpose="A tenant's conversations, latest first",
    index="idx_conversation_recent",
    build=_recent,
    example={"before": None},
    sort=_RECENT_SORT,
    projection={"_id": 0},
    examined_ratio=1.2,
    examined_slack=5,
    scatter="a tenant's conversations lie on every shard",
)


CONVERSATIONS_BY_USER = Query(
    name="conversations.by_user",
    collection="conversations",
    purpose="A user's conversations, latest first",
    index="idx_conversation_owner",
    build=_recent,
    example={"before": None, "user_id": USER},
    sort=_RECENT_SORT,
    projection={"_id": 0},
    examined_ratio=1.2,
    examined_slack=5,
    scatter=BY_USER_REASON,
)


CONVERSATIONS_BY_CHARACTER = Query(
    name="conversations.by_character",
    collection="conversations",
    purpose="A character's conversations, latest first",
    index="idx_conversation_character",
    build=_recent,
    example={"before": None, "character_id": "char_000000000000"},
    sort=_RECENT_SORT,
    projection={"_id": 0},
    examined_ratio=1.2,
    examined_slack=5,
    scatter="a character's conversations lie on every shard",
)


CONVERSATION_IDS = Query(
    name="conversations.ids",
    collection="conversations",
    purpose="Every conversation of a tenant by id, for export and checks",
    index="idx_conversation_recent",
    build=dict,
    example={},
    sort=_RECENT_SORT,
    projection={"_id": 0, "conversation_id": 1},
    scatter="a tenant's conversations lie on every shard",
)


BRANCHES_OF_CONVERSATION = Query(
    name="conversation_branches.of_conversation",
    collection="conversation_branches",
    purpose="Where the branches of a conversation leave one another",
    index="idx_branch_unique",
    build=equal("conversation_id"),
    example={"conversation_id": CONVERSATION},
    sort=(("branch", 1),),
    projection={"_id": 0},
)
