"""Up to when summaries are complete."""

from __future__ import annotations

from datetime import datetime

from message_service.catalogue.follower import BACKLOG, LIVE
from message_service.catalogue.followers.analytics import ANALYTICS
from message_service.clock import Clock
from message_service.database.store import Store


async def complete_up_to(store: Store, clock: Clock) -> datetime:
    """Return the moment before which all that happened to messages, of any tenant, is summarised.

    It is read before the summaries it is said of.
    """
    moment = clock.now()
    for rank in (LIVE, BACKLOG):
        waiting = await store.find_everywhere(ANALYTICS.oldest, limit=1, rank=rank)
        for message in waiting:
            moment = min(moment, message["marks"][ANALYTICS.name]["pending_since"])
    return moment
