"""The collection `messages`: one document per message, with all fields of the source design.

Additions to the design: `tenant_id`, `revision` (guards edits; the design's `version` is that of
the schema), `pinned`, `tombstone`, `previous_status`, `content.token_count` and
`content.tokenizer`, `client_metadata.content_fingerprint`, `enrichment`, the timestamps of
deletion, edit and archiving, and `delete_at` (set only after an archive is verified; the TTL index
uses no other field).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, model_validator

from message_service.documents.fields import (
    MAX_TEXT_CODE_POINTS,
    BranchName,
    CharacterId,
    ConversationId,
    Count,
    Digest,
    Embedded,
    Labels,
    MessageId,
    Milliseconds,
    Moment,
    Name,
    Note,
    OpenEmbedded,
    Score,
    StoredDocument,
    TenantId,
    UserId,
)
from message_service.documents.parts import MAX_PARTS, Part, texts_agree
from message_service.documents.token_usage import TokenUsage

SCHEMA_VERSION = 1
"""Version of the document layout, stored in every message as `version`."""


class Role(StrEnum):
    """The author of a message. `tool`, for tool results, is added to the design's three roles."""

    USER = "user"
    ASSISTANT = "assistant"
    SYSTEM = "system"
    TOOL = "tool"


class MessageType(StrEnum):
    """The kind of a message. `tombstone` fills a sequence number whose message was lost."""

    STANDARD = "standard"
    TEMPLATE = "template"
    SYSTEM = "system"
    ERROR = "error"
    TOMBSTONE = "tombstone"


class MessageStatus(StrEnum):
    """The state of a message.

    `hidden`, which the design lacks, is for what was said but not meant to be read: system nudges,
    memories, discarded drafts. History, prompt windows and search leave it out unless asked.
    """

    ACTIVE = "active"
    ARCHIVED = "archived"
    FLAGGED = "flagged"
    HIDDEN = "hidden"
    DELETED = "deleted"


class RetentionPolicy(StrEnum):
    """How long a message is kept."""

    STANDARD = "standard"
    EXTENDED = "extended"
    PERMANENT = "permanent"


class DataClassification(StrEnum):
    """How sensitive a message is."""

    STANDARD = "standard"
    SENSITIVE = "sensitive"
    CONFIDENTIAL = "confidential"


class BackupStatus(StrEnum):
    """The design's backup state per document; the service keeps it in the backup's manifest."""

    BACKED_UP = "backed_up"
    PENDING = "pending"
    FAILED = "failed"


class Content(Embedded):
    """The text, the other parts, and the values derived from them.

    Attributes:
        text: The readable text; empty only when there are parts.
        parts: All parts in order; absent in a message of plain text.
        call_ids: The ids of the tool calls that the message makes or answers.
        content_hash: Digest of text and parts.
        token_count: Tokens of the message in a prompt, without its reasoning.
        reasoning_token_count: Estimated tokens of its reasoning.
    """

    text: Annotated[str, StringConstraints(max_length=MAX_TEXT_CODE_POINTS)]
    parts: Annotated[list[Part], Field(max_length=MAX_PARTS)] | None = None
    call_ids: Labels | None = None
    sanitized_text: Annotated[str, StringConstraints(max_length=MAX_TEXT_CODE_POINTS)] | None = None
    detected_language: Name | None = None
    content_hash: Digest | None = None
    word_count: Count | None = None
    character_count: Count | None = None
    estimated_reading_time_seconds: Count | None = None
    token_count: Count | None = None
    reasoning_token_count: Count | None = None
    tokenizer: Name | None = None
    edited_by: Name | None = None

    @model_validator(mode="after")
    def _texts_agree(self) -> Self:
        if self.parts is not None and not texts_agree(self.text, self.parts):
            raise ValueError("text is not the text of the parts")
        return self


