"""The queries on `conversation_summaries`."""

from __future__ import annotations

from message_service.catalogue.queries.parts import CONVERSATION, equal
from message_service.database.query import Query

SUMMARY_VERSIONS = Query(
    name="conversation_summaries.of_branch",
    collection="conversation_summaries",
    purpose="The versions of a branch's summary, oldest first",
    index="idx_summary_version_unique",
    build=equal("conversation_id", "branch"),
    example={"conversation_id": CONVERSATION, "branch": "main"},
    sort=(("version", 1),),
)
