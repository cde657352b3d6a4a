"""The follower of usage: the running counters of budgets."""

from __future__ import annotations

from message_service.catalogue.follower import USAGE_REVISION, Follower

USAGE = Follower(
    name="usage",
    purpose="messages whose tokens and cost are not in the counters yet, a user's together",
    guards=(USAGE_REVISION,),
    # A user's pending messages are found by it too; what a batch holds goes into few counters.
    keys=(("tenant_id", 1), ("user_id", 1), ("_id", 1)),
    notes="token_usage.counted",
    fields={
        "user_id": 1,
        "character_id": 1,
        "timestamps.created_at": 1,
        "token_usage.usage_state": 1,
        "token_usage.total_tokens": 1,
        "token_usage.total_cost": 1,
        "token_usage.cost_currency": 1,
        "token_usage.cost_state": 1,
        "token_usage.counted": 1,
    },
)
