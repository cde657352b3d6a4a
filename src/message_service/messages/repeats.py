"""Tells a repeated append from a different append with the same client message id."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from decimal import Decimal

from message_service.messages import integrity
from message_service.messages.new_message import NewMessage


def request_fingerprint(
    message: NewMessage, content_hash: str, user_id: str, character_id: str | None
) -> str:
    """Return the digest that a repeated append under the same key must have.

    The digest covers the fields every message has, defaults filled in, so that naming a default
    makes no difference. Other named fields are compared one by one (see `named_fields`).

    Args:
        message: The request.
        content_hash: The digest of its content.
        user_id: Its user, named or the conversation's.
        character_id: Its character, likewise.
    """
    return integrity.digest(
        message.role,
        message.message_type,
        message.status,
        message.data_classification,
        message.retention_policy,
        bool(message.pinned),
        content_hash,
        user_id,
        character_id,
        message.parent_message_id,
        message.reply_to_message_id,
    )


def named_fields(message: NewMessage) -> dict[str, str]:
    """Return a short digest of each optional field a request names.

    A repetition may leave such fields out; naming a field with another value is a conflict,
    because the new value would be lost. Message id, time and branch, which the service chooses
    when they are not named, are compared with the stored message instead. Fields that describe
    the request rather than the message may differ each time: `client_metadata`,
    `processing_metadata`, `stations`.
    """
    given = message.model_fields_set
    if _OPTIONAL.isdisjoint(given):
        return {}
    named = {name for name in given & _OPTIONAL if getattr(message, name) is not None}
    said = message.model_dump(exclude_none=True, include=named - {"usage"})
    if "usage" in named:  # plain values already
        said["usage"] = message.usage
    return {
        name: hashlib.sha256(
            json.dumps(value, sort_keys=True, default=_canonical).encode()
        ).hexdigest()[:16]
        for name, value in said.items()
        if value not in ({}, [])
    }


_OPTIONAL = frozenset({
    "related_message_ids",
    "thread_id",
    "continues_message_id",
    "detected_language",
    "token_count",
    "tokenizer",
    "llm_metadata",
    "usage",
    "token_usage",
    "context_metadata",
    "safety_metadata",
    "quality_metadata",
    "custom_metadata",
})  # fmt: skip


def _canonical(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds")
    if isinstance(value, Decimal):
        return str(value.normalize())
    return value.hex() if isinstance(value, bytes) else str(value)
