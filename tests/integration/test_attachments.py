"""The bytes of attachments: stored once, found by every pointer, checked when they are read."""

import asyncio
import hashlib
import io
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import gridfs
import pytest
from pymongo.asynchronous.database import AsyncDatabase

from message_service import Attachment, MessageService, errors
from message_service.documents.attachment_file import CHUNK_BYTES
from message_service.documents.row import Row
from support.commands import Command
from support.shell import Cli
from support.waiting import until

USER = "user_000000000001"
NOWHERE = "attachment:sha256:" + 64 * "0"


def some_bytes(size: int) -> bytes:
    """Return bytes in which no piece is like another."""
    return b"".join(hashlib.sha256(str(n).encode()).digest() for n in range(size // 32 + 1))[:size]


async def blocks(data: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 5_000_000])
async def test_a_file_comes_back_as_it_was(service: MessageService, size: int) -> None:
    data = some_bytes(size)
    part = await service.attachments.put(data, name="report.pdf")
    assert (part.kind, part.mime_type, part.size) == ("document", "application/pdf", size)
    assert part.hash == f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert part.pointer is not None
    assert await service.attachments.read(part) == data
    assert await service.attachments.read(part.pointer) == data
    assert await service.attachments.read(str(part.hash)) == data
    found = await service.attachments.find(part)
    assert (found.size, found.name, found.external) == (size, "report.pdf", False)


async def test_every_source_of_bytes_gives_the_same_file(
    service: MessageService, tmp_path: Path, database: AsyncDatabase[Row]
) -> None:
    data = some_bytes(700_000)
    path = tmp_path / "cat.png"
    path.write_bytes(data)
    with path.open("rb") as file:
        parts = [
            await service.attachments.put(source)
            for source in (data, bytearray(data), memoryview(data), path, blocks(data, 77), file)
        ]
    assert len({part.hash for part in parts}) == 1
    assert [part.name for part in parts] == [None, None, None, "cat.png", None, None]
    assert parts[3].kind == "image"
    assert await database["attachments.files"].count_documents({}) == 1
    assert await database["attachments.chunks"].count_documents({}) == 3
    every_second = await service.attachments.put(memoryview(data)[::2])
    assert await service.attachments.read(every_second) == data[::2]


async def test_a_message_refers_to_a_stored_file(service: MessageService) -> None:
    part = await service.attachments.put(b"meow", name="cat.txt")
    conversation = await service.conversations.create(USER)
    appended = await service.messages.append(
        conversation.conversation_id, "user", "look", parts=[part]
    )
    message = await service.messages.get(conversation.conversation_id, appended.message_id)
    [stored] = [each for each in message.parts if isinstance(each, Attachment)]
    assert await service.attachments.read(stored) == b"meow"


async def test_a_pointer_to_nowhere_is_refused_and_nothing_is_stored(
    service: MessageService,
) -> None:
    there = await service.attachments.put(b"there")
    conversation_id = (await service.conversations.create(USER)).conversation_id
    wrong = Attachment(pointer=NOWHERE)
    with pytest.raises(errors.InvalidInput, match=r"^parts\.1\.pointer: names a file"):
        await service.messages.append(conversation_id, "user", parts=[there, wrong])
    with pytest.raises(errors.InvalidInput, match=r"^messages\.1\.parts\.0\.pointer"):
        await service.messages.append_many(
            conversation_id,
            [{"role": "user", "text": "hi"}, {"role": "user", "parts": [wrong]}],
        )
    broken = Attachment(pointer="attachment:../../etc/passwd")
    with pytest.raises(errors.InvalidInput, match=r"^parts\.0\.pointer"):
        await service.messages.append(conversation_id, "user", parts=[broken])
    assert (await service.messages.history(conversation_id)).items == []
    appended = await service.messages.append(conversation_id, "user", "hi")
    with pytest.raises(errors.InvalidInput, match=r"^parts\.0\.pointer"):
        await service.messages.edit(conversation_id, appended.message_id, parts=[wrong])


async def test_a_file_of_another_tenant_is_nowhere(service: MessageService) -> None:
    part = await service.tenant("acme").attachments.put(b"secret", pointers=["file-abc"])
    assert part.hash is not None
    for which in (part, part.hash, "file-abc", "file-service://file-abc"):
        with pytest.raises(errors.NotFound):
            await service.attachments.read(which)
    conversation = await service.conversations.create(USER)
    with pytest.raises(errors.InvalidInput, match="not stored"):
        await service.messages.append(conversation.conversation_id, "user", parts=[part])
    await service.attachments.put(b"secret")
    assert await service.attachments.read(part) == b"secret"
    assert await service.tenant("acme").attachments.read(part) == b"secret"


async def test_a_providers_pointer_finds_the_file_in_all_its_forms(
    service: MessageService,
) -> None:
    await service.attachments.put(b"cat", pointers=["file-service://file-abc"])
    await service.attachments.put(b"cat", pointers=["sediment://file_000"])
    for pointer in ("file-abc", "file-service://file-abc", "sediment://file_000#p_1"):
        assert await service.attachments.read(Attachment(pointer=pointer)) == b"cat"
    # A file that claims the same pointer later does not take its place.
    await service.attachments.put(b"other", pointers=["file-abc"])
    assert await service.attachments.read("file-abc") == b"cat"
    with pytest.raises(errors.NotFound, match="file-other"):
        await service.attachments.read(Attachment(pointer="file-service://file-other"))
    with pytest.raises(errors.NotFound):
        await service.attachments.read(Attachment(name="cat.png"))


async def test_damage_is_noticed_and_missing_bytes_can_be_put_again(
    service: MessageService, database: AsyncDatabase[Row]
) -> None:
    data = some_bytes(600_000)
    part = await service.attachments.put(data)
    chunks = database["attachments.chunks"]
    await chunks.delete_one({"n": 1})
    with pytest.raises(errors.AttachmentDamaged, match="missing or changed"):
        await service.attachments.read(part)
    await service.attachments.put(data)
    assert await service.attachments.read(part) == data
    await chunks.update_one({"n": 2}, {"$set": {"data": b"changed"}})
    with pytest.raises(errors.AttachmentDamaged):
        await service.attachments.read(part)


async def test_the_layout_is_gridfs(service: MessageService, database: AsyncDatabase[Row]) -> None:
    data = some_bytes(600_000)
    await service.attachments.put(data, name="notes.txt")
    bucket = gridfs.AsyncGridFSBucket(database, "attachments")
    stream = await bucket.open_download_stream_by_name("notes.txt")
    assert await stream.read() == data


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"data": "text"}, "data"),
        ({"data": 5}, "data"),
        ({"data": Path("/nowhere/at/all")}, "data"),
        ({"data": Path("/")}, "data"),
        ({"data": io.StringIO("text")}, "data"),
        ({"data": b"x", "name": ""}, "name"),
        ({"data": b"x", "name": "a" * 1_025}, "name"),
        ({"data": b"x", "mime_type": "a" * 257}, "mime_type"),
        ({"data": b"x", "kind": "hologram"}, "kind"),
        ({"data": b"x", "pointers": [{"$ne": 1}]}, "pointers"),
    ],
)
async def test_bad_input_names_its_field(
    service: MessageService, database: AsyncDatabase[Row], arguments: Row, field: str
) -> None:
    with pytest.raises(errors.InvalidInput) as raised:
        await service.attachments.put(**arguments)
    assert raised.value.field == field
    assert await database["attachments.files"].count_documents({}) == 0
    assert await database["attachments.chunks"].count_documents({}) == 0


