"""What backups and restores refuse, and that a refusal leaves everything as it was."""

from __future__ import annotations

import asyncio
import os
import secrets
import subprocess
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bson import Timestamp
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from message_service import errors
from message_service.backup.backups import Backups
from message_service.backup.following import OTHER_HISTORY, ROLLED_OVER, clock_steps
from message_service.backup.manifest import ClockStep, FullManifest, SegmentManifest
from message_service.backup.place import FULL_LEASE, HISTORY_LEASE
from message_service.backup.pruning import KeepPolicy
from message_service.backup.repository import Repository
from message_service.backup.storage import open_storage
from message_service.catalogue.declared import SCHEMA_VERSION
from message_service.clock import from_epoch_milliseconds
from message_service.database.lease import Lease
from message_service.database.oplog import Entry, Moment
from message_service.database.point import OplogPoint
from message_service.database.server_info import read_server_info
from message_service.documents.row import Row
from message_service.local_server.binary import find_mongod
from message_service.settings import Settings
from support.backups import backups_of, now_in, state_of
from support.replica_sets import free_ports
from support.servers import OwnServer
from support.shell import Cli
from support.waiting import ended, until

TINY_OPLOG = """#!/bin/sh
for word; do
  shift
  [ "$before" = --oplogSize ] && word=1
  before=$word
  set -- "$@" "$word"
done
exec "{mongod}" --syncdelay 1 "$@"
"""
"""A mongod with an oplog of 1 MB. It drops old entries with its checkpoints: one each second."""


class FixedClock:
    def __init__(self, now: datetime) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now


