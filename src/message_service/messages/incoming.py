"""What a caller may say about a message, checked, and the document made of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

from beanie.odm.utils.encoder import Encoder
from pydantic import BaseModel, ConfigDict

from message_service import errors
from message_service.database.encoding import encoded_size
from message_service.documents.fields import (
    MAX_TEXT_BYTES,
    MAX_TEXT_CODE_POINTS,
    BranchName,
    CharacterId,
    Count,
    MessageId,
    Moment,
    Name,
    UserId,
)
from message_service.documents.message import (
    SCHEMA_VERSION,
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
    TokenUsage,
)
from message_service.documents.validation import checked
from message_service.enrichment import text_statistics
from message_service.enrichment.language import UNDETERMINED, detect_language
from message_service.messages import integrity

MAX_METADATA_BYTES = 16_384
"""Bound on the BSON size of each free-form part (custom metadata, request headers)."""

LIVE = 1
BACKLOG = 2
"""Ranks of `enrichment.pending`: what a caller just wrote comes before what can wait."""

LANGUAGE_PATH = "content.detected_language"

Row = dict[str, Any]


class Stations(BaseModel):
    """The stations of processing a caller may report beside `created_at`."""

    model_config = ConfigDict(extra="forbid")

    received_at: Moment | None = None
    queued_at: Moment | None = None
    processing_started_at: Moment | None = None
    processed_at: Moment | None = None
    llm_response_at: Moment | None = None
    completed_at: Moment | None = None


class NewMessage(BaseModel):
    """A message as a caller hands it in.

    Only `role` and `text` are needed. Ids, number, times, counts and digests are worked out; the
    groups are the source design's and are stored as given.

    Attributes:
        client_msg_id: Idempotency key within the conversation; lives as long as the message.
        branch: Branch to append to; None means the conversation's active branch.
        parent_message_id: The message this one answers; must exist in the conversation.
        created_at: When it was said, if not now (imports).
        token_count: Tokens of the text, if the caller knows; with `tokenizer` naming the counter.
    """

    model_config = ConfigDict(extra="forbid")

    role: Role
    text: str
    message_id: MessageId | None = None
    client_msg_id: Name | None = None
    user_id: UserId | None = None
    character_id: CharacterId | None = None
    branch: BranchName | None = None
    parent_message_id: MessageId | None = None
    reply_to_message_id: MessageId | None = None
    related_message_ids: list[MessageId] | None = None
    thread_id: Name | None = None
    message_type: MessageType = MessageType.STANDARD
    status: MessageStatus = MessageStatus.ACTIVE
    created_at: Moment | None = None
    stations: Stations | None = None
    detected_language: Name | None = None
    token_count: Count | None = None
    tokenizer: Name | None = None
    pinned: bool | None = None
    llm_metadata: LlmMetadata | None = None
    token_usage: TokenUsage | None = None
    context_metadata: ContextMetadata | None = None
    processing_metadata: ProcessingMetadata | None = None
    safety_metadata: SafetyMetadata | None = None
    client_metadata: ClientMetadata | None = None
    custom_metadata: CustomMetadata | None = None
    quality_metadata: QualityMetadata | None = None
    data_classification: DataClassification = DataClassification.STANDARD
    retention_policy: RetentionPolicy = RetentionPolicy.STANDARD


@dataclass(slots=True)
class Prepared:
    """A checked message, complete but for what the moment of writing decides.

    The appender adds `sequence_number`, the branch when none was named, and the checksum.
    """

    document: Row
    client_msg_id: str | None
    branch: str | None
    references: tuple[str, ...]
    named_id: str | None = None
    named_date: datetime | None = None


_GROUPS = (
    "llm_metadata",
    "token_usage",
    "context_metadata",
    "processing_metadata",
    "safety_metadata",
    "quality_metadata",
)


def check_new_message(values: Mapping[str, Any] | NewMessage) -> NewMessage:
    """Return a caller's values as a checked message.

    Raises:
        InvalidInput: A field is unknown, missing or out of range.
    """
    if isinstance(values, NewMessage):
        return values
    return checked(NewMessage, values)


def prepare(
    message: NewMessage,
    *,
    tenant_id: str,
    conversation_id: str,
    owner: str,
    character_id: str | None,
    message_id: str,
    now: datetime,
    backlog: bool = False,
) -> Prepared:
    """Make the document of a checked message.

    Args:
        message: The message.
        tenant_id: Its tenant.
        conversation_id: Its conversation.
        owner: The conversation's user, unless the message names another.
        character_id: The conversation's character, likewise.
        message_id: Id given to it, unless it brings its own.
        now: The present moment.
        backlog: Whether indexing it may wait until live messages are done.

    Raises:
        TextTooLong: Over 50,000 code points or 160,000 bytes of UTF-8.
        InvalidInput: The text is empty or holds a lone surrogate, token figures contradict each
            other, or free-form metadata is too large or has forbidden names.
    """
    if message.message_type is MessageType.TOMBSTONE or message.status is MessageStatus.DELETED:
        raise errors.InvalidInput(
            "message_type" if message.message_type is MessageType.TOMBSTONE else "status",
            "cannot be appended",
            "Append a message, then delete it; tombstones are the service's own",
        )
    created_at = message.created_at or now
    branch = message.branch
    timestamps: Row = {"created_at": created_at, "last_modified_at": now}
    if message.stations is not None:
        timestamps.update(message.stations.model_dump(exclude_none=True))
    relationships: Row = {"conversation_branch": branch}
    for name in ("parent_message_id", "reply_to_message_id", "related_message_ids", "thread_id"):
        value = getattr(message, name)
        if value is not None:
            relationships[name] = value
    document: Row = {
        "tenant_id": tenant_id,
        "message_id": message.message_id or message_id,
        "conversation_id": conversation_id,
        "user_id": message.user_id or owner,
        "content": content_of(
            message.text,
            language=message.detected_language,
            token_count=message.token_count,
            tokenizer=message.tokenizer,
        ),
        "role": message.role.value,
        "message_type": message.message_type.value,
        "status": message.status.value,
        "timestamps": timestamps,
        "relationships": relationships,
        "enrichment": due(now, backlog=backlog, language=message.detected_language),
        "version": SCHEMA_VERSION,
        "revision": 1,
        "partition_key": conversation_id,
        "data_classification": message.data_classification.value,
        "retention_policy": message.retention_policy.value,
        "archived_to_cold_storage": False,
    }
    if message.character_id or character_id:
        document["character_id"] = message.character_id or character_id
    if message.pinned:
        document["pinned"] = True
    if message.token_usage is not None:
        message.token_usage = check_usage(message.token_usage)
    for name in _GROUPS:
        group = getattr(message, name)
        if group is not None:
            document[name] = _plain(group)
    if message.custom_metadata is not None:
        custom = message.custom_metadata.model_dump(exclude_none=True)
        check_free_form("custom_metadata", custom)
        document["custom_metadata"] = custom
    return Prepared(
        document=document,
        client_msg_id=_client(message, document),
        branch=branch,
        references=tuple(
            reference
            for reference in (message.parent_message_id, message.reply_to_message_id)
            if reference is not None
        ),
        named_id=message.message_id,
        named_date=message.created_at,
    )


def content_of(
    text: str,
    *,
    language: str | None = None,
    token_count: int | None = None,
    tokenizer: str | None = None,
) -> Row:
    """Return the content group of a text, derived fields included.

    Raises:
        TextTooLong: See `prepare`.
        InvalidInput: See `prepare`.
    """
    encoded = check_text("text", text)
    measured = text_statistics.measure(text)
    if token_count is None and tokenizer is not None:
        raise errors.InvalidInput("tokenizer", "names no count", "Give token_count as well")
    content: Row = {
        "text": text,
        "sanitized_text": text_statistics.sanitize(text),
        "content_hash": integrity.content_hash(encoded),
        "word_count": measured.word_count,
        "character_count": measured.character_count,
        "estimated_reading_time_seconds": measured.reading_seconds,
        "token_count": measured.token_count if token_count is None else token_count,
        "tokenizer": text_statistics.TOKENIZER if token_count is None else tokenizer or "caller",
    }
    if language is None:
        detected = detect_language(content["sanitized_text"]).code
        language = None if detected == UNDETERMINED else detected
    if language is not None:
        content["detected_language"] = language
    return content


def due(now: datetime, *, backlog: bool, language: str | None) -> Row:
    """Return the mark that puts a message on the indexer's work list.

    Args:
        now: The present moment.
        backlog: Whether it may wait until live messages are done.
        language: The language the caller named, which detection must not replace.
    """
    mark: Row = {"pending": BACKLOG if backlog else LIVE, "pending_since": now}
    if language is not None:
        mark["given"] = [LANGUAGE_PATH]
    return mark


def check_text(field: str, text: str) -> bytes:
    """Return the text in UTF-8 when it can be stored.

    Raises:
        TextTooLong: Over 50,000 code points or 160,000 bytes.
        InvalidInput: Empty, or with a lone surrogate.
    """
    if not text:
        raise errors.InvalidInput(field, "is empty", "Give at least one character")
    if len(text) > MAX_TEXT_CODE_POINTS:
        raise errors.TextTooLong(
            field,
            f"has {len(text):,} characters",
            f"Use at most {MAX_TEXT_CODE_POINTS:,}, or split it over several messages",
        )
    try:
        encoded = text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise errors.InvalidInput(
            field,
            f"has a lone surrogate at position {error.start}, which UTF-8 cannot express",
            "Clean it, for example with text.encode('utf-8', 'replace').decode()",
        ) from None
    if len(encoded) > MAX_TEXT_BYTES:
        raise errors.TextTooLong(
            field,
            f"has {len(encoded):,} bytes of UTF-8",
            f"Use at most {MAX_TEXT_BYTES:,}, or split it over several messages",
        )
    return encoded


def check_usage(usage: TokenUsage) -> TokenUsage:
    """Return token figures with the totals filled in.

    Raises:
        InvalidInput: A total is not the sum of its parts.
    """
    totals = (
        ("total_tokens", usage.prompt_tokens, usage.completion_tokens, usage.total_tokens),
        ("total_cost", usage.prompt_cost, usage.completion_cost, usage.total_cost),
    )
    filled: dict[str, Any] = {}
    for name, first, second, total in totals:
        if first is None or second is None:
            continue
        added = first + second
        if total is None:
            filled[name] = added
        elif total != added:
            raise errors.InvalidInput(
                f"token_usage.{name}",
                f"is {total}, but its parts add up to {added}",
                "Correct it, or leave it out and it is worked out",
            )
    return usage.model_copy(update=filled) if filled else usage


def check_free_form(field: str, values: Mapping[str, Any]) -> None:
    """Check a part whose names and values are the caller's own.

    Raises:
        InvalidInput: A name starts with `$` or `_`, holds a dot or NUL, or the part is too large.
    """
    stack: list[tuple[str, Any]] = [(field, values)]
    while stack:
        path, value = stack.pop()
        if isinstance(value, Mapping):
            for name, inner in cast("Mapping[Any, Any]", value).items():
                if (
                    not isinstance(name, str)
                    or name.startswith(("$", "_"))
                    or "." in name
                    or "\0" in name
                ):
                    raise errors.InvalidInput(
                        f"{path}.{str(name)[:40]!r}",
                        "is not an acceptable name",
                        "Use names that are strings without dots and start with neither $ nor _",
                    )
                stack.append((f"{path}.{name}", inner))
        elif isinstance(value, (list, tuple)):
            stack.extend((path, inner) for inner in cast("list[Any]", value))
    size = encoded_size(field, values)
    if size > MAX_METADATA_BYTES:
        raise errors.InvalidInput(
            field, f"has {size:,} bytes", f"Use at most {MAX_METADATA_BYTES:,}"
        )


def _client(message: NewMessage, document: Row) -> str | None:
    """Store the client's group and what tells a repeated request; return the idempotency key."""
    given = message.client_metadata
    key = message.client_msg_id
    if given is not None:
        if key is not None and given.client_msg_id not in (None, key):
            raise errors.InvalidInput(
                "client_metadata.client_msg_id", "contradicts client_msg_id", "Give it once"
            )
        if given.content_fingerprint is not None:
            raise errors.InvalidInput(
                "client_metadata.content_fingerprint", "is worked out", "Leave it out"
            )
        key = key or given.client_msg_id
        if given.request_fields is not None:
            raise errors.InvalidInput(
                "client_metadata.request_fields", "is worked out", "Leave it out"
            )
        if given.request_headers is not None:
            check_free_form("client_metadata.request_headers", given.request_headers)
        document["client_metadata"] = _plain(given)
    if key is None:
        return None
    if not key:
        raise errors.InvalidInput("client_msg_id", "is empty", "Give a key or leave it out")
    fingerprint = request_fingerprint(message, document["user_id"], document.get("character_id"))
    client: Row = document.setdefault("client_metadata", {})
    client.update(client_msg_id=key, content_fingerprint=fingerprint)
    if named := named_fields(message):
        client["request_fields"] = named
    return key


