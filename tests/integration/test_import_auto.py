"""Archives, folders and `import auto`: what is recognised and what is refused."""

from __future__ import annotations

import base64
import gzip
import json
import tempfile
import zipfile
import zlib
from pathlib import Path

import pytest

from message_service import ImportReport, MessageService, Tenant
from message_service.interchange.reading import archives
from support.chat_exports import Chat
from support.format_samples import SAMPLES


def chat_text(name: str = "c-grow") -> str:
    chat = Chat(name)
    chat.say(chat.say("root", "question"), "answer")
    return json.dumps([chat.snapshot()])


def zipped(path: Path, **members: str | bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def png_chunk(kind: bytes, body: bytes) -> bytes:
    checked = zlib.crc32(kind + body).to_bytes(4, "big")
    return len(body).to_bytes(4, "big") + kind + body + checked


PICTURE = (
    b"\x89PNG\r\n\x1a\n"
    + png_chunk(b"IHDR", bytes(13))
    + png_chunk(b"IDAT", b"p" * 100_000)
    + png_chunk(b"IEND", b"")
)
"""A picture that is larger than what is looked at of a file."""


async def bring(tenant: Tenant, name: str, *paths: Path) -> ImportReport:
    report = ImportReport()
    async for _ in tenant.transfer.import_files(name, paths, report):
        pass
    return report


async def counts(tenant: Tenant) -> int:
    return len((await tenant.conversations.list()).items)


@pytest.fixture
def tenant(service: MessageService) -> Tenant:
    return service.tenant("t")


@pytest.fixture(autouse=True)
def left_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder for temporary files, which every import must leave empty."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.mark.parametrize("name", ["chatgpt", "auto"])
async def test_an_archive_as_delivered(
    tenant: Tenant, tmp_path: Path, left_behind: Path, name: str
) -> None:
    path = zipped(
        tmp_path / "export.zip",
        **{
            "export/conversations-000.json": chat_text("one"),
            "export/conversations-001.json": chat_text("two"),
            "export/user.json": "{}",
            "export/chat.html": "<html>" * 100,
            "export/file-1.png": b"\x89PNG" * 1000,
            "__MACOSX/export/._conversations-000.json": b"\0\1",
        },
    )
    report = await bring(tenant, name, path)
    assert report.complete, report.error
    assert (report.new, report.stored) == (2, 4)
    if name == "auto":
        assert report.recognised == [
            "chatgpt: ChatGPT data export (other files, not read: user.json)"
        ]
    assert list(left_behind.iterdir()) == []


async def test_folders_and_gzip(tenant: Tenant, tmp_path: Path) -> None:
    deep = tmp_path / "downloads" / "export" / "inner"
    deep.mkdir(parents=True)
    (deep / "conversations.json.gz").write_bytes(gzip.compress(chat_text().encode()))
    report = await bring(tenant, "auto", tmp_path / "downloads")
    assert (report.complete, report.stored) == (True, 2)
    report = await bring(tenant, "chatgpt", tmp_path / "downloads")
    assert (report.complete, report.unchanged) == (True, 2)


async def test_pictures_beside_an_export_are_no_cards(tenant: Tenant, tmp_path: Path) -> None:
    (tmp_path / "file-1.png").write_bytes(PICTURE)
    report = await bring(tenant, "auto", tmp_path)
    assert report.error is not None
    assert "a folder with file-1.png" in report.error
    report = await bring(tenant, "auto", tmp_path / "file-1.png")
    assert report.error is not None
    assert "it is binary data" in report.error
    (tmp_path / "conversations.json").write_text(chat_text())
    report = await bring(tenant, "auto", tmp_path)
    assert (report.complete, report.stored) == (True, 2)


async def test_cards_in_pictures_are_recognised(tenant: Tenant, tmp_path: Path) -> None:
    card = base64.b64encode(SAMPLES["charactercard"].encode())
    end = len(PICTURE) - 12  # the card stands where the last chunk begins
    with_card = PICTURE[:end] + png_chunk(b"tEXt", b"chara\0" + card) + PICTURE[end:]
    (tmp_path / "Luna.png").write_bytes(with_card)
    (tmp_path / "other.png").write_bytes(PICTURE)
    path = zipped(tmp_path / "cards.zip", **{"Luna.png": with_card})
    for what in (tmp_path / "Luna.png", path):
        report = await bring(tenant, "auto", what)
        assert report.error is None
        assert report.recognised == ["charactercard: character card"]


async def test_a_folder_of_archives(tenant: Tenant, tmp_path: Path) -> None:
    folder = tmp_path / "zips"
    folder.mkdir()
    for name in ("one", "two"):
        zipped(folder / f"{name}.zip", **{"conversations.json": chat_text(name)})
    report = await bring(tenant, "auto", folder)
    assert (report.complete, report.new) == (True, 2)


async def test_our_own_export_is_recognised(tenant: Tenant, tmp_path: Path) -> None:
    source = tmp_path / "conversations.json"
    source.write_text(chat_text())
    await bring(tenant, "chatgpt", source)
    lines = "".join([line async for line in tenant.transfer.export_lines()])
    path = zipped(tmp_path / "own.zip", **{"all.jsonl": lines})
    report = await bring(tenant, "auto", path)
    assert report.recognised == ["jsonl: our own JSON lines"]
    assert (report.complete, report.unchanged) == (True, 2)


@pytest.mark.parametrize("name", sorted(SAMPLES))
async def test_every_format_is_recognised(tenant: Tenant, tmp_path: Path, name: str) -> None:
    path = tmp_path / "2012-03-24.x.raw.txt"
    path.write_text(SAMPLES[name])
    report = await bring(tenant, "auto", path)
    assert report.error is None
    assert [what.partition(":")[0] for what in report.recognised] == [name]


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"../conversations.json": "[]"}, "leaves the archive: '../conversations.json'"),
        ({"/etc/conversations.json": "[]"}, "leaves the archive"),
        ({"a/..\\..\\conversations.json": "[]"}, "leaves the archive"),
        ({"C:\\conversations.json": "[]"}, "leaves the archive"),
        ({"readme.md": "hello"}, "bad.zip holds no conversations*.json"),
    ],
)
async def test_archives_that_are_refused(
    tenant: Tenant, tmp_path: Path, left_behind: Path, members: dict[str, str], said: str
) -> None:
    path = zipped(tmp_path / "bad.zip", **{"conversations-1.json": chat_text(), **members})
    if "readme.md" in members:
        path = zipped(tmp_path / "bad.zip", **members)
    report = await bring(tenant, "chatgpt", path)
    assert report.error is not None
    assert said in report.error
    assert await counts(tenant) == 0
    assert list(left_behind.iterdir()) == []
    assert not (tmp_path / "conversations.json").exists()


