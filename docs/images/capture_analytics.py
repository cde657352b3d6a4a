"""Draws docs/images/analytics.png of made-up replies: `python docs/images/capture_analytics.py`."""

import asyncio
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from message_service import MessageService

DATABASE = "analytics_picture"
FIRST = datetime(2026, 9, 1, tzinfo=UTC)
DAYS = 60
SLOW = range(34, 38)
"""Days on which the provider was slow."""


async def main() -> None:
    """Store and summarise two months of replies."""
    random = Random(7)  # noqa: S311 - a picture is no secret
    async with await MessageService.connect(database=DATABASE) as service:
        await service.store.database.client.drop_database(DATABASE)
    async with await MessageService.connect(database=DATABASE) as service:
        conversation = (await service.conversations.create("user_000000000001")).conversation_id
        for day in range(DAYS):
            moment = FIRST + timedelta(days=day)
            slower = 1.6 if day in SLOW else 1.0
            replies = [
                {
                    "role": "assistant",
                    "text": "A reply.",
                    "created_at": moment + timedelta(seconds=random.randrange(86_400)),
                    "processing_metadata": {
                        "total_latency_ms": int(slower * random.lognormvariate(6.8, 0.5))
                    },
                }
                for _ in range(200)
            ]
            await service.messages.append_many(conversation, replies)
        await service.drain()
        await service.rollups.drain()


asyncio.run(main())
subprocess.run(  # noqa: S603 - our own command
    [
        *(str(Path(sys.executable).parent / "message-service"), "--database", DATABASE),
        *("analytics", "report", "--from", "2026-09-01", "--to", "2026-10-31"),
        *("--format", "csv", "--output", os.devnull),
        *("--chart-of", "median_response_time_ms,p95_response_time_ms"),
        *("--chart", str(Path(__file__).with_name("analytics.png"))),
    ],
    check=True,
)
