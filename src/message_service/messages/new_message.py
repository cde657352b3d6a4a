"""The fields a caller may give for a new message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

from message_service import errors
from message_service.documents.fields import (
    BranchName,
    CharacterId,
    Count,
    MessageId,
    Name,
    SaidAt,
    Text,
    UserId,
)
from message_service.documents.message import (
    ClientMetadata,
    ContextMetadata,
    CustomMetadata,
    DataClassification,
    LlmMetadata,
    MessageStatus,
    MessageType,
    ProcessingMetadata,
    QualityMetadata,
    RetentionPolicy,
    Role,
    SafetyMetadata,
)
from message_service.documents.parts import CallId, GivenCall, Part
from message_service.documents.token_usage import GivenUsage
from message_service.documents.validation import checked


def plain_block(value: object) -> object:
    """Return the fields of a block that is an object of the provider's own package."""
    dump = getattr(value, "model_dump", None)
    return dump(exclude_none=True) if callable(dump) and isinstance(value, BaseModel) else value


UsageBlock = Annotated[dict[str, Any], BeforeValidator(plain_block)]
"""A provider's usage block."""


class Stations(BaseModel):
    """Times of processing steps a caller may report besides `created_at`."""

    model_config = ConfigDict(extra="forbid")

    received_at: SaidAt | None = None
    queued_at: SaidAt | None = None
    processing_started_at: SaidAt | None = None
    processed_at: SaidAt | None = None
    llm_response_at: SaidAt | None = None
    completed_at: SaidAt | None = None


class NewMessage(BaseModel):
    """A new message as given by the caller.

    Only `role` and a text or parts are required. Ids, number, times, counts and digests are
    derived; the groups are those of the source design and are stored as given.

    Attributes:
        text: The text; may be left out when the parts hold it or there is none.
        parts: The parts in order, for a message that is more than a text (`documents.parts`).
        tool_calls: Short form for an assistant's message: the calls after its text; also in the
            form of OpenAI's API.
        tool_call_id: Short form for a tool's message: the call that the text is the result of.
        client_msg_id: Idempotency key within the conversation; lives as long as the message.
        branch: Branch to append to; None means the conversation's active branch.
        parent_message_id: The message this one answers; must exist in the conversation.
        continues_message_id: The message that this one is a further piece of, because its text was
            too long for one.
        created_at: When it was said, if not now (imports); from 1900 to 2999.
        token_count: Tokens of text and parts, if the caller knows; with `tokenizer` naming the
            counter.
        usage: The provider's usage block as it came; empty when it reported nothing. Provider and
            model are those of `llm_metadata`.
        token_usage: The caller's own counts or costs; with `usage`, costs and tier only.
    """

    model_config = ConfigDict(extra="forbid")

    role: Role
    text: Text = ""
    parts: list[Part] | None = None
    tool_calls: list[GivenCall] | None = None
    tool_call_id: CallId | None = None
    message_id: MessageId | None = None
    client_msg_id: Name | None = None
    user_id: UserId | None = None
    character_id: CharacterId | None = None
    branch: BranchName | None = None
    parent_message_id: MessageId | None = None
    reply_to_message_id: MessageId | None = None
    related_message_ids: list[MessageId] | None = None
    thread_id: Name | None = None
    continues_message_id: MessageId | None = None
    message_type: MessageType = MessageType.STANDARD
    status: MessageStatus = MessageStatus.ACTIVE
    created_at: SaidAt | None = None
    stations: Stations | None = None
    detected_language: Name | None = None
    token_count: Count | None = None
    tokenizer: Name | None = None
    pinned: bool | None = None
    llm_metadata: LlmMetadata | None = None
    usage: UsageBlock | None = None
    token_usage: GivenUsage | None = None
    context_metadata: ContextMetadata | None = None
    processing_metadata: ProcessingMetadata | None = None
    safety_metadata: SafetyMetadata | None = None
    client_metadata: ClientMetadata | None = None
    custom_metadata: CustomMetadata | None = None
    quality_metadata: QualityMetadata | None = None
    data_classification: DataClassification = DataClassification.STANDARD
    retention_policy: RetentionPolicy = RetentionPolicy.STANDARD


def check_new_message(values: Mapping[str, Any] | NewMessage) -> NewMessage:
    """Return a caller's values as a checked message.

    Raises:
        InvalidInput: A field is unknown, missing or out of range.
    """
    if isinstance(values, NewMessage):
        return values
    if not isinstance(values, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise errors.InvalidInput("message", "has no fields", "Give a mapping of NewMessage fields")
    return checked(NewMessage, values)
