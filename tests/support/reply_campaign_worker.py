"""A worker of the campaign on replies: `python reply_campaign_worker.py URI DATABASE`."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import Any

from message_service import JobRegistry, MessageService, StopSignal, errors

LEASE = 2.0
SETTINGS: dict[str, Any] = {
    "queue_lease": LEASE,
    "queue_poll": 0.2,
    "min_pool_size": 0,
    "server_selection_timeout": 1,
    "write_deadline": 5,
    "index_in_background": False,
    "count_usage_in_background": False,
    "roll_up_in_background": False,
    "llm_provider": "scripted",
    "llm_first_token_timeout": 2,
    "llm_between_tokens_timeout": 1,
    "llm_attempts": 3,
    "llm_longest_wait": 1,
    "llm_timeout": 20,
    "llm_breaker_failures": 10,
    "llm_breaker_pause": 0.3,
}


async def connected(uri: str, database: str) -> MessageService:
    """Connect as soon as there is a primary."""
    while True:
        with contextlib.suppress(errors.Unavailable):
            return await MessageService.connect(
                uri, database=database, registry=JobRegistry(), **SETTINGS
            )


async def main(uri: str, database: str) -> None:
    """Work until it is killed."""
    async with await connected(uri, database) as service:
        await service.worker(concurrency=8, grace=1, loops=False).run(StopSignal())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
