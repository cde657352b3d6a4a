"""What is damaged in backups is found and named, and never restored as if it were whole."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from message_service import errors
from message_service.backup import packing, storage
from message_service.backup.backups import Backups
from message_service.backup.keys import Key, new_key
from message_service.backup.manifest import (
    FullManifest,
    SegmentManifest,
    read_manifest,
    sealed,
)
from message_service.backup.repository import IDENTITY, Repository, SegmentName
from message_service.catalogue.declared import SCHEMA_VERSION
from message_service.database.client import open_database
from message_service.database.point import OplogPoint
from message_service.database.raw_documents import split
from message_service.documents.row import Row
from support.backups import backups_of, now_in, state_of


@dataclass
class History:
    """Backups whose every state is known: a full one, three segments, a full one, a segment.

    Attributes:
        database: The database they are of, as it is after the last.
        place: Where they are.
        fulls: The full backups.
        segments: The segments.
        points: A point within each segment, which needs the whole of it.
        states: The state at each of them.
    """

    database: AsyncDatabase[Row]
    place: Path
    fulls: list[FullManifest]
    segments: list[SegmentManifest]
    points: list[OplogPoint]
    states: list[dict[str, Any]]


class Copy:
    """A copy of the backups, to be damaged."""

    def __init__(self, history: History, place: Path, key: Path | None = None) -> None:
        shutil.copytree(history.place, place)
        self.history = history
        self.place = place
        self.key = key
        self.repository = Repository(
            storage.open_storage(str(place)), None if key is None else Key.read(key)
        )

    async def backups(self) -> Backups:
        return await backups_of(self.history.database, self.place, self.key)

    def flip(self, name: str) -> None:
        """Change one bit in the middle of a file."""
        data = bytearray((self.place / name).read_bytes())
        data[len(data) // 2] ^= 0x04
        (self.place / name).write_bytes(data)

    def truncate(self, name: str) -> None:
        (self.place / name).write_bytes((self.place / name).read_bytes()[:-3])

    def remove(self, name: str) -> None:
        (self.place / name).unlink()

    def swap(self, one: str, other: str) -> None:
        first, second = self.place / one, self.place / other
        first.rename(self.place / "aside")
        second.rename(first)
        (self.place / "aside").rename(second)

    async def assert_found(self, name: str) -> None:
        """Check that `verify` names a file."""
        problems = (await (await self.backups()).verify()).problems
        assert any(name in each.reason for each in problems), (name, problems)

    async def refused(self, to: Any, kind: type[errors.MessageServiceError]) -> Any:
        """Check that a restore is refused before anything is written; return the error."""
        backups = await self.backups()
        with pytest.raises(kind) as planned:
            await backups.plan(to)
        with pytest.raises(kind) as refusal:
            await backups.restore(to)
        assert planned.value.message == refusal.value.message
        names = await self.history.database.client.list_database_names()
        assert backups.restore_name not in names
        return refusal.value

    async def assert_damaged(self, to: Any, name: str) -> None:
        """Check that a restore ends with the name of a file, and leaves the live data alone."""
        with pytest.raises(errors.BackupDamaged) as refusal:
            await (await self.backups()).restore(to)
        assert name in refusal.value.message
        assert refusal.value.details["file"] == name
        assert await state_of(self.history.database) == self.history.states[-1]

    async def assert_restored(self, to: Any, state: dict[str, Any]) -> None:
        backups = await self.backups()
        await backups.restore(to, over=backups.restore_name)
        restored = self.history.database.client.get_database(backups.restore_name)
        assert await state_of(restored) == state
        await restored.client.drop_database(restored.name)


async def make_history(database: AsyncDatabase[Row], place: Path, key: Path | None) -> History:
    made = History(database, place, [], [], [], [])
    backups = await backups_of(database, place, key)
    filler = secrets.token_hex(200)
    await database["notes"].insert_many([{"_id": each, "text": filler} for each in range(50)])
    await database["notes"].create_index("text", name="by text")
    await database["more"].insert_one({"_id": 1})
    await database.create_collection("seen", viewOn="notes", pipeline=[{"$match": {"_id": 1}}])
    made.fulls.append(await backups.full())
    for number in range(4):
        if number == 3:
            made.fulls.append(await backups.full())
        await database["notes"].update_many({"_id": {"$lt": 20}}, {"$inc": {"n": 1}})
        await database["notes"].insert_one({"_id": f"later {number}", "x": "y" * 100 * number})
        made.points.append(await now_in(database))
        made.states.append(await state_of(database))
        taken = (await backups.incremental()).taken
        assert taken is not None
        made.segments += taken.segments
    assert len(made.segments) == 4
    return made


@pytest.fixture(scope="module")
async def history(
    client: AsyncMongoClient[Row], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[History]:
    database = open_database(client, f"test_{secrets.token_hex(6)}")
    yield await make_history(database, tmp_path_factory.mktemp("damage") / "backups", None)
    await client.drop_database(database.name)


@pytest.fixture
async def copy(history: History, tmp_path: Path) -> AsyncIterator[Copy]:
    made = Copy(history, tmp_path / "backups")
    yield made
    await history.database.client.drop_database((await made.backups()).restore_name)


def files_of(full: FullManifest) -> list[str]:
    """Return a file of each kind."""
    assert full.oplog is not None
    (notes,) = [each for each in full.collections if each.name == "notes"]
    return [notes.parts[0].name, notes.metadata.name, full.views[0].name, full.oplog.name]


def manifest_of(segment: SegmentManifest) -> str:
    return f"{SegmentName(segment.after, segment.through).stem}.json"


async def test_what_is_not_damaged_is_not_found_damaged(copy: Copy, history: History) -> None:
    found = await (await copy.backups()).verify(restore=True)
    assert found.problems == []
    assert found.restored == [each.id for each in history.fulls]
    assert found.segments == 4
    for point, state in zip(history.points, history.states, strict=True):
        await copy.assert_restored(point, state)


@pytest.mark.parametrize("kind", range(4))
async def test_a_bit_of_a_full_backup(copy: Copy, history: History, kind: int) -> None:
    full = history.fulls[1]
    # As if others had written meanwhile: else nobody needs its oplog.
    copy.repository.put_full(full.model_copy(update={"opened_at": history.fulls[0].taken_at}))
    name = files_of(full)[kind]
    copy.flip(name)
    await copy.assert_found(name)
    await copy.assert_damaged(full.id, name)
    found = await (await copy.backups()).verify([full.id], restore=True)
    assert found.restored == []
    assert all(name in each.reason for each in found.problems)
    names = await history.database.client.list_database_names()
    assert not any("_verify_" in each and history.database.name in each for each in names)


async def test_a_bit_of_a_segment(copy: Copy, history: History) -> None:
    name = history.segments[1].file.name
    copy.flip(name)
    await copy.assert_found(name)
    await copy.assert_damaged(history.points[2], name)
    await copy.assert_restored(history.points[0], history.states[0])


@pytest.mark.parametrize("damage", [Copy.remove, Copy.truncate])
@pytest.mark.parametrize("kind", range(4))
async def test_a_file_of_a_full_backup_that_is_missing_or_short(
    copy: Copy, history: History, damage: Callable[[Copy, str], None], kind: int
) -> None:
    full = history.fulls[1]
    name = files_of(full)[kind]
    damage(copy, name)
    await copy.assert_found(name)
    assert name in (await copy.refused(full.id, errors.BackupDamaged)).message
    plan = await (await copy.backups()).plan()
    assert plan.full.id == history.fulls[0].id
    (passed,) = plan.passed_over
    assert passed.id == full.id
    assert name in passed.reason
    if kind == 0:
        await copy.assert_restored("latest", history.states[-1])


@pytest.mark.parametrize("damage", [Copy.remove, Copy.truncate])
async def test_the_file_of_a_segment_that_is_missing_or_short(
    copy: Copy, history: History, damage: Callable[[Copy, str], None]
) -> None:
    name = history.segments[1].file.name
    damage(copy, name)
    await copy.assert_found(name)
    assert name in (await copy.refused(history.points[2], errors.BackupDamaged)).message
    await copy.assert_restored("latest", history.states[-1])


async def test_a_bit_of_the_manifest_of_a_full_backup(copy: Copy, history: History) -> None:
    full = history.fulls[1]
    name = f"backups/{full.id}/manifest.json"
    copy.flip(name)
    await copy.assert_found(name)
    refusal = await copy.refused(full.id, errors.BackupDamaged)
    assert name in refusal.message
    assert (await (await copy.backups()).plan()).passed_over[0].id == full.id
    await copy.assert_restored("latest", history.states[-1])
    copy.flip(f"backups/{history.fulls[0].id}/manifest.json")
    refusal = await copy.refused("latest", errors.BackupDamaged)
    assert all(each.id in refusal.message for each in history.fulls)


async def test_nothing_is_removed_for_what_cannot_be_restored(copy: Copy, history: History) -> None:
    target = history.database.client.get_database(f"{history.database.name}_restore")
    await target["precious"].insert_one({"_id": 1})
    before = await state_of(target)
    copy.flip(history.segments[-1].file.name)
    with pytest.raises(errors.BackupDamaged):
        await (await copy.backups()).restore(over=target.name)
    assert await state_of(target) == before
    await target.client.drop_database(target.name)


async def test_a_bit_of_the_manifest_of_a_segment(copy: Copy, history: History) -> None:
    name = manifest_of(history.segments[3])
    copy.flip(name)
    await copy.assert_found(name)
    assert name in (await copy.refused("latest", errors.BackupDamaged)).message
    last = (await (await copy.backups()).window())[-1]
    assert last.end is not None
    assert name in last.end
    assert last.through == history.fulls[1].taken_at
    await copy.assert_restored(history.points[2], history.states[2])
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    await copy.refused(long_ago, errors.NotRecoverable)


async def test_a_bit_of_what_says_whose_backups_they_are(copy: Copy, history: History) -> None:
    copy.flip(IDENTITY)
    await copy.assert_found(IDENTITY)
    for make in ((await copy.backups()).full, (await copy.backups()).incremental):
        with pytest.raises(errors.BackupDamaged, match=IDENTITY):
            await make()
    await copy.assert_restored("latest", history.states[-1])  # which does not need it
    copy.remove(IDENTITY)
    await copy.assert_found(IDENTITY)


def test_any_bit_of_a_manifest(history: History, tmp_path: Path) -> None:
    place = history.place
    full = f"backups/{history.fulls[0].id}/manifest.json"
    kinds: list[tuple[str, type[Any]]] = [
        (full, FullManifest),
        (manifest_of(history.segments[0]), SegmentManifest),
    ]
    for name, model in kinds:
        data = (place / name).read_bytes()
        read_manifest(model, name, data)
        for at in range(len(data)):
            with pytest.raises((errors.BackupDamaged, errors.Unsupported), match="json"):
                read_manifest(model, name, changed(data, at))
    repository = Repository(storage.open_storage(f"memory://{tmp_path.name}"), None)
    data = (place / IDENTITY).read_bytes()
    for at in range(len(data)):
        repository.place.put(IDENTITY, changed(data, at))
        with pytest.raises((errors.BackupDamaged, errors.Unsupported)):
            repository.identity()
    for wrong in (b"", b"[]", b"1", b"{}", b'{"seal": "\\ud800", "x": "\\ud800"}'):
        repository.place.put(IDENTITY, wrong)
        with pytest.raises(errors.BackupDamaged):
            repository.identity()
        for name, model in kinds:
            with pytest.raises(errors.BackupDamaged):
                read_manifest(model, name, wrong)


def changed(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :]


async def test_the_manifest_of_a_segment_that_is_missing(copy: Copy, history: History) -> None:
    before, gone, behind = history.segments[0], history.segments[1], history.segments[2]
    copy.remove(manifest_of(gone))
    await copy.assert_found(str(gone.through))
    first, second = await (await copy.backups()).window()
    assert (first.backup, first.segments, first.through) == (
        history.fulls[0].id, 1, before.through,
    )  # fmt: skip
    assert second.backup == history.fulls[1].id
    assert second.gap is not None
    assert str(before.through) in second.gap
    assert str(behind.after) in second.gap
    nearest = [moment_text(each) for each in (before.through_wall, history.fulls[1].taken_wall)]
    for to in (history.points[1], history.points[2], moment(gone.through_wall)):
        refusal = await copy.refused(to, errors.NotRecoverable)
        assert refusal.details["nearest"] == nearest
        assert all(each in refusal.message for each in nearest)
    await copy.assert_restored(before.through, history.states[0])
    await copy.assert_restored("latest", history.states[-1])


def moment(wall: int) -> datetime:
    return datetime.fromtimestamp(wall // 1_000, UTC).replace(microsecond=wall % 1_000 * 1_000)


def moment_text(wall: int) -> str:
    return moment(wall).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def test_files_of_two_segments_that_were_exchanged(copy: Copy, history: History) -> None:
    one, other = (history.segments[each].file.name for each in (1, 2))
    copy.swap(one, other)
    await copy.assert_found(one)
    await copy.assert_found(other)
    with pytest.raises(errors.BackupDamaged, match=one):
        await (await copy.backups()).restore(history.points[2])


async def test_manifests_of_two_segments_that_were_exchanged(copy: Copy, history: History) -> None:
    one, other = (manifest_of(history.segments[each]) for each in (1, 2))
    copy.swap(one, other)
    await copy.assert_found(one)
    await copy.assert_found(other)
    assert one in (await copy.refused(history.points[2], errors.BackupDamaged)).message


async def test_a_segment_under_the_name_of_another(copy: Copy, history: History) -> None:
    real, other = history.segments[1], history.segments[0]
    for source, goal in (
        (other.file.name, real.file.name),
        (manifest_of(other), manifest_of(real)),
    ):
        shutil.copy(copy.place / source, copy.place / goal)
    name = manifest_of(real)
    await copy.assert_found(name)
    assert name in (await copy.refused(history.points[2], errors.BackupDamaged)).message


@pytest.mark.parametrize("previous", ["kept", "another"])
async def test_a_segment_of_another_history(copy: Copy, history: History, previous: str) -> None:
    """With a valid seal, the same points, and other entries."""
    real = history.segments[1]
    entries = list(split(copy.repository.read(real.file, None)))
    file = copy.repository.put(real.file.name, packing.pack(entries[:-2], None))
    update: dict[str, Any] = {"file": file, "operations": file.documents}
    if previous == "another":
        update["previous"] = "0" * 64
    copy.repository.put_segment(real.model_copy(update=update))
    problems = (await (await copy.backups()).verify()).problems
    stems = [each.where for each in problems]
    wrong = [2] if previous == "kept" else [1, 2]
    assert stems == [manifest_of(history.segments[each])[:-5] for each in wrong]
    refusal = await copy.refused(history.points[2], errors.BackupDamaged)
    assert manifest_of(real)[:-5] in refusal.message
    if previous == "another":
        await copy.refused(history.points[1], errors.BackupDamaged)


async def test_what_a_newer_release_wrote(copy: Copy, history: History) -> None:
    full, segment = history.fulls[1], history.segments[2]
    copy.repository.put_full(full.model_copy(update={"format": 2}))
    copy.repository.put_segment(segment.model_copy(update={"format": 2}))
    await copy.assert_found(f"backups/{full.id}/manifest.json")
    await copy.assert_found(manifest_of(segment))
    for to in (full.id, history.points[2]):
        assert "upgrade" in (await copy.refused(to, errors.Unsupported)).message
    await copy.assert_restored(history.points[1], history.states[1])
    only, data = sealed(history.fulls[0].model_copy(update={"format": 3}))
    (copy.place / f"backups/{only.id}/manifest.json").write_bytes(data)
    assert "format 3" in (await copy.refused("latest", errors.Unsupported)).message
    values = json.loads((copy.place / IDENTITY).read_bytes())
    (copy.place / IDENTITY).write_text(json.dumps({**values, "format": 2}))
    with pytest.raises(errors.Unsupported, match="upgrade"):
        await (await copy.backups()).incremental()


async def test_a_backup_of_a_newer_schema(copy: Copy, history: History) -> None:
    newer = {"schema_version": SCHEMA_VERSION + 1}
    full, segment = history.fulls[1], history.segments[2]
    copy.repository.put_full(full.model_copy(update=newer))
    copy.repository.put_segment(segment.model_copy(update=newer))
    for to in (full.id, history.points[2]):
        refusal = await copy.refused(to, errors.SchemaTooNew)
        assert refusal.details == {"stored": SCHEMA_VERSION + 1, "known": SCHEMA_VERSION}
    await copy.assert_restored(history.points[1], history.states[1])


@pytest.fixture(scope="module")
async def encrypted(
    client: AsyncMongoClient[Row], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[History]:
    """Made by a process that knows the public part of the key only."""
    directory = tmp_path_factory.mktemp("encrypted")
    (directory / "key").write_text(new_key())
    public = Key.read(directory / "key").public
    (directory / "public").write_text(f"# the public part\n{public}\n")
    database = open_database(client, f"test_{secrets.token_hex(6)}")
    yield await make_history(database, directory / "backups", directory / "public")
    await client.drop_database(database.name)


async def test_encrypted_files(encrypted: History, tmp_path: Path) -> None:
    copy = Copy(encrypted, tmp_path / "backups", encrypted.place.with_name("key"))
    try:
        assert not (await (await copy.backups()).verify()).problems
        await copy.assert_restored("latest", encrypted.states[-1])
        full, segment = encrypted.fulls[1], encrypted.segments[3]
        for name in (files_of(full)[0], segment.file.name):
            copy.flip(name)
            assert name.endswith(".zst.age")
            await copy.assert_found(name)
        await copy.assert_damaged(full.id, files_of(full)[0])
    finally:
        restored = (await copy.backups()).restore_name
        await encrypted.database.client.drop_database(restored)


async def test_keys_that_do_not_open_a_backup(encrypted: History, tmp_path: Path) -> None:
    (tmp_path / "another").write_text(new_key())
    (tmp_path / "garbage").write_bytes(secrets.token_bytes(200) + b"\xff")
    (tmp_path / "words").write_text("no key at all\n")
    (tmp_path / "wrong private").write_text("AGE-SECRET-KEY-1QQQQ\n")
    (tmp_path / "wrong public").write_text("age1qqqq\n")
    (tmp_path / "directory").mkdir()
    public = encrypted.place.with_name("public")
    another = Key.read(tmp_path / "another").name
    keys: list[tuple[Path | None, str]] = [
        (tmp_path / "another", another),
        (None, str(encrypted.fulls[0].key)),
        (public, "public key"),
        *((tmp_path / each, "") for each in ("garbage", "words", "wrong private", "wrong public")),
        (tmp_path / "directory", "cannot be read"),
        (tmp_path / "missing", "cannot be read"),
    ]
    for key, said in keys:
        backups = await backups_of(encrypted.database, encrypted.place, key)
        for ask in (backups.restore, backups.plan, backups.verify):
            with pytest.raises(errors.InvalidInput) as refusal:
                await ask()
            assert refusal.value.field == "backup_key_file"
            assert said in refusal.value.message
        names = await encrypted.database.client.list_database_names()
        assert backups.restore_name not in names, key
        with suppress(errors.InvalidInput):
            assert len((await backups.contents()).fulls) == 2, "manifests need no key"
