"""The collection `message_search_index`: one entry per searchable message.

Additions to the design: `tenant_id`, `indexed_content.terms` (what our own index looks up),
`sequence_number`, `revision` and `content_hash` of the message indexed, `delete_at`, and in
`search_metadata` what searches filter by. `removed` marks what is left of the entry of a deleted
message for a day: its revision, so that an indexer that was frozen cannot bring it back.
`search_weights.recency_score` is left out when written: a score frozen at indexing is wrong a week
later, so recency is worked out at query time.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from message_service.documents.fields import (
    MAX_TEXT_CODE_POINTS,
    CharacterId,
    ConversationId,
    Count,
    Digest,
    Embedded,
    Labels,
    MessageId,
    Moment,
    Name,
    Score,
    StoredDocument,
    TenantId,
    UserId,
)
from message_service.documents.message import MessageStatus, MessageType, Role
from message_service.enrichment.limits import MAX_FORM, MAX_TERMS

_SLACK = 1_000  # the last word or piece, and terms that stand for features and topics
_Text = Annotated[str, StringConstraints(max_length=MAX_TEXT_CODE_POINTS)]
_Form = Annotated[str, StringConstraints(max_length=MAX_FORM + _SLACK)]
_Terms = Annotated[list[str], Field(max_length=MAX_TERMS + _SLACK)]


class IndexedContent(Embedded):
    """The text in the forms a query may meet it."""

    full_text: _Text
    normalized_text: _Form | None = None
    stemmed_text: _Form | None = None
    tokens: _Terms | None = None
    bigrams: _Terms | None = None
    trigrams: _Terms | None = None
    entities: Labels | None = None
    keywords: Labels | None = None
    terms: _Terms | None = None


class SearchMetadata(Embedded):
    """What results are filtered by.

    `language` lies beside indexed text and would be taken for a text-index override; the index
    declares another override field (see `docs/deviations.md`).
    """

    language: Name | None = None
    sentiment: Name | None = None
    topics: Labels | None = None
    intent: Name | None = None
    role: Role | None = None
    message_type: MessageType | None = None
    status: MessageStatus | None = None
    model: Name | None = None
    provider: Name | None = None
    character_id: CharacterId | None = None
    features: Labels | None = None


class SearchWeights(Embedded):
    """What ranking adds to text relevance."""

    importance_score: Score | None = None
    recency_score: Score | None = None
    engagement_score: Score | None = None
    quality_score: Score | None = None


class EarlierWeights(Embedded):
    """The weights up to a moment, for listings that began before it."""

    until: Moment
    weights: SearchWeights


class SearchEntry(StoredDocument):
    """One searchable message.

    Attributes:
        content_indexed_at: Since when this text is searchable; unlike `last_indexed_at` it stays
            when only something beside the text changes.
        earlier_weights: The weights it had of late, oldest first.
    """

    tenant_id: TenantId
    message_id: MessageId
    conversation_id: ConversationId
    user_id: UserId
    sequence_number: Count | None = None
    revision: Count | None = None
    content_hash: Digest | None = None
    indexed_content: IndexedContent
    search_metadata: SearchMetadata | None = None
    search_weights: SearchWeights | None = None
    created_at: Moment
    last_indexed_at: Moment | None = None
    content_indexed_at: Moment | None = None
    earlier_weights: list[EarlierWeights] | None = None
    index_version: Name | None = None
    removed: bool | None = None
    delete_at: Moment | None = None

    class Settings:
        """Beanie's settings."""

        name = "message_search_index"
