"""Backups through the command line and the library: made, listed, kept, restored."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from backports import zstd
from bson import decode_all
from pymongo.asynchronous.database import AsyncDatabase

from message_service import MessageService, errors
from message_service.backup.pruning import KeepPolicy, removal
from message_service.backup.recovery import BackupContents
from message_service.backup.repository import SegmentName
from message_service.backup.schedule import BackupSchedule
from message_service.database.point import OplogPoint
from message_service.documents.row import Row
from message_service.stopping import StopSignal
from support.backups import backups_of, full_taken, now_in, state_of
from support.shell import Cli
from support.waiting import until

MONDAY = datetime(2026, 11, 30, 2, tzinfo=UTC)


@pytest.fixture
async def target(database: AsyncDatabase[Row]) -> AsyncIterator[AsyncDatabase[Row]]:
    restored = database.client.get_database(f"{database.name}_restore")
    yield restored
    await database.client.drop_database(restored.name)


async def test_the_command_line_from_backup_to_restore(
    service: MessageService,
    database: AsyncDatabase[Row],
    target: AsyncDatabase[Row],
    mongo_uri: str,
    tmp_path: Path,
) -> None:
    place = ("--target", str(tmp_path / "backups"), "--key-file", str(tmp_path / "key"))
    cli = Cli(mongo_uri, database.name, tmp_path)
    assert "public key: age1" in cli("backup", "keygen", str(tmp_path / "key"))
    conversation = (await service.conversations.create("user_000000000001")).conversation_id
    await service.messages.append(conversation, "user", "before the backup")
    await service.drain()
    made = json.loads(cli("backup", "run", "--full", *place, "--json"))
    assert made["full"]["collections"]["messages"] == 1
    await service.messages.append(conversation, "user", "after the backup")
    await service.drain()
    expected = await state_of(database)
    added = json.loads(cli("backup", "run", "--incremental", *place, "--json"))
    assert added["full"] is None
    assert added["operations"] >= 1
    listed = cli("backup", "list", *place)
    assert "1 segments" in listed
    plan = cli("restore", "--dry-run", *place)
    assert made["full"]["id"] in plan
    assert target.name not in await database.client.list_database_names()
    restored = json.loads(cli("restore", *place, "--json"))
    assert restored["restored"]["resumed"] is False
    assert await state_of(target) == expected
    assert "1 restored and compared" in cli("backup", "verify", "--restore", *place)
    (stretch,) = json.loads(cli("backup", "window", *place[:2], "--json"))
    assert stretch["backup"] == made["full"]["id"]
    assert "messages" in cli("backup", "show", made["full"]["id"], *place[:2])
    assert "--over" in cli("restore", *place, code=4)


async def test_the_library_restores_a_conversation_that_was_deleted(
    service: MessageService, database: AsyncDatabase[Row], target: AsyncDatabase[Row],
    mongo_uri: str, tmp_path: Path,
) -> None:  # fmt: skip
    conversation = (await service.conversations.create("user_000000000001")).conversation_id
    await service.messages.append(conversation, "user", "keep me")
    await service.drain()
    backups = await backups_of(database, tmp_path)
    await backups.full()
    before = await now_in(database)
    await database["messages"].delete_many({})
    await backups.incremental()
    done = await backups.restore(before)
    assert done.database == target.name
    async with await MessageService.connect(
        mongo_uri, settings=service.settings, database=target.name
    ) as other:
        page = await other.messages.history(conversation)
        assert [each.text for each in page] == ["keep me"]


async def test_standard_tools_read_the_files(database: AsyncDatabase[Row], tmp_path: Path) -> None:
    """What mongorestore needs: BSON documents one after the other, metadata beside them."""
    await database["notes"].insert_many([{"_id": each, "text": "ü"} for each in range(10)])
    await database["notes"].create_index("text", name="by text")
    made = await (await backups_of(database, tmp_path)).full()
    folder = tmp_path / "backups" / made.id / database.name
    (file,) = folder.glob("notes.*.bson.zst")
    documents = decode_all(zstd.decompress(file.read_bytes()))
    assert documents == [{"_id": each, "text": "ü"} for each in range(10)]
    metadata = json.loads(zstd.decompress((folder / "notes.metadata.json.zst").read_bytes()))
    assert metadata["collectionName"] == "notes"
    assert metadata["type"] == "collection"
    assert [index["name"] for index in metadata["indexes"]] == ["_id_", "by text"]
    assert metadata["indexes"][1]["key"] == {"text": {"$numberInt": "1"}}


async def test_backups_go_wherever_fsspec_reaches(
    database: AsyncDatabase[Row], target: AsyncDatabase[Row], tmp_path: Path
) -> None:
    await database["notes"].insert_one({"_id": 1})
    backups = await backups_of(database, f"memory://{database.name}")
    await backups.full()
    await database["notes"].insert_one({"_id": 2})
    await backups.incremental()
    expected = await state_of(database)
    other = await backups_of(database, f"memory://{database.name}")
    assert not (await other.verify(restore=True)).problems
    await other.restore()
    assert await state_of(target) == expected


async def test_a_read_that_takes_several_points_is_the_state_of_the_last(
    database: AsyncDatabase[Row], target: AsyncDatabase[Row], tmp_path: Path
) -> None:
    """Each range is read at a point of its own, while all documents change."""
    filler = "x" * 1_000_000
    many = [{"_id": f"{each:03d}", "n": 0, "filler": filler} for each in range(60)]
    await database["notes"].insert_many(many)
    stop = StopSignal()

    async def write() -> None:
        number = 0
        while not stop.requested:
            number += 1
            await database["notes"].update_many({}, {"$inc": {"n": 1}})
            await database["notes"].delete_one({"_id": f"{number % 60:03d}"})
            await database["more"].insert_one({"_id": number})

    writing = asyncio.create_task(write())
    backups = await backups_of(database, tmp_path)
    try:
        made = await backups.full(point_seconds=0)
    finally:
        stop.request()
        await writing
    assert made.points >= 3
    assert made.oplog is not None
    assert made.oplog.documents > 50
    await backups.incremental()
    expected = await state_of(database)
    await backups.restore()
    assert await state_of(target) == expected
    assert not (await backups.verify(restore=True)).problems


async def test_the_history_is_followed_by_the_schedule(
    database: AsyncDatabase[Row], target: AsyncDatabase[Row], tmp_path: Path
) -> None:
    await database["notes"].insert_one({"_id": 1})
    backups = await backups_of(database, tmp_path)
    schedule = await backups.set_schedule(follow=0.01, days=7)
    assert (schedule.follow, schedule.days, schedule.full) == (0.01, 7, BackupSchedule().full)
    stop = StopSignal()
    running = asyncio.create_task(backups.follow(stop))
    try:
        await until("the first full backup", backups.window)
        await database["notes"].insert_one({"_id": 2})
        wanted = await now_in(database)

        async def reached() -> bool:
            window = await backups.window()
            return bool(window) and window[-1].through is not None and window[-1].through >= wanted

        await until("the history to be followed", reached)
    finally:
        stop.request()
        assert await running
    await backups.restore(wanted)
    assert [row["_id"] async for row in target["notes"].find()] == [1, 2]
    for wrong in ({"full": "nonsense"}, {"days": 0}, {"follow": -1}, {"other": 1}):
        with pytest.raises(errors.InvalidInput) as refusal:
            await backups.set_schedule(**wrong)
        assert refusal.value.field == next(iter(wrong))
    assert await backups.schedule() == schedule


async def test_a_worker_makes_the_backups_that_are_due(
    service: MessageService, database: AsyncDatabase[Row], mongo_uri: str, tmp_path: Path
) -> None:
    async with await MessageService.connect(
        mongo_uri,
        settings=service.settings,
        database=database.name,
        backup_target=str(tmp_path),
    ) as working:
        stop = StopSignal()
        running = asyncio.create_task(working.worker().run(stop))
        try:
            await until("the first full backup", working.backups.window)
        finally:
            stop.request()
            await running
        (made,) = (await working.backups.contents()).fulls
        assert made.database == database.name


def test_full_backups_are_due_on_mondays_and_the_history_on_other_days() -> None:
    schedule = BackupSchedule()
    last = full_taken(MONDAY - timedelta(days=7) + timedelta(hours=1))
    contents = BackupContents(fulls=[last])
    assert schedule.full_due(BackupContents(), MONDAY)
    assert not schedule.full_due(contents, MONDAY - timedelta(seconds=1))
    assert schedule.full_due(contents, MONDAY)
    assert schedule.full_due(contents, MONDAY + timedelta(days=3)), "made up for"
    sunday = MONDAY - timedelta(days=1)
    assert schedule.incremental_due(sunday - timedelta(hours=1), sunday)
    assert not schedule.incremental_due(sunday, MONDAY)


def test_what_is_kept_can_be_restored_to_any_moment_of_the_days() -> None:
    now = MONDAY
    fulls = [full_taken(now - timedelta(days=7 * week)) for week in range(30, -1, -1)]
    hours = [now - timedelta(hours=hour) for hour in range(30 * 7 * 24, -1, -1)]
    points = [OplogPoint(int(each.timestamp()), 1, 1) for each in hours]
    names = [SegmentName(*pair) for pair in pairwise(points)]
    contents = BackupContents(fulls=fulls, segments=names, unfinished=["full-x"])
    gone = removal(contents, KeepPolicy(days=30, weeks=8, months=6), now)
    left = BackupContents(
        fulls=[each for each in fulls if each not in gone.fulls],
        segments=sorted(set(names) - set(gone.segments)),
    )
    assert gone.unfinished == ("full-x",)
    assert gone.kept == len(left.fulls)
    oldest_wanted = OplogPoint(int((now - timedelta(days=30)).timestamp()), 1, 1)
    (*_, base) = [each for each in left.fulls if each.taken_wall <= oldest_wanted.seconds * 1_000]
    assert base.taken_at is not None
    assert left.chain(base.taken_at)[-1].through == points[-1]
    assert len(left.segments) < 6 * 7 * 24, "those before it are gone"
    # Five within 30 days with the base before them, the newest of 8 weeks and of 6 months.
    ages = [round((now.timestamp() - each.taken_wall / 1_000) / 86_400) for each in left.fulls]
    assert ages[-5:] == [28, 21, 14, 7, 0]
    assert set(range(35, 35 + 8 * 7, 7)) <= set(ages)
    assert len(ages) <= 5 + 8 + 6
    assert removal(replace(left), KeepPolicy(days=30, weeks=8, months=6), now).empty
    assert removal(BackupContents(fulls=[fulls[0]]), KeepPolicy(days=1), now).empty, (
        "the only one stays"
    )