@pytest.fixture(scope="module")
async def tiny(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[AsyncMongoClient[Row]]:
    """Another replica set, whose oplog rolls over soon."""
    directory = tmp_path_factory.mktemp("tiny")
    script = directory / "mongod"
    script.write_text(TINY_OPLOG.format(mongod=(await find_mongod(None)).path))
    script.chmod(0o755)
    own = OwnServer(directory / "server", script)
    await own.start()
    client: AsyncMongoClient[Row] = AsyncMongoClient(own.uri, tz_aware=True)
    yield client
    await client.close()
    await own.stop()


@pytest.fixture
async def target(database: AsyncDatabase[Row]) -> AsyncIterator[AsyncDatabase[Row]]:
    restored = database.client.get_database(f"{database.name}_restore")
    yield restored
    await database.client.drop_database(restored.name)


def tree(place: Path) -> dict[str, bytes]:
    return {str(each): each.read_bytes() for each in place.rglob("*") if each.is_file()}


async def refused(kind: type[errors.MessageServiceError], call: Any) -> Any:
    with pytest.raises(kind) as refusal:
        await call
    assert "\n" not in refusal.value.message
    return refusal.value


async def assert_place_refused(backups: Backups, *said: str) -> None:
    for make in (backups.full, backups.incremental, backups.run):
        refusal = await refused(errors.InvalidInput, make())
        assert refusal.field == "backup_target"
        assert all(each in refusal.message for each in said), refusal.message


async def test_places_that_cannot_hold_backups(
    database: AsyncDatabase[Row], tmp_path: Path
) -> None:
    await database["notes"].insert_one({"_id": 1})
    (tmp_path / "file").write_text("mine")
    for place in ("", tmp_path / "file", tmp_path / "file" / "below", "x" * 300,
                  "nonsense://x", "a\x00b", "\ud800", f"file://{tmp_path}/file"):  # fmt: skip
        backups = await backups_of(database, place)
        await assert_place_refused(backups)
        for ask in (backups.contents, backups.verify, backups.plan, backups.restore):
            assert (await refused(errors.InvalidInput, ask())).field == "backup_target"
    server = await read_server_info(database.client)
    unset = Backups(database, server, Settings(), FixedClock(datetime.now(UTC)), os.urandom)
    await assert_place_refused(unset, "is not set")
    assert (tmp_path / "file").read_text() == "mine"
    assert f"{database.name}_restore" not in await database.client.list_database_names()


async def test_places_that_hold_something_else(
    database: AsyncDatabase[Row], client: AsyncMongoClient[Row], tiny: AsyncMongoClient[Row],
    tmp_path: Path,
) -> None:  # fmt: skip
    await database["notes"].insert_one({"_id": 1})
    place = tmp_path / "files"
    place.mkdir()
    (place / "letter.txt").write_text("dear diary")
    await assert_place_refused(await backups_of(database, place), "letter.txt")
    assert tree(place) == {str(place / "letter.txt"): b"dear diary"}

    place = tmp_path / "backups"
    await (await backups_of(database, place)).full()
    before = tree(place)
    state = await state_of(database)
    other = client.get_database(f"{database.name}_other")
    elsewhere = tiny.get_database(database.name)
    try:
        for each in (other, elsewhere):
            await each["notes"].insert_one({"_id": 2})
            backups = await backups_of(each, place)
            await assert_place_refused(backups, database.name, each.name)
            assert tree(place) == before
            await backups.restore(into=f"{database.name}_copy")  # which may be read from anywhere
            assert await state_of(each.client.get_database(f"{database.name}_copy")) == state
            await each.client.drop_database(f"{database.name}_copy")
    finally:
        await client.drop_database(other.name)
        await tiny.drop_database(elsewhere.name)


async def test_one_backup_at_a_time(database: AsyncDatabase[Row], tmp_path: Path) -> None:
    await database["notes"].insert_many([{"_id": each, "x": "y" * 10_000} for each in range(10)])
    backups = await backups_of(database, tmp_path / "backups")
    rival = await backups_of(database, tmp_path / "backups")
    done = await asyncio.gather(
        backups.full(rate=200_000), rival.full(rate=200_000), return_exceptions=True
    )
    (made,) = [each for each in done if isinstance(each, FullManifest)]
    (conflict,) = [each for each in done if isinstance(each, errors.Conflict)]
    assert f":{os.getpid()}:" in conflict.message
    contents = await backups.contents()
    assert [each.id for each in contents.fulls] == [made.id]
    assert contents.unfinished == []

    held = Lease(database, FULL_LEASE, "somebody:7", 60)
    await held.try_acquire()
    for call in (backups.full(), backups.prune(KeepPolicy())):
        assert "somebody:7" in (await refused(errors.Conflict, call)).message
    assert (await backups.incremental()).full is None, "the history goes on meanwhile"
    await held.release()
    history = Lease(database, HISTORY_LEASE, "somebody:8", 60)
    await history.try_acquire()
    assert "somebody:8" in (await refused(errors.Conflict, backups.incremental())).message
    await history.release()
    await backups.full()
    await backups.incremental()
    assert not (await backups.verify()).problems


async def test_a_full_disk(
    database: AsyncDatabase[Row], target: AsyncDatabase[Row], small_disk: Path
) -> None:
    """Bytes that do not compress; half of them still seem to fit."""
    for name in ("first", "second"):
        many = [{"_id": each, "x": secrets.token_bytes(15_000)} for each in range(10)]
        await database[name].insert_many(many)
    backups = await backups_of(database, small_disk / "backups")
    await refused(errors.StorageFull, backups.full())
    contents = await backups.contents()
    assert (contents.fulls, contents.unfinished) == ([], [])
    assert [each.name for each in (small_disk / "backups").rglob("*") if each.is_file()] == [
        "repository.json"
    ]
    await refused(errors.NotRecoverable, backups.restore())

    remount(small_disk, "size=450k")
    await backups.full()
    for _ in range(10):
        await database["first"].insert_one({"x": secrets.token_bytes(20_000)})
    await refused(errors.StorageFull, backups.incremental())
    assert (await backups.contents()).segments == []
    assert not list((small_disk / "backups" / "oplog").iterdir())

    remount(small_disk, "size=20m")
    await backups.incremental()
    expected = await state_of(database)
    assert not (await backups.verify()).problems
    await backups.restore()
    assert await state_of(target) == expected


def remount(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(disk)], check=True)


async def test_a_disk_that_is_too_small_or_read_only(
    database: AsyncDatabase[Row], small_disk: Path
) -> None:
    many = [{"_id": each, "x": secrets.token_bytes(50_000)} for each in range(20)]
    await database["notes"].insert_many(many)
    await database.client.admin.command("fsync")  # only then the server tells the size
    seen: list[object] = []
    backups = await backups_of(database, small_disk / "backups")
    refusal = await refused(errors.StorageFull, backups.full(progress=seen.append))
    assert "MB left" in refusal.message
    assert seen == [], "nothing was read"
    assert not (small_disk / "backups" / "backups").exists()
    remount(small_disk, "ro")
    await assert_place_refused(await backups_of(database, small_disk / "new"), "Read-only")