class LlmMetadata(Embedded):
    """The model that wrote the message, and the parameters of the request."""

    provider: Name | None = None
    model: Name | None = None
    model_version: Name | None = None
    temperature: Annotated[float, Field(ge=0)] | None = None
    max_tokens: Count | None = None
    top_p: Score | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    stop_sequences: Labels | None = None
    request_id: Name | None = None
    finish_reason: Name | None = None


class ContextMetadata(Embedded):
    """The context window from which a reply was generated."""

    context_window_size: Count | None = None
    messages_in_context: Count | None = None
    context_tokens: Count | None = None
    context_hash: Digest | None = None
    context_compression_ratio: Annotated[float, Field(ge=0)] | None = None
    effective_context_length: Count | None = None


class ProcessingMetadata(Embedded):
    """How the message was processed; durations as reported by the caller."""

    processing_time_ms: Milliseconds | None = None
    queue_time_ms: Milliseconds | None = None
    llm_processing_time_ms: Milliseconds | None = None
    time_to_first_token_ms: Milliseconds | None = None
    post_processing_time_ms: Milliseconds | None = None
    total_latency_ms: Milliseconds | None = None
    retry_count: Count | None = None
    error_count: Count | None = None
    worker_id: Name | None = None
    processing_node: Name | None = None


class SafetyMetadata(Embedded):
    """The safety verdict."""

    content_filtered: bool | None = None
    safety_score: Score | None = None
    detected_issues: Labels | None = None
    moderation_flags: Labels | None = None
    filter_version: Name | None = None
    manual_review_required: bool | None = None
    approved_by_moderator: Name | None = None


class Timestamps(Embedded):
    """The moments of a message's life cycle; only `created_at` is always present."""

    created_at: Moment
    received_at: Moment | None = None
    queued_at: Moment | None = None
    processing_started_at: Moment | None = None
    processed_at: Moment | None = None
    llm_response_at: Moment | None = None
    completed_at: Moment | None = None
    last_modified_at: Moment | None = None
    edited_at: Moment | None = None
    deleted_at: Moment | None = None
    archived_at: Moment | None = None


class ClientMetadata(Embedded):
    """The client that sent the message; `client_msg_id` is the idempotency key.

    `content_fingerprint` and `request_fields` distinguish a repeated request from a different one.
    """

    client_msg_id: Name | None = None
    content_fingerprint: Digest | None = None
    request_fields: dict[str, str] | None = None
    client_version: Name | None = None
    user_agent: Note | None = None
    ip_address: Name | None = None
    platform: Name | None = None
    session_id: Name | None = None
    request_headers: dict[str, Any] | None = None


class CustomMetadata(OpenEmbedded):
    """Facts from the application and the enrichers; more fields may be added."""

    intent: Name | None = None
    sentiment: Name | None = None
    confidence: Score | None = None
    topics: Labels | None = None
    urgency: Name | None = None
    complexity_score: Score | None = None
    user_satisfaction: Score | None = None
    follow_up_required: bool | None = None
    tagged_by_user: Labels | None = None
    bookmarked: bool | None = None
    shared: bool | None = None


class Relationships(Embedded):
    """Links to other messages of the conversation, and the branch of the message.

    `continues_message_id` names the message that this one is a further piece of (see
    `messages.continuations`).
    """

    parent_message_id: MessageId | None = None
    reply_to_message_id: MessageId | None = None
    related_message_ids: Annotated[list[MessageId], Field(max_length=1_000)] | None = None
    thread_id: Name | None = None
    continues_message_id: MessageId | None = None
    conversation_branch: BranchName = "main"


class UserFeedback(Embedded):
    """The reader's opinion of a message."""

    rating: Name
    comment: Note | None = None
    tags: Labels | None = None
    given_by: Name | None = None
    given_at: Moment | None = None


EvaluatedField = Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,64}$")]


