"""The files of imports: inside messages, beside them, through our own export, whatever is wrong."""

from __future__ import annotations

import base64
import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from message_service import Attachment, ImportReport, MessageService, Tenant, errors
from support.chat_exports import Chat
from support.shell import Cli

OAK = b"\xff\xd8 an oak " * 40_000
ELM = b"\x89PNG an elm"


async def bring(
    tenant: Tenant, name: str, *paths: Path, complete: bool = True, dry_run: bool = False
) -> ImportReport:
    report = ImportReport()
    async for _ in tenant.transfer.import_files(name, paths, report, dry_run=dry_run):
        pass
    assert report.complete is complete, report.as_json()
    return report


async def attachments(tenant: Tenant) -> list[Attachment]:
    [conversation] = (await tenant.conversations.list()).items
    page = await tenant.messages.history(conversation.conversation_id, limit=100)
    return [part for m in page for part in m.parts if isinstance(part, Attachment)]


def chat_with_files() -> Chat:
    chat = Chat()
    turn = chat.attach("root", "file-OAKoakoak", "oak.jpg")
    turn = chat.attach(turn, "file_00000000elm", "elm.png")
    chat.attach(turn, "file-NEVERnever", "never.png")
    return chat


def archive(path: Path, chat: Chat, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("conversations.json", json.dumps([chat.snapshot()]))
        for name, data in members.items():
            packed.writestr(name, data)
    return path


FILES = {
    "file-OAKoakoak-oak.jpg": OAK,
    "dalle-generations/file_00000000elm-1f2e.webp": ELM,
    "file-OTHERother-secret.pdf": b"no message points to it",
    "chat.html": b"<html>",
}


@pytest.mark.parametrize("name", ["chatgpt", "auto"])
async def test_the_files_of_an_archive(service: MessageService, tmp_path: Path, name: str) -> None:
    tenant = service.tenant("t")
    path = archive(tmp_path / "export.zip", chat_with_files(), **FILES)
    preview = await bring(tenant, name, path, dry_run=True)
    with pytest.raises(errors.NotFound):
        await tenant.attachments.find("file-OAKoakoak")
    report = await bring(tenant, name, path)
    assert (report.files, report.files_missing) == (2, 1) == (preview.files, preview.files_missing)
    oak, elm, never = await attachments(tenant)
    assert await tenant.attachments.read(oak) == OAK
    assert await tenant.attachments.read(elm) == ELM
    with pytest.raises(errors.NotFound):
        await tenant.attachments.read(never)
    with pytest.raises(errors.NotFound):
        await tenant.attachments.read("file-OTHERother")
    assert (await tenant.attachments.find(oak)).name == "oak.jpg"
    again = await bring(tenant, name, path)
    assert (again.files, again.stored, again.updated) == (2, 0, 0)


async def test_the_files_of_a_folder_and_beside_a_file(
    service: MessageService, tmp_path: Path
) -> None:
    chat = chat_with_files()
    (tmp_path / "dalle-generations").mkdir()
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "conversations.json").write_text(json.dumps([chat.snapshot()]))
    folder, file = service.tenant("folder"), service.tenant("file")
    assert (await bring(folder, "chatgpt", tmp_path)).files == 2
    assert (await bring(file, "chatgpt", tmp_path / "conversations.json")).files == 1
    oak = (await attachments(file))[0]
    assert await file.attachments.read(oak) == OAK


async def test_messages_are_the_same_with_and_without_their_files(
    service: MessageService, tmp_path: Path
) -> None:
    """The order of an archive with files and a file without them does not matter."""
    chat = chat_with_files()
    bare = tmp_path / "bare" / "conversations.json"
    bare.parent.mkdir()
    bare.write_text(json.dumps([chat.snapshot()]))
    whole = archive(tmp_path / "export.zip", chat, **FILES)
    seen: list[list[str]] = []
    for number, paths in enumerate([(bare, whole), (whole, bare), (whole,)]):
        tenant = service.tenant(f"t{number}")
        for path in paths:
            report = await bring(tenant, "chatgpt", path)
            assert report.updated == 0
        lines = [line async for line in tenant.transfer.export_lines(files=False)]
        seen.append([line for line in lines if '"kind":"message"' in line])
        assert await tenant.attachments.read((await attachments(tenant))[0]) == OAK
    ids = [[json.loads(line)["document"]["content"] for line in lines] for lines in seen]
    assert ids[0] == ids[1] == ids[2]


async def test_damaged_and_too_large_files_are_named_and_the_messages_stored(
    mongo_uri: str, database: AsyncDatabase[dict[str, Any]], tmp_path: Path, service: MessageService
) -> None:
    path = archive(tmp_path / "export.zip", chat_with_files(), **FILES)
    raw = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as packed:
        place = packed.getinfo("file-OAKoakoak-oak.jpg").header_offset
    raw[place + 120] ^= 0xFF
    damaged = tmp_path / "damaged.zip"
    damaged.write_bytes(raw)
    tenant = service.tenant("damaged")
    report = await bring(tenant, "chatgpt", damaged, complete=False)
    assert dict(report.files_failed) == {"damaged": 1}
    assert (report.stored, report.files) == (3, 1)
    async with await MessageService.connect(
        mongo_uri, database=database.name, attachment_max_bytes=1_000
    ) as small:
        tenant = small.tenant("small")
        report = await bring(tenant, "chatgpt", path, complete=False)
        assert dict(report.files_failed) == {"has more than 1,000 bytes": 1}
        assert (report.stored, report.files) == (3, 1)


def request(*contents: Any) -> str:
    return json.dumps({"messages": [{"role": "user", "content": c} for c in contents]})


