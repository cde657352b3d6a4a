"""What wakes the claimer and the sweep; polling goes on in any case."""

from __future__ import annotations

from typing import Any

from message_service.queue.ordering import AT_ONCE

CLAIMABLE: dict[str, Any] = {
    "$or": [
        {"operationType": "insert", "fullDocument.claim_order": {"$exists": True}},
        {
            "operationType": "update",
            "updateDescription.updatedFields.claim_order": {"$exists": True},
        },
    ]
}
"""Changes that make a job claimable (a `$match` on change events)."""

TO_SETTLE: dict[str, Any] = {"operationType": "insert", "fullDocument.attention_at": AT_ONCE}
"""Changes after which the sweep has something to do at once.

Updates wait for its next look: reading each one is a seventh of what the server does for a job.
"""
