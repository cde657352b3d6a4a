"""Where a restore begins and ends, to the millisecond and to the point."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase

from message_service.clock import from_epoch_milliseconds
from message_service.documents.row import Row
from message_service.stopping import StopSignal
from support.backups import backups_of


@pytest.fixture
async def target(database: AsyncDatabase[Row]) -> AsyncIterator[AsyncDatabase[Row]]:
    restored = database.client.get_database(f"{database.name}_restore")
    yield restored
    await database.client.drop_database(restored.name)


async def test_a_moment_includes_what_was_written_in_it(
    database: AsyncDatabase[Row], target: AsyncDatabase[Row], tmp_path: Path
) -> None:
    await database["notes"].insert_one({"_id": 0})
    backups = await backups_of(database, tmp_path)
    await backups.full()
    await database["notes"].insert_one({"_id": 1})
    oplog = database.client["local"]["oplog.rs"]
    entry = await oplog.find_one({"ns": f"{database.name}.notes", "o._id": 1})
    assert entry is not None
    wall = round(entry["wall"].timestamp() * 1_000)
    await backups.incremental()
    for milliseconds, expected in ((wall, 2), (wall - 1, 1)):
        await backups.restore(from_epoch_milliseconds(milliseconds), over=target.name)
        assert await target["notes"].count_documents({}) == expected


async def test_a_full_backup_is_of_one_point_while_others_write(
    database: AsyncDatabase[Row], target: AsyncDatabase[Row], tmp_path: Path
) -> None:
    """Two collections that change together, and take a while to be read one after the other."""
    filler = [{"_id": each, "text": "x" * 1_000_000} for each in range(1, 13)]
    for name in ("first", "second"):
        await database[name].insert_many(filler)
    stop = StopSignal()
    number = 0

    async def write(session: AsyncClientSession) -> None:
        for name in ("first", "second"):
            await database[name].insert_one({"_id": 1_000 + number}, session=session)

    async def go_on() -> None:
        nonlocal number
        async with database.client.start_session() as session:
            while not stop.requested:
                number += 1
                await session.with_transaction(write)

    writing = asyncio.create_task(go_on())
    try:
        made = await (await backups_of(database, tmp_path)).full(share=0.2)
    finally:
        stop.request()
        await writing
    assert number > 10
    await (await backups_of(database, tmp_path)).restore(made.id)
    first, second = [await target[name].distinct("_id") for name in ("first", "second")]
    assert first == second