async def test_restores_into_the_wrong_place(
    database: AsyncDatabase[Row], target: AsyncDatabase[Row], tmp_path: Path
) -> None:
    await database["notes"].insert_one({"_id": 1})
    backups = await backups_of(database, tmp_path)
    await backups.full()
    state = await state_of(database)
    await target["mine"].insert_one({"_id": 1})
    held = await state_of(target)
    for into in (None, target.name, database.name):
        refusal = await refused(errors.Conflict, backups.restore(into=into))
        assert (into or target.name) in refusal.message
    for into, over in ((None, database.name), (database.name, target.name), (target.name, "")):
        refusal = await refused(errors.InvalidInput, backups.restore(into=into, over=over))
        assert refusal.field == "over"
    for into in ("admin", "local", "config", "Admin", "", "a.b", "a/b", "x" * 64, "\x00", "\ud800"):
        refusal = await refused(errors.InvalidInput, backups.restore(into=into, over=into))
        assert refusal.field == "into"
    for parallel in (0, 65, 1.5, True):
        refusal = await refused(errors.InvalidInput, backups.restore(parallel=parallel))  # type: ignore[arg-type]
        assert refusal.field == "parallel"
    assert await state_of(target) == held
    assert await state_of(database) == state


async def test_states_that_cannot_be_had(database: AsyncDatabase[Row], tmp_path: Path) -> None:
    await database["notes"].insert_one({"_id": 1})
    backups = await backups_of(database, tmp_path)
    await refused(errors.NotRecoverable, backups.restore())
    full = await backups.full()
    assert full.taken_at is not None
    first = from_epoch_milliseconds(full.taken_wall)
    named = first.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    now = datetime.now(UTC)
    wrong: list[Any] = [
        now + timedelta(minutes=1), now.replace(tzinfo=None), "2026-11-28T10:30:00", "yesterday",
        "", "9999-12-31T23:59:59Z", "2026-13-45", "12:30", 7, None, True, "1700000000:", "LATEST",
    ]  # fmt: skip
    for to in wrong:
        for ask in (backups.plan, backups.restore):
            assert (await refused(errors.InvalidInput, ask(to))).field == "to", to
    early: list[Any] = [
        first - timedelta(milliseconds=1), "0001-01-01T00:00:00+14:00", "1969-12-31T23:59:59Z",
        OplogPoint(full.taken_at.seconds - 1, 1), "1000000000:1", "1000000000-1-1",
    ]  # fmt: skip
    late: list[Any] = [
        OplogPoint(full.taken_at.seconds, full.taken_at.increment + 1_000_000),
        "9999999999:9999999999",
        datetime.now(UTC),
    ]
    for to in early + late:
        for ask in (backups.plan, backups.restore):
            refusal = await refused(errors.NotRecoverable, ask(to))
            assert refusal.details["nearest"] == [named], to
            assert named in refusal.message
    for name in ("full-20200101T000000Z-abcdef", "full-", "full-../../etc", f"{full.id}/"):
        for call in (backups.restore(name), backups.verify([name])):
            assert name in (await refused(errors.NotFound, call)).message
    (tmp_path / "backups" / "full-killed").mkdir()
    assert (
        "not completed"
        in (await refused(errors.NotRecoverable, backups.restore("full-killed"))).message
    )
    assert f"{database.name}_restore" not in await database.client.list_database_names()
    assert (await backups.plan(first)).full.id == full.id
    past = await backups_of(database, tmp_path, clock=FixedClock(first - timedelta(hours=1)))
    assert "future" in (await refused(errors.InvalidInput, past.plan(first))).message


async def test_a_database_without_collections(database: AsyncDatabase[Row], tmp_path: Path) -> None:
    backups = await backups_of(database, tmp_path / "backups")
    for make in (backups.full, backups.incremental, backups.run):
        assert database.name in (await refused(errors.NotFound, make())).message
    assert not (tmp_path / "backups").exists()
    assert database.name not in await database.client.list_database_names()


