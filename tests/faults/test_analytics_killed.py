"""Summaries are made by several processes, which are killed anywhere, while messages change."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from message_service import MessageService, errors
from message_service.documents.row import Row
from support.commands import Command
from support.summaries import problems
from support.waiting import until

pytestmark = pytest.mark.faults

USERS = [f"user_{number:012d}" for number in range(5)]
JAN = datetime(2026, 1, 1, tzinfo=UTC)
MESSAGES = 3_000
EACH = MESSAGES // len(USERS)


async def filled(service: MessageService) -> list[str]:
    conversations: list[str] = []
    for user in USERS:
        made = await service.conversations.create(user, character_id="char_000000000001")
        conversations.append(made.conversation_id)
        await service.messages.append_many(
            made.conversation_id,
            [
                {
                    "role": "assistant",
                    "text": f"message {place}",
                    "message_id": f"msg_{user[5:]}{place:06}",
                    "created_at": JAN + timedelta(minutes=place * 100),
                    "llm_metadata": {"provider": "mine", "model": f"m{place % 3}"},
                    "processing_metadata": {"total_latency_ms": place},
                    "usage": {"input": place},
                }
                for place in range(EACH)
            ],
        )
    return conversations


async def test_killed_rollups_and_rebuilds_end_right(
    service: MessageService, database: AsyncDatabase[Row], mongo_uri: str, tmp_path: Path
) -> None:
    conversations = await filled(service)
    chance = random.Random(20261127)
    summaries = database["message_analytics"]
    rollup = ("--database", database.name, "analytics", "rollup")
    rebuild = (*rollup, "--from", "2026-01-01", "--to", "2026-03-01")

    async def change() -> None:
        """Give the processes something to do: late messages, edits, deletions."""
        for _ in range(60):
            place = chance.randrange(len(USERS))
            conversation = conversations[place]
            message = f"msg_{USERS[place][5:]}{chance.randrange(EACH):06}"
            if chance.random() < 0.3:
                at = JAN + timedelta(minutes=chance.randrange(EACH * 100))
                await service.messages.append(conversation, "user", "late", created_at=at)
            elif chance.random() < 0.7:
                with contextlib.suppress(errors.Conflict):  # it is deleted
                    await service.messages.edit(
                        conversation, message, "x" * chance.randrange(1, 300)
                    )
            else:
                await service.messages.delete(conversation, message)
        await service.drain()

    async def has_written(command: Command, work: int, goal: int) -> bool:
        if command.process.returncode is not None:
            return True
        return await summaries.count_documents({"applied": {"$gt": work}}, limit=goal) >= goal

    killed_at_work = 0
    for number in range(3):
        slot = await database["schema_state"].find_one({"_id": "analytics_work"})
        work: int = 0 if slot is None else slot["number"]
        words = (rollup, rebuild) if number % 2 else (rebuild, rollup)
        both = [
            await Command.start(mongo_uri, tmp_path / f"{number}{place}", *each)
            for place, each in enumerate(words)
        ]
        changing = asyncio.create_task(change())
        goal = chance.randrange(1, 250)
        for command in both:
            await until(f"{goal} summaries", partial(has_written, command, work, goal), every=0)
            if command.process.returncode is None:
                command.signal(signal.SIGKILL)
                killed_at_work += 1
            await command.ended()
        await changing
    assert killed_at_work >= 2
    last = await Command.start(mongo_uri, tmp_path / "last", *rollup)
    assert await last.ended() == 0, last.err
    check = await Command.start(
        mongo_uri, tmp_path / "check", "--database", database.name, "analytics", "check", "--json"
    )
    assert await check.ended() == 0, check.err
    found = json.loads(check.out)
    assert found["is_right"]
    assert found["waiting"] == found["erased"] == 0
    assert found["messages"] == await database["messages"].count_documents({})
    assert await problems(database, ["default"], all_tenants=True) == []
