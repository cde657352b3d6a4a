"""Shared parts of collection declarations."""

from __future__ import annotations

from message_service.catalogue.model import Keys

BY_CONVERSATION: Keys = (("conversation_id", "hashed"),)
CREATED = "timestamps.created_at"
UNIQUE = "unique keys must begin with the shard key, and are per tenant"
TENANT = "scoped to the tenant"
