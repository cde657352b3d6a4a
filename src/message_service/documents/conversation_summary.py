"""The collection `conversation_summaries`: every version of every summary of a branch.

The last version of a branch's summary also stands in its conversation, for prompt windows. No
message is ever replaced by a summary.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

from message_service.documents.fields import (
    MAX_TEXT_CODE_POINTS,
    BranchName,
    ConversationId,
    Count,
    Moment,
    Name,
    StoredDocument,
    TenantId,
)
from message_service.documents.token_usage import TokenUsage


class ConversationSummary(StoredDocument):
    """One version of a summary.

    Attributes:
        version: From 1, without holes.
        up_to_sequence: The last message it covers.
        source_tokens: Tokens of the messages it stands for, if known.
        made_by: The model that wrote it, as `provider/model`; None for a caller's.
        token_usage: What that took, in tokens and money.
    """

    tenant_id: TenantId
    conversation_id: ConversationId
    branch: BranchName
    version: Count
    text: Annotated[str, StringConstraints(max_length=MAX_TEXT_CODE_POINTS)]
    up_to_sequence: Count
    token_count: Count
    source_tokens: Count | None = None
    made_by: Name | None = None
    token_usage: TokenUsage | None = None
    created_at: Moment

    class Settings:
        """Beanie's settings."""

        name = "conversation_summaries"
