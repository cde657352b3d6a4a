"""Shared parts of query declarations."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from message_service.database.query import Filter

CONVERSATION = "conv_000000000000"
MESSAGE = "msg_000000000000"
USER = "user_000000000000"
THEN = datetime(2025, 1, 15, 10, 30, tzinfo=UTC)
LATER = datetime(2025, 2, 15, 10, 30, tzinfo=UTC)

BY_USER_REASON = "a user's conversations lie on every shard"


def equal(*fields: str) -> Callable[..., Filter]:
    """Return a builder for a filter of equalities, each value named like its field."""

    def build(**values: Any) -> Filter:
        return {name: values[name] for name in fields}

    return build