def request_fingerprint(message: NewMessage, user_id: str, character_id: str | None) -> str:
    """Return the digest that a repeated append under the same key must have.

    It covers what every message has, defaults filled in, so that naming a default makes no
    difference. What else a request names is compared field by field (see `named_fields`).

    Args:
        message: The request.
        user_id: Its user, named or the conversation's.
        character_id: Its character, likewise.
    """
    return integrity.digest(
        message.role.value,
        message.message_type.value,
        message.status.value,
        message.data_classification.value,
        message.retention_policy.value,
        bool(message.pinned),
        integrity.content_hash(message.text.encode()),
        user_id,
        character_id,
        message.parent_message_id,
        message.reply_to_message_id,
    )


def named_fields(message: NewMessage) -> dict[str, str]:
    """Return a short digest of each optional field a request names.

    Whoever repeats a request may leave them out; naming one with another value is a conflict,
    because the new value would be lost. Message id, time and branch, which the service settles
    when they are not named, are compared with the stored message instead. What describes the
    request rather than the message may differ each time: `client_metadata`,
    `processing_metadata`, `stations`.
    """
    named = {name: value for name in _OPTIONAL if (value := getattr(message, name)) is not None}
    if not named:
        return {}
    said = message.model_dump(exclude_none=True, include=set(named))
    return {
        name: hashlib.sha256(
            json.dumps(value, sort_keys=True, default=_canonical).encode()
        ).hexdigest()[:16]
        for name, value in said.items()
        if value not in ({}, [])
    }


_OPTIONAL = (
    "related_message_ids",
    "thread_id",
    "detected_language",
    "token_count",
    "tokenizer",
    "llm_metadata",
    "token_usage",
    "context_metadata",
    "safety_metadata",
    "quality_metadata",
    "custom_metadata",
)


def _canonical(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds")
    if isinstance(value, Decimal):
        return str(value.normalize())
    return value.hex() if isinstance(value, bytes) else str(value)


def _plain(group: BaseModel) -> Row:
    """Return a group as BSON values, without nulls."""
    return Encoder(keep_nulls=False).encode(group.model_dump(exclude_none=True))
