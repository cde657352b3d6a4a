"""Recomputing costs and counting are killed anywhere, and end with every figure right."""

from __future__ import annotations

import json
import random
import signal
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from message_service import MessageService
from message_service.database.decimals import decimal
from message_service.documents.row import Row
from support.commands import Command
from support.waiting import until

pytestmark = pytest.mark.faults

USERS = [f"user_{number:012d}" for number in range(7)]
JAN = datetime(2026, 1, 1, tzinfo=UTC)
MESSAGES = 14_000
PRICE = '[[price]]\nprovider = "mine"\nmodel = "*"\ninput = {}\noutput = 0\n'


async def filled(service: MessageService, tmp_path: Path) -> None:
    """Append messages of one to seven million tokens at 1 per million; then it costs 3."""
    path = tmp_path / "prices.toml"
    path.write_text(PRICE.format(1))
    await service.prices.load(path)
    for number, user in enumerate(USERS):
        made = await service.conversations.create(user)
        await service.messages.append_many(
            made.conversation_id,
            [
                {
                    "role": "assistant",
                    "text": "hello",
                    "created_at": JAN + timedelta(seconds=place * 60),
                    "llm_metadata": {"provider": "mine", "model": "m"},
                    "usage": {"input": (number + 1) * 1_000_000},
                }
                for place in range(MESSAGES // len(USERS))
            ],
        )
    path.write_text(PRICE.format(3))
    await service.prices.load(path)


async def test_a_killed_recomputation_goes_on(
    service: MessageService, database: AsyncDatabase[Row], mongo_uri: str, tmp_path: Path
) -> None:
    await filled(service, tmp_path)
    total = await database["messages"].count_documents({})
    chance = random.Random(20261127)
    words = ("--database", database.name, "usage", "recost", "--json")
    words = (*words, "--from", "2026-01-01", "--to", "2027-01-01")
    changed = {"token_usage.revision": 2}

    async def has_changed(count: int) -> bool:
        return await database["messages"].count_documents(changed) >= count

    counting = await Command.start(
        mongo_uri, tmp_path / "counting", "--database", database.name, "usage", "count"
    )
    goal = 0
    for number in range(3):
        goal += chance.randrange(1, total // 5)
        killed = await Command.start(mongo_uri, tmp_path / f"{number}", *words)
        await until(f"{goal} changes", lambda goal=goal: has_changed(goal), every=0)
        killed.signal(signal.SIGKILL)
        await killed.ended()
        if number == 1:
            counting.signal(signal.SIGKILL)
            await counting.ended()
    before = await database["messages"].count_documents(changed)
    assert 0 < before < total
    last = await Command.start(mongo_uri, tmp_path / "last", *words)
    assert await last.ended() == 0
    report = json.loads(last.out)
    assert report["finished"]
    assert report["examined"] == report["changed"] + report["unchanged"] == total
    # The server may have gone on with a batch whose sender was killed.
    assert report["unchanged"] >= before
    await service.usage_counters.drain()
    expected: dict[str, Decimal] = {}
    async for row in database["messages"].find({}):
        fields = row["token_usage"]
        assert decimal(fields["total_cost"]) == 3 * fields["total_tokens"] // 1_000_000
        assert decimal(fields["first_billed"]["total_cost"]) == fields["total_tokens"] // 1_000_000
        assert fields["revision"] == 2
        for subject in ("tenant:default", f"user:{row['user_id']}"):
            cost = decimal(fields["total_cost"])
            expected[subject] = expected.get(subject, Decimal(0)) + cost
    found: dict[str, Decimal] = {}
    async for row in database["usage_counters"].find({}):
        cost = decimal(row["cost"]["USD"])
        found[row["subject"]] = found.get(row["subject"], Decimal(0)) + cost
    assert found == expected