@pytest.fixture
async def standalone(tmp_path: Path) -> AsyncIterator[AsyncMongoClient[Row]]:
    """A server outside of a replica set."""
    data = tmp_path / "standalone"
    data.mkdir()
    (port,) = free_ports(1)
    process = await asyncio.create_subprocess_exec(
        str((await find_mongod(None)).path),
        *("--dbpath", str(data), "--port", str(port), "--bind_ip", "127.0.0.1"),
        *("--nounixsocket", "--logpath", str(data / "log"), "--wiredTigerCacheSizeGB", "0.25"),
    )
    client: AsyncMongoClient[Row] = AsyncMongoClient(
        "127.0.0.1", port, serverSelectionTimeoutMS=500, tz_aware=True
    )

    async def listens() -> bool:
        try:
            await client.admin.command("ping")
        except PyMongoError:
            return False
        return True

    try:
        await until("the server to listen", listens)
        yield client
    finally:
        await client.close()
        process.kill()
        await ended(process, "a killed mongod")


async def test_a_server_without_oplog(
    standalone: AsyncMongoClient[Row], database: AsyncDatabase[Row], target: AsyncDatabase[Row],
    tmp_path: Path,
) -> None:  # fmt: skip
    source = standalone.get_database(database.name)
    await source["notes"].insert_many([{"_id": each} for each in range(1_000)])
    await source["notes"].create_index("x", unique=True, sparse=True)
    await source.create_collection("seen", viewOn="notes", pipeline=[])
    backups = await backups_of(source, tmp_path / "backups")
    refusal = await refused(errors.Unsupported, backups.incremental())
    assert "--replSet" in refusal.message
    assert "--full" in refusal.message
    made = await backups.full()
    assert (made.consistent, made.taken_at, made.oplog) == (False, None, None)
    await refused(errors.Unsupported, backups.incremental())
    expected = await state_of(source)
    assert not (await backups.verify(restore=True)).problems
    (stretch,) = await backups.window()
    assert (stretch.since, stretch.since_wall) == (None, made.taken_wall)

    await database["notes"].insert_one({"_id": "here"})
    here = await backups_of(database, tmp_path / "backups")
    await assert_place_refused(here, "without oplog")
    for to in ("latest", made.id, from_epoch_milliseconds(made.taken_wall)):
        await here.restore(to, over=target.name)
        assert await state_of(target) == expected
    await refused(errors.NotRecoverable, here.plan(datetime.now(UTC)))


def entry(number: int, wall: int) -> Entry:
    return Entry(OplogPoint(1_700_000_000, number, 1), wall, "i", b"")


def test_where_the_clock_went_back() -> None:
    walls = [1_000, 5_000, 4_100, 3_000, 2_000, 5_500, 9_000, 8_000, 7_999, 1_000, 9_500]
    entries = [entry(number, wall) for number, wall in enumerate(walls, 1)]
    # Before the point it begins after: of a transaction that ends behind it.
    steps = clock_steps(Moment(entries[0].at, walls[0]), [entry(1, 0), *entries[1:]])
    assert [(each.at.increment, each.back_from, each.back_to) for each in steps] == [
        (4, 5_000, 3_000), (9, 9_000, 7_999),
    ]  # fmt: skip


async def taken(backups: Backups) -> list[SegmentManifest]:
    done = (await backups.incremental()).taken
    assert done is not None
    return done.segments


async def test_a_moment_that_the_clock_showed_twice(
    database: AsyncDatabase[Row], target: AsyncDatabase[Row], tmp_path: Path
) -> None:
    await database["notes"].insert_one({"_id": 1})
    backups = await backups_of(database, tmp_path)
    await backups.full()
    await database["notes"].insert_one({"_id": 2})
    point, expected = await now_in(database), await state_of(database)
    await database["notes"].insert_one({"_id": 3})
    (first,) = await taken(backups)
    await database["notes"].insert_one({"_id": 4})
    (segment,) = await taken(backups)
    wall = first.through_wall  # shown again in the segment behind it
    step = ClockStep(at=point, back_from=segment.through_wall, back_to=wall)
    stepped = segment.model_copy(update={"clock_steps": [step]})
    Repository(open_storage(str(tmp_path)), None).put_segment(stepped)
    refusal = await refused(errors.NotRecoverable, backups.restore(from_epoch_milliseconds(wall)))
    assert "twice" in refusal.message
    (named,) = refusal.details["nearest"]
    assert target.name not in await database.client.list_database_names()
    await backups.plan(from_epoch_milliseconds(wall - 1))
    await backups.plan()
    await backups.restore(named)
    assert await state_of(target) == expected