async def test_a_bomb_is_refused(
    tenant: Tenant, tmp_path: Path, left_behind: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "_LARGE", 1024**2)
    path = zipped(tmp_path / "bomb.zip", **{"conversations.json": b" " * 20 * 1024**2})
    for name in ("chatgpt", "auto"):
        report = await bring(tenant, name, path)
        assert report.error is not None
        assert "unpacks to far more than its size" in report.error
    monkeypatch.setattr(archives, "MAX_MEMBERS", 3)
    path = zipped(tmp_path / "many.zip", **{f"{n}.json": "{}" for n in range(4)})
    report = await bring(tenant, "auto", path)
    assert report.error is not None
    assert "has 4 members" in report.error
    assert list(left_behind.iterdir()) == []


async def test_damaged_archives_are_named(
    tenant: Tenant, tmp_path: Path, left_behind: Path
) -> None:
    whole = zipped(tmp_path / "whole.zip", **{"conversations.json": chat_text() * 50}).read_bytes()
    broken = bytearray(whole)
    broken[60:80] = b"\xff" * 20
    for name, content in (("cut", whole[: len(whole) // 2]), ("broken", bytes(broken))):
        path = tmp_path / f"{name}.zip"
        path.write_bytes(content)
        report = await bring(tenant, "auto", path)
        assert report.error is not None
        assert f"{name}.zip is a damaged ZIP archive" in report.error
    assert await counts(tenant) == 0
    assert list(left_behind.iterdir()) == []


async def test_a_damaged_shard_is_not_passed_over(tenant: Tenant, tmp_path: Path) -> None:
    (tmp_path / "conversations-000.json").write_text(chat_text())
    (tmp_path / "conversations-001.json").write_bytes(b"\0" * 100)
    report = await bring(tenant, "auto", tmp_path)
    assert report.stored == 2
    assert report.error is not None
    assert "conversations-001.json" in report.error


async def test_two_formats_in_one_folder_are_named(tenant: Tenant, tmp_path: Path) -> None:
    folder = tmp_path / "both"
    folder.mkdir()
    (folder / "conversations.json").write_text(chat_text())
    (folder / "trees.jsonl").write_text(SAMPLES["openassistant"])
    (folder / "notes.json").write_text("{}")
    report = await bring(tenant, "auto", folder)
    assert report.error is not None
    assert "ChatGPT data export (conversations.json)" in report.error
    assert "Open Assistant message trees (trees.jsonl)" in report.error
    assert await counts(tenant) == 0
    assert (await bring(tenant, "chatgpt", folder)).complete


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty or cannot be read"),
        (b"hello there", "text that is not JSON"),
        (b"SQLite format 3\0", "binary data"),
        (b'[{"persona": [], "x": 1}]', "a JSON list, the first with the names 'persona', 'x'"),
        (b"{}", "JSON objects, the first empty"),
        (b"[", "a JSON list"),
    ],
)
async def test_what_is_not_known_is_described(
    tenant: Tenant, tmp_path: Path, content: bytes, said: str
) -> None:
    path = tmp_path / "thing.json"
    path.write_bytes(content)
    report = await bring(tenant, "auto", path)
    assert report.error is not None
    assert f"thing.json has no format that is known: it is {said}" in report.error
    assert "chatgpt" in report.error


async def test_missing_paths(tenant: Tenant, tmp_path: Path) -> None:
    for paths in ((), (tmp_path / "none.json",), (tmp_path,)):
        report = await bring(tenant, "auto", *paths)
        assert report.error is not None
