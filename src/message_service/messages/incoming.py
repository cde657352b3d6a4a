"""Builds the stored document of a new message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from beanie.odm.utils.encoder import Encoder
from pydantic import BaseModel

from message_service import errors
from message_service.catalogue.follower import BACKLOG, LIVE
from message_service.catalogue.marks import mark
from message_service.clock import EARLIEST
from message_service.database.free_form import check_free_form, check_shape
from message_service.documents.message import (
    SCHEMA_VERSION,
    MessageStatus,
    MessageType,
)
from message_service.documents.row import Row
from message_service.messages import integrity
from message_service.messages.content import LANGUAGE_PATH, content_of
from message_service.messages.new_message import NewMessage, check_new_message
from message_service.messages.parts import assemble
from message_service.messages.repeats import named_fields, request_fingerprint
from message_service.usage.provider_prices import ProviderPrices
from message_service.usage.recording import Said, token_usage_of


@dataclass(slots=True)
class Prepared:
    """A checked message that lacks only its number and, unless named, its branch."""

    document: Row
    client_msg_id: str | None
    branch: str | None
    references: tuple[str, ...]
    named_id: str | None = None
    named_date: datetime | None = None

    def placed(self, number: int, active_branch: str) -> Row:
        """Return the finished document, with the number it is to take.

        Args:
            number: The number.
            active_branch: The branch of a message that names none.
        """
        self.document["sequence_number"] = number
        relationships: Row = self.document["relationships"]
        relationships["conversation_branch"] = self.branch or active_branch
        self.document["checksum"] = integrity.checksum(self.document)
        return self.document


NO_PRICES: Mapping[str, ProviderPrices] = {}

_LINKS = (
    "parent_message_id",
    "reply_to_message_id",
    "related_message_ids",
    "thread_id",
    "continues_message_id",
)

_GROUPS = (
    "llm_metadata",
    "context_metadata",
    "processing_metadata",
    "safety_metadata",
    "quality_metadata",
)


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
    prices: Mapping[str, ProviderPrices] = NO_PRICES,
) -> Prepared:
    """Build the document of a checked message.

    Args:
        message: The message.
        tenant_id: Its tenant.
        conversation_id: Its conversation.
        owner: The conversation's user, unless the message names another.
        character_id: The conversation's character, likewise.
        message_id: Its id: its own, if the message brings one.
        now: The present moment.
        backlog: Whether indexing it may wait until live messages are done.
        prices: What providers take, by their canonical names.

    Raises:
        TextTooLong: Over 50,000 code points or 160,000 bytes of UTF-8.
        InvalidInput: The text is empty or holds a lone surrogate, the parts are wrong (see
            `assemble`), token figures are wrong or contradict each other, or free-form metadata is
            too large or has forbidden names.
    """
    if message.message_type is MessageType.TOMBSTONE or message.status is MessageStatus.DELETED:
        raise errors.InvalidInput(
            "message_type" if message.message_type is MessageType.TOMBSTONE else "status",
            "cannot be appended",
            "Append a message, then delete it; tombstones are the service's own",
        )
    text, parts = assemble(
        message.text,
        message.parts,
        tool_calls=message.tool_calls,
        tool_call_id=message.tool_call_id,
    )
    created_at = message.created_at or now
    branch = message.branch
    timestamps: Row = {"created_at": created_at, "last_modified_at": now}
    if message.stations is not None:
        timestamps.update(message.stations.model_dump(exclude_none=True))
    relationships: Row = {"conversation_branch": branch}
    for name in _LINKS:
        value = getattr(message, name)
        if value is not None:
            relationships[name] = value
    document: Row = {
        "tenant_id": tenant_id,
        "message_id": message_id,
        "conversation_id": conversation_id,
        "user_id": message.user_id or owner,
        "content": content_of(
            text,
            parts,
            language=message.detected_language,
            token_count=message.token_count,
            tokenizer=message.tokenizer,
        ),
        "role": message.role.value,
        "message_type": message.message_type.value,
        "status": message.status.value,
        "timestamps": timestamps,
        "relationships": relationships,
        # Enrichers must not replace a language the caller named.
        "enrichment": {} if message.detected_language is None else {"given": [LANGUAGE_PATH]},
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
    for name in _GROUPS:
        group = getattr(message, name)
        if group is not None:
            document[name] = _plain(group)
    if message.usage is not None or message.token_usage is not None:
        document["token_usage"] = _token_usage(message, created_at, prices)
    if message.custom_metadata is not None:
        check_shape("custom_metadata", message.custom_metadata.model_extra or {})
        custom = message.custom_metadata.model_dump(exclude_none=True)
        check_free_form("custom_metadata", custom)
        document["custom_metadata"] = custom
    return Prepared(
        document=mark(document, now, BACKLOG if backlog else LIVE),
        client_msg_id=_client(message, document),
        branch=branch,
        references=tuple(
            reference
            for reference in (
                message.parent_message_id,
                message.reply_to_message_id,
                message.continues_message_id,
            )
            if reference is not None
        ),
        named_id=message.message_id,
        named_date=message.created_at,
    )


def usage_said(message: NewMessage) -> Said:
    """Return what a message says of its usage."""
    llm = message.llm_metadata
    return Said(
        message.usage,
        message.token_usage,
        None if llm is None else llm.provider,
        None if llm is None else llm.model,
    )


def _token_usage(
    message: NewMessage, created_at: datetime, prices: Mapping[str, ProviderPrices]
) -> Row:
    if message.usage is not None:
        check_free_form("usage", message.usage)
    said = usage_said(message)
    return token_usage_of(said, created_at, prices.get(said.priced_by or ""))


def check_appendable(values: Mapping[str, Any]) -> None:
    """Check the values of a new message as far as that is possible without the database.

    Raises:
        InvalidInput: As `prepare`.
    """
    message = check_new_message(values)
    content_of(
        *assemble(
            message.text,
            message.parts,
            tool_calls=message.tool_calls,
            tool_call_id=message.tool_call_id,
        )
    )
    if message.custom_metadata is not None:
        check_free_form("custom_metadata", message.custom_metadata.model_dump(exclude_none=True))
    if message.usage is not None or message.token_usage is not None:
        _token_usage(message, EARLIEST, NO_PRICES)


def _client(message: NewMessage, document: Row) -> str | None:
    """Set the client's group and the fingerprint of the request; return the idempotency key."""
    given = message.client_metadata
    key = message.client_msg_id
    if given is not None:
        if key is not None and given.client_msg_id not in (None, key):
            raise errors.InvalidInput(
                "client_metadata.client_msg_id", "contradicts client_msg_id", "Give it once"
            )
        if given.content_fingerprint is not None:
            raise errors.InvalidInput(
                "client_metadata.content_fingerprint", "is set by the service", "Leave it out"
            )
        key = key or given.client_msg_id
        if given.request_fields is not None:
            raise errors.InvalidInput(
                "client_metadata.request_fields", "is set by the service", "Leave it out"
            )
        if given.request_headers is not None:
            check_free_form("client_metadata.request_headers", given.request_headers)
        document["client_metadata"] = _plain(given)
    if key is None:
        return None
    if not key:
        raise errors.InvalidInput("client_msg_id", "is empty", "Give a key or leave it out")
    fingerprint = request_fingerprint(
        message,
        document["content"]["content_hash"],
        document["user_id"],
        document.get("character_id"),
    )
    client: Row = document.setdefault("client_metadata", {})
    client.update(client_msg_id=key, content_fingerprint=fingerprint)
    if named := named_fields(message):
        client["request_fields"] = named
    return key


def _plain(group: BaseModel) -> Row:
    """Return a group as BSON values, without nulls."""
    return Encoder(keep_nulls=False).encode(group.model_dump(exclude_none=True))