def url(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


async def test_files_inside_messages(service: MessageService, tmp_path: Path) -> None:
    tenant = service.tenant("t")
    path = tmp_path / "requests.json"
    image = {"type": "image_url", "image_url": {"url": url(ELM)}}
    text = {"type": "text", "text": "What is this?"}
    pdf = {"type": "file", "file": {"file_data": url(OAK, "application/pdf"), "filename": "o.pdf"}}
    path.write_text(request([text, image], [text, pdf], [text, image]))
    assert (await bring(tenant, "openai", path, dry_run=True)).files == 3
    with pytest.raises(errors.NotFound):
        await tenant.attachments.read(f"sha256:{hashlib.sha256(ELM).hexdigest()}")
    report = await bring(tenant, "openai", path)
    assert report.files == 3
    elm, oak, same = await attachments(tenant)
    assert await tenant.attachments.read(elm) == ELM == await tenant.attachments.read(same)
    assert await tenant.attachments.read(oak) == OAK
    assert (await tenant.attachments.find(oak)).name == "o.pdf"
    assert (await bring(tenant, "openai", path)).updated == 0


async def test_files_inside_arguments_and_unknown_parts(
    service: MessageService, tmp_path: Path
) -> None:
    """They are no attachments of the message, but the digests in their places find them."""
    tenant = service.tenant("t")
    chat = {
        "title": "t",
        "conversationId": "c",
        "messages": [
            {
                "messageId": "m",
                "isCreatedByUser": False,
                "sender": "x",
                "content": [
                    {
                        "type": "tool_call",
                        "tool_call": {"id": "1", "name": "draw", "args": {"image": url(ELM)}},
                    },
                    {"type": "hologram", "data": {"deep": [url(OAK)]}},
                ],
            }
        ],
    }
    path = tmp_path / "chat.json"
    path.write_text(json.dumps(chat))
    assert (await bring(tenant, "librechat", path)).files == 2
    [conversation] = (await tenant.conversations.list()).items
    page = await tenant.messages.history(conversation.conversation_id)
    call, other = page.items[0].parts
    described = json.loads(getattr(call, "arguments", "") or "{}")["image"]
    assert described["size"] == len(ELM)
    assert await tenant.attachments.read(described["hash"]) == ELM
    assert "base64" not in str(other)
    own = tmp_path / "own.jsonl"
    own.write_text("".join([line async for line in tenant.transfer.export_lines()]))
    assert (await bring(service.tenant("copy"), "jsonl", own)).files == 2
    assert await service.tenant("copy").attachments.read(described["hash"]) == ELM


async def test_an_export_brings_its_files_along(service: MessageService, tmp_path: Path) -> None:
    source, target = service.tenant("source"), service.tenant("target")
    await bring(source, "chatgpt", archive(tmp_path / "export.zip", chat_with_files(), **FILES))
    conversation = (await source.conversations.list()).items[0]
    film = await source.attachments.put(bytes(700_000), name="film.mp4")
    appended = await source.messages.append(conversation.conversation_id, "user", parts=[film])
    await source.messages.edit(
        conversation.conversation_id, appended.message_id, "no film", parts=[]
    )
    lines = [line async for line in source.transfer.export_lines()]
    path = tmp_path / "own.jsonl"
    path.write_text("".join(lines))
    assert (await bring(target, "jsonl", path, dry_run=True)).files == 3
    report = await bring(target, "jsonl", path)
    assert report.files == 3
    assert [line async for line in target.transfer.export_lines()] == lines
    oak = (await attachments(target))[0]
    assert await target.attachments.read(oak) == OAK
    # The file of an earlier version of a message is there too.
    assert await target.attachments.read(film) == bytes(700_000)
    bare = [line async for line in source.transfer.export_lines(files=False)]
    assert len(bare) < len(lines)
    assert not [line for line in bare if '"kind":"bytes"' in line]


async def test_a_damaged_file_in_an_export_is_named(
    service: MessageService, tmp_path: Path
) -> None:
    source, target = service.tenant("source"), service.tenant("target")
    conversation = await source.conversations.create("user_000000000001")
    film = await source.attachments.put(bytes(700_000), name="film.mp4")
    await source.messages.append(conversation.conversation_id, "user", "look", parts=[film])
    lines = [line async for line in source.transfer.export_lines()]
    bytes_at = [place for place, line in enumerate(lines) if '"kind":"bytes"' in line]
    path = tmp_path / "own.jsonl"
    path.write_text("".join(line.replace("AAAA", "AAAB", 1) for line in lines))
    report = await bring(target, "jsonl", path, complete=False)
    assert dict(report.files_failed) == {"differs from its digest": 1}
    assert report.stored == 1
    path.write_text("".join(lines[: bytes_at[0]] + lines[bytes_at[1] :]))
    report = await bring(target, "jsonl", path, complete=False)
    assert "has bytes of no file here" in (report.error or "")


def test_the_shell_says_what_became_of_files(
    mongo_uri: str, database: AsyncDatabase[dict[str, Any]], tmp_path: Path
) -> None:
    cli = Cli(mongo_uri, database.name, tmp_path)
    path = archive(tmp_path / "export.zip", chat_with_files(), **FILES)
    said = cli("import", "auto", path)
    assert "2 files of attachments stored, 1 not in the export" in said
    with_files = cli("export", "-")
    assert '"kind":"bytes"' in with_files
    assert '"kind":"bytes"' not in cli("export", "-", "--without-files")
    cli(
        "--tenant",
        "small",
        "import",
        "auto",
        path,
        code=11,
        MESSAGE_SERVICE_ATTACHMENT_MAX_BYTES="9",
    )