class QualityMetadata(Embedded):
    """Evaluators' scores and the user's feedback.

    Attributes:
        evaluated_by: For each score that the service made, "evaluator/version"; a score that is not
            named in it was given by the caller.
        evaluated_revision: The revision of the message that was judged last.
    """

    coherence_score: Score | None = None
    relevance_score: Score | None = None
    helpfulness_score: Score | None = None
    factual_accuracy: Score | None = None
    language_quality: Score | None = None
    creativity_score: Score | None = None
    repetition_score: Score | None = None
    refusal_score: Score | None = None
    evaluated_by: dict[EvaluatedField, Name] | None = None
    evaluated_revision: Count | None = None
    user_feedback: UserFeedback | None = None


class Enrichment(Embedded):
    """The progress of enrichment and of the search index for this message.

    `pending` is set in the same atomic write that changes a message, and removed when its search
    entry is written: the pending messages are the indexer's backlog.
    """

    version: Name | None = None
    enriched_at: Moment | None = None
    language_confidence: Score | None = None
    pending: Annotated[int, Field(ge=1, le=2)] | None = None
    """1: written or changed by a caller; 2: bulk work (imports, new enricher versions)."""
    pending_since: Moment | None = None
    given: Labels | None = None
    """Paths filled by the caller; enrichers do not overwrite them."""
    failed: Labels | None = None
    """Enrichers that raised an error on this text, or the reason why it could not be indexed."""
    refused: Name | None = None
    """Why the search index has no current entry of the message; absent when there is an entry."""


class WorkMark(Embedded):
    """The mark of one follower (`catalogue.follower`), removed when the follower's work is done."""

    pending: Annotated[int, Field(ge=1, le=2)] | None = None
    pending_since: Moment | None = None


class Tombstone(Embedded):
    """The reason why a sequence number has no message."""

    reason: Name
    closed_at: Moment


class Message(StoredDocument):
    """One message of one conversation of one tenant."""

    tenant_id: TenantId
    message_id: MessageId
    conversation_id: ConversationId
    user_id: UserId
    character_id: CharacterId | None = None
    content: Content
    role: Role
    message_type: MessageType = MessageType.STANDARD
    status: MessageStatus = MessageStatus.ACTIVE
    previous_status: MessageStatus | None = None
    sequence_number: Annotated[int, Field(ge=1, le=2**63 - 1)]
    llm_metadata: LlmMetadata | None = None
    token_usage: TokenUsage | None = None
    context_metadata: ContextMetadata | None = None
    processing_metadata: ProcessingMetadata | None = None
    safety_metadata: SafetyMetadata | None = None
    timestamps: Timestamps
    client_metadata: ClientMetadata | None = None
    custom_metadata: CustomMetadata | None = None
    relationships: Relationships = Field(default_factory=Relationships)
    quality_metadata: QualityMetadata | None = None
    enrichment: Enrichment | None = None
    marks: dict[Name, WorkMark] | None = None
    """Pending work after a change, by follower; the mark of search is in `enrichment`."""
    pinned: bool | None = None
    tombstone: Tombstone | None = None
    version: Count = SCHEMA_VERSION
    revision: Count = 1
    partition_key: ConversationId
    data_classification: DataClassification = DataClassification.STANDARD
    retention_policy: RetentionPolicy = RetentionPolicy.STANDARD
    archived_to_cold_storage: bool = False
    backup_status: BackupStatus | None = None
    checksum: Digest | None = None
    delete_at: Moment | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        said = self.content.text or self.content.parts
        if not said and self.message_type is not MessageType.TOMBSTONE:
            raise ValueError("content has neither text nor parts; only a tombstone may be empty")
        return self

    class Settings:
        """Beanie's settings."""

        name = "messages"


class MessageVersion(StoredDocument):
    """The content of a message before an edit (collection `message_versions`)."""

    tenant_id: TenantId
    conversation_id: ConversationId
    message_id: MessageId
    revision: Count
    content: Content
    replaced_at: Moment

    class Settings:
        """Beanie's settings."""

        name = "message_versions"