async def test_too_large_a_file_is_refused_before_anything_is_stored(
    mongo_uri: str, database: AsyncDatabase[Row]
) -> None:
    async with await MessageService.connect(
        mongo_uri, database=database.name, attachment_max_bytes=1_000
    ) as service:
        await service.attachments.put(bytes(1_000))
        with pytest.raises(errors.InvalidInput, match="has more than 1,000 bytes"):
            await service.attachments.put(blocks(bytes(1_001), 100))
        assert await database["attachments.chunks"].count_documents({}) == 1


async def test_a_source_that_fails_leaves_nothing(
    service: MessageService, database: AsyncDatabase[Row]
) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield bytes(CHUNK_BYTES * 3)
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await service.attachments.put(broken())
    assert await database["attachments.chunks"].count_documents({}) == 0


async def test_concurrent_uploads_of_one_file_are_one_file(
    service: MessageService, database: AsyncDatabase[Row]
) -> None:
    data = some_bytes(2_000_000)
    await asyncio.gather(
        *(service.attachments.put(data, pointers=[f"file-{number}"]) for number in range(6))
    )
    assert await database["attachments.files"].count_documents({}) == 1
    for number in range(6):
        assert await service.attachments.read(f"file-{number}") == data


@pytest.mark.faults
async def test_a_killed_upload_is_continued_by_the_next(
    mongo_uri: str, service: MessageService, database: AsyncDatabase[Row], tmp_path: Path
) -> None:
    data = some_bytes(60 * 1024**2)
    path = tmp_path / "film.mp4"
    path.write_bytes(data)
    words = ("--database", database.name, "attachments", "put", path)
    upload = await Command.start(mongo_uri, tmp_path / "upload", *words)
    chunks = database["attachments.chunks"]
    await until("the first pieces to be stored", lambda: chunks.count_documents({}))
    upload.signal(signal.SIGKILL)
    await upload.ended()
    before = await chunks.count_documents({})
    with pytest.raises(errors.NotFound):
        await service.attachments.find(f"sha256:{hashlib.sha256(data).hexdigest()}")
    part = await service.attachments.put(path)
    assert await service.attachments.read(part) == data
    assert 0 < before < await chunks.count_documents({})


