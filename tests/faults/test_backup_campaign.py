"""Backups and restores among faults: see `support.backup_campaign`."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from message_service.database.client import build_client, open_database
from message_service.documents.row import Row
from message_service.settings import Settings
from support.backup_campaign import Campaign
from support.backups import backups_of, state_of
from support.replica_sets import ReplicaSet
from support.servers import OwnServer


@pytest.mark.faults
async def test_what_was_acknowledged_at_any_instant_comes_back(
    three: ReplicaSet, tmp_path: Path
) -> None:
    campaign = Campaign(tmp_path, seconds=5, instants=3, seed=random.randrange(1_000_000))
    await campaign.run(three)
    assert campaign.befell["restores compared"] == campaign.instants
    assert len(campaign.log.writes) > 20


@pytest.fixture
async def lost(own: OwnServer) -> AsyncIterator[AsyncDatabase[Row]]:
    client = build_client(Settings(min_pool_size=0), own.uri)
    yield open_database(client, "lost")
    await client.close()


@pytest.mark.faults
async def test_a_backup_outlives_its_server(
    own: OwnServer, lost: AsyncDatabase[Row], tmp_path: Path
) -> None:
    """Killed while a full backup reads, it is gone on with when the server is back."""
    filler = "x" * 1_000_000
    await lost["notes"].insert_many([{"_id": each, "filler": filler} for each in range(80)])
    backups = await backups_of(lost, tmp_path / "backups")
    read = asyncio.Event()
    running = asyncio.create_task(backups.full(rate=30e6, progress=lambda _: read.set()))
    await read.wait()
    await own.fail_over()
    made = await running
    assert made.documents >= 80
    await lost["notes"].delete_many({"_id": {"$lt": 70}})
    expected = await state_of(lost)

    await backups.incremental()
    await backups.restore(into="found")
    assert await state_of(lost.client["found"]) == expected
