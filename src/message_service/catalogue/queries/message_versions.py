"""The queries on `message_versions`."""

from __future__ import annotations

from message_service.catalogue.queries.parts import (
    CONVERSATION,
    MESSAGE,
    equal,
)
from message_service.database.query import Filter, Query


def _versions(conversation_id: str, message_id: str, before_revision: int) -> Filter:
    return {
        "conversation_id": conversation_id,
        "message_id": message_id,
        "revision": {"$lt": before_revision},
    }


VERSIONS = Query(
    name="message_versions.of_message",
    collection="message_versions",
    purpose="What a message said before its edits, oldest first",
    index="idx_version_unique",
    build=_versions,
    example={"conversation_id": CONVERSATION, "message_id": MESSAGE, "before_revision": 2},
    sort=(("revision", 1),),
)


CONVERSATION_VERSIONS = Query(
    name="message_versions.of_conversation",
    collection="message_versions",
    purpose="All earlier versions in a conversation, for export",
    index="idx_version_unique",
    build=equal("conversation_id"),
    example={"conversation_id": CONVERSATION},
    sort=(("message_id", 1), ("revision", 1)),
    projection={"_id": 0},
)