async def test_an_external_store_holds_the_bytes(
    mongo_uri: str, database: AsyncDatabase[Row], tmp_path: Path, service: MessageService
) -> None:
    data = some_bytes(3_000_000)
    root = tmp_path / "store"
    async with await MessageService.connect(
        mongo_uri, database=database.name, attachment_store=f"file://{root}"
    ) as outside:
        part = await outside.attachments.put(data, name="film.mp4")
        assert await outside.attachments.read(part) == data
        assert (await outside.attachments.find(part)).external
        [file] = [path for path in root.rglob("*") if path.is_file()]
        assert file.read_bytes() == data
        # A service without the store says which setting is missing.
        with pytest.raises(errors.InvalidInput, match="attachment_store"):
            await service.attachments.read(part)
        file.unlink()
        with pytest.raises(errors.AttachmentDamaged):
            await outside.attachments.read(part)
        await outside.attachments.put(data)
        assert await outside.attachments.read(part) == data
    assert await database["attachments.chunks"].count_documents({}) == 0


async def test_an_external_store_in_memory_and_what_was_stored_before_it(
    mongo_uri: str, database: AsyncDatabase[Row], service: MessageService
) -> None:
    inside = await service.attachments.put(b"inside")
    async with await MessageService.connect(
        mongo_uri, database=database.name, attachment_store="memory://attachments"
    ) as outside:
        part = await outside.attachments.put(b"outside")
        assert await outside.attachments.read(part) == b"outside"
        assert await outside.attachments.read(inside) == b"inside"


@pytest.mark.parametrize("url", ["nothing://here", "s3://bucket"])
async def test_a_store_that_cannot_be_opened_names_the_setting(
    mongo_uri: str, database: AsyncDatabase[Row], url: str
) -> None:
    with pytest.raises(errors.InvalidInput) as raised:
        await MessageService.connect(mongo_uri, database=database.name, attachment_store=url)
    assert raised.value.field == "attachment_store"


def test_the_commands(mongo_uri: str, database: AsyncDatabase[Row], tmp_path: Path) -> None:
    cli = Cli(mongo_uri, database.name, tmp_path)
    path = tmp_path / "cat.png"
    path.write_bytes(some_bytes(300_000))
    pointer = cli("attachments", "put", path, "--pointer", "file-abc").strip()
    part = cli.json("attachments", "put", path)
    assert (part["pointer"], part["kind"], part["name"]) == (pointer, "image", "cat.png")
    assert "image/png" in cli("attachments", "show", "file-abc")
    assert cli.json("attachments", "show", part["hash"])["size"] == 300_000
    copy = tmp_path / "copy.png"
    cli("attachments", "get", pointer, copy)
    assert copy.read_bytes() == path.read_bytes()
    missing = tmp_path / "missing"
    for words, code, said in (
        (("get", NOWHERE, missing), 3, NOWHERE),
        (("show", "file-other"), 3, "file-other"),
        (("put", missing), 2, "cannot be read"),
    ):
        error = cli("attachments", *words, code=code)
        assert said in error
        assert error.count("\n") == 1
    assert not missing.exists()
