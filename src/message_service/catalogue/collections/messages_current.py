"""The view `messages_current`."""

from __future__ import annotations

from message_service.catalogue.model import View

MESSAGES_CURRENT = View(
    name="messages_current",
    on="messages",
    purpose="the live messages under the design's router name",
    pipeline=(),
)
