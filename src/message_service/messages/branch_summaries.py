"""Stores summaries of branches: a new version each time, the last one in the conversation."""

from __future__ import annotations

from dataclasses import dataclass

from message_service import errors
from message_service.catalogue.queries.conversations import (
    CONVERSATION_AT_REVISION,
    CONVERSATION_BY_ID,
)
from message_service.clock import Clock
from message_service.database.scope import Scope
from message_service.documents.conversation import Conversation, Summary
from message_service.documents.conversation_summary import ConversationSummary
from message_service.documents.row import Row
from message_service.documents.validation import checked


@dataclass(frozen=True, slots=True)
class NewSummary:
    """A summary to store.

    Attributes:
        branch: The branch it summarises.
        text: What it says.
        up_to_sequence: The last message it covers.
        token_count: Its tokens.
        source_tokens: Tokens of the messages it stands for, if known.
        made_by: The model that wrote it; None for a caller's.
        token_usage: What that took, as stored with messages.
        follows: The version it was made from; None follows any.
    """

    branch: str
    text: str
    up_to_sequence: int
    token_count: int
    source_tokens: int | None = None
    made_by: str | None = None
    token_usage: Row | None = None
    follows: int | None = None


def summary_of(conversation: Row, branch: str) -> Summary | None:
    """Return the summary of a branch that a conversation has."""
    for stored in conversation.get("summaries") or ():
        if stored["branch"] == branch:
            return Summary.model_validate(stored)
    return None


async def put_summary(
    within: Scope, clock: Clock, conversation_id: str, new: NewSummary
) -> Conversation:
    """Store the next version of a branch's summary, in a transaction.

    Args:
        within: The tenant's scope inside the transaction.
        clock: The present moment.
        conversation_id: The conversation.
        new: The summary.

    Raises:
        NotFound: No such conversation in this tenant.
        VersionConflict: The summary is at another version than it was made from.
        InvalidInput: A value is wrong.
    """
    row = await within.find_one(CONVERSATION_BY_ID, conversation_id=conversation_id)
    if row is None:
        raise errors.NotFound("conversation", conversation_id)
    before = summary_of(row, new.branch)
    version = 0 if before is None else before.version
    if new.follows is not None and new.follows != version:
        raise errors.VersionConflict(
            f"the summary of {conversation_id!r} is at version {version}, not {new.follows}",
            version=version,
        )
    now = clock.now()
    values = {
        "branch": new.branch,
        "text": new.text,
        "up_to_sequence": new.up_to_sequence,
        "token_count": new.token_count,
        "source_tokens": new.source_tokens,
        "version": version + 1,
    }
    summary = checked(Summary, {**values, "updated_at": now})
    kept = checked(
        ConversationSummary,
        {
            **values,
            "tenant_id": within.tenant_id,
            "conversation_id": conversation_id,
            "made_by": new.made_by,
            "token_usage": new.token_usage,
            "created_at": now,
        },
    )
    others = [each for each in row.get("summaries") or () if each["branch"] != new.branch]
    wanted = checked(Conversation, {**row, "summaries": [*others, summary.model_dump()]}).to_bson()
    if not await within.insert_one(
        "conversation_summaries", kept.to_bson(), comment="conversation_summaries.put"
    ):
        raise errors.VersionConflict(
            f"version {version + 1} of the summary of {conversation_id!r} is stored already",
            version=version,
        )
    changed = await within.find_and_update(
        CONVERSATION_AT_REVISION,
        {"$set": {"summaries": wanted["summaries"], "updated_at": now}, "$inc": {"revision": 1}},
        conversation_id=conversation_id,
        revision=row["revision"],
    )
    if changed is None:
        raise errors.VersionConflict(f"conversation {conversation_id!r} was changed meanwhile")
    changed.pop("_id")
    return Conversation.model_validate(changed)
