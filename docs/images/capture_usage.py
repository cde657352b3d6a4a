"""Draws docs/images/usage.png, a chart of made-up calls: `python docs/images/capture_usage.py`."""

import asyncio
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from message_service import MessageService

DATABASE = "usage_picture"
FIRST = datetime(2026, 9, 1, tzinfo=UTC)
DAYS = 60
MODELS = (
    ("openai", "gpt-4o", 30),
    ("openai", "gpt-4o-mini", 90),
    ("anthropic", "claude-sonnet-4-5", 25),
    ("google", "gemini-2.5-flash", 60),
)


async def main() -> None:
    """Store two months of replies."""
    random = Random(7)  # noqa: S311 - a picture is no secret
    async with await MessageService.connect(database=DATABASE) as service:
        await service.store.database.client.drop_database(DATABASE)
    async with await MessageService.connect(database=DATABASE) as service:
        conversation = (await service.conversations.create("user_000000000001")).conversation_id
        for day in range(DAYS):
            moment = FIRST + timedelta(days=day)
            weekend = 0.45 if moment.weekday() > 4 else 1.0
            replies = [
                {
                    "role": "assistant",
                    "text": "A reply.",
                    "created_at": moment + timedelta(seconds=random.randrange(86_400)),
                    "llm_metadata": {"provider": provider, "model": model},
                    "usage": {"input": random.randrange(2_000, 9_000), "output": 400},
                }
                for provider, model, calls in MODELS
                for _ in range(int(calls * weekend * (1 + day / DAYS) * random.uniform(0.7, 1.3)))
            ]
            await service.messages.append_many(conversation, replies)
        await service.drain()


asyncio.run(main())
subprocess.run(  # noqa: S603 - our own command
    [
        *(str(Path(sys.executable).parent / "message-service"), "--database", DATABASE),
        *("usage", "report", "--from", "2026-09-01", "--to", "2026-10-31", "--by", "day,model"),
        *("--format", "csv", "--output", os.devnull, "--chart-of", "USD"),
        *("--chart", str(Path(__file__).with_name("usage.png"))),
    ],
    check=True,
)
