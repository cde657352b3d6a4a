"""The follower of analytics: the summaries of the day a message was said on."""

from __future__ import annotations

from message_service.catalogue.follower import ENRICHED, REVISION, USAGE_REVISION, Follower

ANALYTICS = Follower(
    name="analytics",
    purpose="messages whose day has to be summarised again, most urgent first",
    guards=(REVISION, USAGE_REVISION, ENRICHED),
    fields={"timestamps.created_at": 1},
)
