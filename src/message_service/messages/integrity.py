"""Digests of a text, of a request (for idempotency), and of the fixed part of a message."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any


def digest(*parts: object) -> str:
    """Return `sha256:` and the hexadecimal digest of the parts, each set off from the next."""
    joined = "\x1f".join(["" if part is None else str(part) for part in parts])
    return "sha256:" + hashlib.sha256(joined.encode("utf-8")).hexdigest()


def content_hash(encoded_text: bytes, encoded_parts: bytes = b"") -> str:
    """Return the digest of a message's text in UTF-8 and of its parts in canonical form."""
    if encoded_parts:
        encoded_text += b"\x1f" + encoded_parts
    return "sha256:" + hashlib.sha256(encoded_text).hexdigest()


def checksum(document: Mapping[str, Any]) -> str:
    """Return the digest of the part of a message that never changes.

    The part covers author, conversation, time, number, role and type, parent and branch, and the
    idempotency key. Text and parts are left out because they can be edited (`content_hash` and the
    stored versions cover them), the tenant because an export may be restored into another. Times
    count in milliseconds, as BSON keeps them.
    """
    created: datetime = document["timestamps"]["created_at"]
    relations = document["relationships"]
    client: Mapping[str, Any] = document.get("client_metadata") or {}
    return digest(
        document["conversation_id"],
        document["message_id"],
        document["sequence_number"],
        document["user_id"],
        document.get("character_id"),
        document["role"],
        document["message_type"],
        int(created.timestamp() * 1000),
        relations.get("parent_message_id"),
        relations["conversation_branch"],
        client.get("client_msg_id"),
    )