async def test_an_oplog_that_rolled_over(tiny: AsyncMongoClient[Row], tmp_path: Path) -> None:
    database = tiny.get_database("rolled")
    await database["notes"].insert_one({"_id": 1})
    backups = await backups_of(database, tmp_path)
    assert (await backups.incremental()).full is not None
    states: list[tuple[object, dict[str, Any]]] = []

    async def write(number: int) -> None:
        await database["notes"].insert_one({"_id": number})
        states.append((await now_in(database), await state_of(database)))

    await write(2)
    (last,) = await taken(backups)
    oplog: Any = tiny.get_database("local")["oplog.rs"]

    async def dropped() -> bool:
        await tiny.get_database("noise")["noise"].insert_one({"x": secrets.token_bytes(100_000)})
        oldest: Timestamp = (await oplog.find_one())["ts"]
        return oldest > last.through.stamp

    await write(3)
    lost = states.pop()[0]
    await until("the oplog to roll over", dropped)
    done = await backups.incremental()
    assert done.full is not None
    assert done.reason == f"{ROLLED_OVER} ({last.through})"
    await write(4)
    going_on = await backups.incremental()
    assert (going_on.full, going_on.reason) == (None, None)
    first, second = await backups.window()
    assert (first.gap, first.through) == (None, last.through)
    assert second.backup == done.full.id
    assert second.gap is not None
    assert str(last.through) in second.gap
    assert not (await backups.verify()).problems
    for point, state in states:
        restored = tiny.get_database(backups.restore_name)
        await backups.restore(point, over=restored.name)  # type: ignore[arg-type]
        assert await state_of(restored) == state
    refusal = await refused(errors.NotRecoverable, backups.plan(lost))  # type: ignore[arg-type]
    assert len(refusal.details["nearest"]) == 2


async def test_another_history_of_the_same_set(
    database: AsyncDatabase[Row], tmp_path: Path
) -> None:
    """As after a rollback by force: the last point is there, in another term."""
    await database["notes"].insert_one({"_id": 1})
    backups = await backups_of(database, tmp_path)
    full = await backups.full()
    at = full.taken_at
    assert at is not None
    elsewhere = OplogPoint(at.seconds, at.increment, at.term + 1)
    repository = Repository(open_storage(str(tmp_path)), None)
    repository.put_full(full.model_copy(update={"taken_at": elsewhere}))
    done = await backups.incremental()
    assert done.full is not None
    assert done.reason == f"{OTHER_HISTORY} ({elsewhere})"


async def test_the_command_line_says_it_in_one_line(
    database: AsyncDatabase[Row], target: AsyncDatabase[Row], mongo_uri: str, tmp_path: Path
) -> None:
    await database["notes"].insert_one({"_id": 1})
    place = tmp_path / "backups"
    backups = await backups_of(database, place)
    newer, full = [await backups.full() for _ in range(2)]
    repository = Repository(open_storage(str(place)), None)
    repository.put_full(newer.model_copy(update={"schema_version": SCHEMA_VERSION + 1}))
    (place / full.collections[0].parts[0].name).unlink()
    cli = Cli(mongo_uri, database.name, tmp_path)
    to = ("restore", "--target", str(place), "--to")
    for code, said, words in (
        (2, "--target", ("backup", "run", "--full")),
        (2, "time zone", (*to, "2026-01-01T00:00:00")),
        (3, "full-nothing", (*to, "full-nothing")),
        (5, "upgrade", (*to, newer.id)),
        (16, full.collections[0].parts[0].name, (*to, full.id)),
        (17, "nearest", (*to, "2020-01-01T00:00:00Z")),
    ):
        message = cli(*words, code=code)
        assert said in message
        assert len(message.splitlines()) == 1, message
    assert target.name not in await database.client.list_database_names()
