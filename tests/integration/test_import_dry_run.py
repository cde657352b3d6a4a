"""`import --dry-run` prints the account of an import and writes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from message_service import ImportReport, MessageService, Tenant
from message_service.ids import IdKind, derived_id
from support.catalogues import Database
from support.chat_exports import Chat, write
from support.format_samples import SAMPLES

GROWN = derived_id(IdKind.CONVERSATION, "chatgpt", "c-grow")


async def account(tenant: Tenant, name: str, path: Path, *, dry_run: bool) -> dict[str, Any]:
    report = ImportReport()
    async for _ in tenant.transfer.import_files(name, [path], report, dry_run=dry_run):
        pass
    return report.as_json()


async def both(
    service: MessageService, database: Database, name: str, path: Path
) -> dict[str, Any]:
    """Return the account, which must be the same before and after."""
    tenant = service.tenant("t")
    before = await everything(database)
    planned = await account(tenant, name, path, dry_run=True)
    assert await everything(database) == before
    assert await account(tenant, name, path, dry_run=False) == planned
    return planned


async def everything(database: Database) -> dict[str, list[Any]]:
    names = ("conversations", "conversation_branches", "messages", "message_versions")
    return {name: [row async for row in database[name].find()] for name in names}


async def test_a_chat_that_grows_and_changes(
    service: MessageService, database: Database, tmp_path: Path
) -> None:
    chat = Chat()
    question = chat.say("root", "question")
    answer = chat.say(question, "y" * 60_000)
    path = write(tmp_path / "c.json", chat.snapshot())
    first = await both(service, database, "chatgpt", path)
    assert (first["new"], first["stored"], first["split"]) == (1, 2, 1)
    again = await both(service, database, "chatgpt", path)
    assert (again["unchanged"], again["stored"]) == (2, 0)
    await service.tenant("t").messages.append(GROWN, "user", "written here")
    chat.say(question, "another answer")
    chat.rewrite(question, "question, changed")
    chat.nodes[answer]["message"]["weight"] = 0
    later = await both(service, database, "chatgpt", write(path, chat.snapshot()))
    assert (later["stored"], later["updated"]) == (1, 2)


async def test_what_cannot_be_stored(
    service: MessageService, database: Database, tmp_path: Path
) -> None:
    huge = {"type": "function", "id": "c", "function": {"name": "f", "arguments": "x" * 600_000}}
    told = [
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": None, "tool_calls": [huge]},
        {"role": "user", "content": "and then?"},
    ]
    path = tmp_path / "chat.json"
    path.write_text(json.dumps({"id": "x", "messages": told}))
    found = await both(service, database, "openai", path)
    assert (found["stored"], found["failed"], found["complete"]) == (2, {"invalid_input": 1}, False)
    assert found["records"] == 3


@pytest.mark.parametrize("name", sorted(SAMPLES))
async def test_every_format(
    service: MessageService, database: Database, tmp_path: Path, name: str
) -> None:
    path = tmp_path / "2012-03-24.x.raw.txt"
    path.write_text(SAMPLES[name])
    await both(service, database, name, path)
    await both(service, database, "auto", path)


async def test_our_own_export(service: MessageService, database: Database, tmp_path: Path) -> None:
    chat = Chat()
    chat.say(chat.say(chat.say("root", "one"), "two"), "three")
    source = service.tenant("source")
    await account(source, "chatgpt", write(tmp_path / "c.json", chat.snapshot()), dry_run=False)
    path = tmp_path / "all.jsonl"
    path.write_text("".join([line async for line in source.transfer.export_lines()]))
    assert (await both(service, database, "jsonl", path))["stored"] == 3
    assert (await both(service, database, "jsonl", path))["unchanged"] == 3
    damaged = tmp_path / "damaged.jsonl"
    damaged.write_text(path.read_text().replace('"two"', '"2"'))
    found = await both(service, database, "jsonl", damaged)
    assert (found["unchanged"], found["failed"]) == (2, {"checksum_mismatch": 1})
