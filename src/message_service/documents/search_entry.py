"""The collection `message_search_index`: one entry per searchable message.

Additions to the design: `tenant_id`, `indexed_content.terms` (the terms of our own index),
`sequence_number`, `revision` and `content_hash` of the indexed message, `delete_at`, and the filter
fields in `search_metadata`. When a message is deleted, its entry is reduced to the revision, marked
`removed` and kept for a day, so that a stalled indexer cannot restore the entry.
`search_weights.recency_score` is not written: a score computed at indexing would be wrong a week
later, so recency is computed at query time.
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

_SLACK = 1_000  # room for the last word or piece, and for the terms of features and topics
_Text = Annotated[str, StringConstraints(max_length=MAX_TEXT_CODE_POINTS)]
_Form = Annotated[str, StringConstraints(max_length=MAX_FORM + _SLACK)]
_Terms = Annotated[list[str], Field(max_length=MAX_TERMS + _SLACK)]


class IndexedContent(Embedded):
    """The text in the forms that queries match."""

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
    """The fields by which results are filtered.

    MongoDB would take `language` for a language override of the text index; therefore the index
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
    """The scores that ranking adds to text relevance."""

    importance_score: Score | None = None
    recency_score: Score | None = None
    engagement_score: Score | None = None
    quality_score: Score | None = None


class EarlierWeights(Embedded):
    """The weights that were valid until a moment, for listings that began before it."""

    until: Moment
    weights: SearchWeights


class SearchEntry(StoredDocument):
    """One searchable message.

    Attributes:
        content_indexed_at: When this text became searchable; unlike `last_indexed_at`, it does not
            change when only other fields change.
        earlier_weights: The recent earlier weights of the entry, oldest first.
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
