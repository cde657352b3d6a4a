"""Import and export: idempotent, resumable, honest, lossless."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from message_service import MessageService, Tenant, errors, joined
from message_service.ids import IdKind, derived_id
from message_service.interchange.report import ConversationReport, ImportReport
from support.chat_exports import Chat, write

NOW = datetime(2026, 1, 2, tzinfo=UTC)

CHITCHAT = {
    "one": {
        "messages": [
            [
                {"text": "hi", "timestamp": "2018-05-02T19:38:15Z", "sender": "a"},
                {"text": "there", "timestamp": "2018-05-02T19:38:16Z", "sender": "a"},
            ],
            [{"text": "\ud800 odd", "timestamp": "2018-05-02T19:38:17Z", "sender": "b"}],
        ],
        "start": "2018-05-02T19:38:15Z",
    },
    "two": {
        "messages": [[{"text": "yo", "timestamp": "2018-05-02T20:00:00Z", "sender": "b"}]],
        "start": "2018-05-02T20:00:00Z",
    },
}


@pytest.fixture
def chitchat_file(tmp_path: Path) -> Path:
    path = tmp_path / "dataset.json"
    path.write_text(json.dumps(CHITCHAT))
    return path


async def run(tenant: Tenant, name: str, *paths: Path) -> ImportReport:
    report = ImportReport()
    async for _ in tenant.transfer.import_files(name, paths, report):
        pass
    return report


async def dump(tenant: Tenant) -> str:
    return "".join([line async for line in tenant.transfer.export_lines()])


async def test_import_twice_changes_nothing(service: MessageService, chitchat_file: Path) -> None:
    tenant = service.tenant("default")
    first = await run(tenant, "chitchat", chitchat_file)
    assert (first.stored, first.new, first.repaired, first.complete) == (4, 2, 1, True)
    before = await dump(tenant)
    again = await run(tenant, "chitchat", chitchat_file)
    assert (again.stored, again.new, again.unchanged, again.complete) == (0, 0, 4, True)
    assert await dump(tenant) == before


async def test_a_longer_file_adds_what_is_new(service: MessageService, chitchat_file: Path) -> None:
    tenant = service.tenant("default")
    await run(tenant, "chitchat", chitchat_file)
    longer = json.loads(json.dumps(CHITCHAT))
    longer["two"]["messages"].append(
        [{"text": "more", "timestamp": "2018-05-02T20:01:00Z", "sender": "a"}]
    )
    chitchat_file.write_text(json.dumps(longer))
    report = await run(tenant, "chitchat", chitchat_file)
    assert (report.stored, report.unchanged, report.new) == (1, 4, 0)


async def test_a_changed_message_is_a_conflict_and_no_success(
    service: MessageService, chitchat_file: Path
) -> None:
    tenant = service.tenant("default")
    await run(tenant, "chitchat", chitchat_file)
    changed = json.loads(json.dumps(CHITCHAT))
    changed["two"]["messages"][0][0]["text"] = "different"
    chitchat_file.write_text(json.dumps(changed))
    report = await run(tenant, "chitchat", chitchat_file)
    assert dict(report.failed) == {"idempotency_conflict": 1}
    assert not report.complete
    assert "different" not in await dump(tenant)


async def test_an_interrupted_import_goes_on(
    service: MessageService,
    database: AsyncDatabase[dict[str, Any]],
    mongo_uri: str,
    chitchat_file: Path,
) -> None:
    """As after a kill: some messages are in, the conversation is not marked complete."""
    await run(service.tenant("default"), "chitchat", chitchat_file)
    last = await database.messages.find_one({"content.text": "there"})
    assert last is not None
    conversation: str = last["conversation_id"]
    await database.messages.delete_many(
        {"conversation_id": conversation, "sequence_number": {"$gte": 2}}
    )
    await database.conversations.update_one(
        {"conversation_id": conversation}, {"$set": {"import_source.completed": False}}
    )
    async with await MessageService.connect(mongo_uri, settings=service.settings) as restarted:
        tenant = restarted.tenant("default")
        report = await run(tenant, "chitchat", chitchat_file)
        assert (report.stored, report.unchanged) == (2, 2)
        proof = await tenant.messages.check(conversation)
        assert (proof.count, proof.complete) == (3, True)
        texts = [m.text for m in await tenant.messages.history(conversation)]
        assert texts[:2] == ["hi", "there"]


async def test_a_truncated_file_says_so_and_keeps_what_came_before(
    service: MessageService, chitchat_file: Path
) -> None:
    text = chitchat_file.read_text()
    chitchat_file.write_text(text[: text.index('"two"') + 20])
    report = await run(service.tenant("default"), "chitchat", chitchat_file)
    assert report.stored == 3
    assert report.error is not None
    assert "dataset.json" in report.error
    assert not report.complete


@pytest.mark.parametrize("name", ["chatgpt", "openassistant", "mtbench", "irc", "jsonl"])
async def test_another_format_is_refused(
    service: MessageService, chitchat_file: Path, name: str
) -> None:
    report = await run(service.tenant("default"), name, chitchat_file)
    assert report.error is not None
    assert report.stored == 0


async def test_unknown_formats(service: MessageService) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        await run(service.tenant("default"), "carrier-pigeon")
    assert caught.value.field == "format"
    assert "chitchat" in caught.value.fix


@pytest.mark.parametrize(
    "long",
    ["x" * 50_001, "word " * 40_000, "語" * 120_000, "🦊" * 50_000, "line\n" * 10_001],
    ids=["one over", "words", "ideographs", "emoji", "lines"],
)
async def test_too_long_texts_are_stored_in_pieces_that_read_back_as_one(
    service: MessageService, chitchat_file: Path, long: str
) -> None:
    data = json.loads(json.dumps(CHITCHAT))
    data["one"]["messages"][0][1]["text"] = long
    chitchat_file.write_text(json.dumps(data))
    tenant = service.tenant("default")
    for stored in (True, False):
        seen: list[ConversationReport] = []
        report = ImportReport(sink=seen.append)
        async for _ in tenant.transfer.import_files("chitchat", [chitchat_file], report):
            pass
        assert report.complete
        assert report.split == stored
        assert report.records == report.stored + report.unchanged
    conversation = derived_id(IdKind.CONVERSATION, "chitchat", "one")
    pieces = (await tenant.messages.history(conversation, limit=100)).items
    assert all(len(piece.text.encode()) <= 160_000 for piece in pieces)
    told = [text["text"] for turn in data["one"]["messages"] for text in turn]
    assert [message.text for message in joined(pieces)][:2] == told[:2]
    assert len(pieces) > len(told)
    window = await tenant.messages.context(conversation, token_budget=1_000, step=1)
    assert all(message.continues_message_id is None for message in window.messages)


async def _rich(tenant: Tenant) -> str:
    """A conversation with everything: branches, edits, deletions, feedback, metadata, pins."""
    made = await tenant.conversations.create(
        "user_000000000001", title="Ünïcödé", custom_metadata={"a": [1, 2.5, None, {"b": True}]}
    )
    conversation = made.conversation_id
    first = await tenant.messages.append(
        conversation,
        "user",
        "first\0\u202e",
        client_msg_id="k",
        token_usage={"total_tokens": 2**40, "total_cost": "0.000000123456789"},
        client_metadata={"request_headers": {"x-a": "b"}},
        custom_metadata={"big": 2**53 + 1, "float": 5.0, "when": made.created_at},
    )
    await tenant.messages.append(conversation, "assistant", "second")
    await tenant.messages.branch(conversation, first.message_id, name="b", title="other")
    on_branch = await tenant.messages.append(conversation, "assistant", "other", branch="b")
    await tenant.messages.edit(conversation, first.message_id, "edited", edited_by="ann")
    await tenant.messages.delete(conversation, on_branch.message_id)
    await tenant.messages.feedback(conversation, first.message_id, "up", comment="good")
    await tenant.messages.pin(conversation, first.message_id)
    await tenant.conversations.patch(conversation, active_branch="b")
    await tenant.conversations.set_summary(conversation, "sum", up_to_sequence=2)
    return conversation


async def test_export_then_import_is_lossless(service: MessageService, tmp_path: Path) -> None:
    source, target = service.tenant("default"), service.tenant("copy")
    conversation = await _rich(source)
    await source.conversations.create("user_000000000002")  # an empty one
    await service.drain()
    path = tmp_path / "export.jsonl"
    path.write_text(await dump(source), encoding="utf-8")
    report = await run(target, "jsonl", path)
    assert (report.complete, report.new, report.stored) == (True, 2, 4)
    assert await dump(target) == path.read_text(encoding="utf-8")
    again = await run(target, "jsonl", path)
    assert (again.complete, again.new, again.stored, again.unchanged) == (True, 0, 0, 4)
    # Restored messages go on as the originals would.
    assert (await target.messages.check(conversation)).digest == (
        await source.messages.check(conversation)
    ).digest
    repeated = await target.messages.append(
        conversation, "user", "first\0\u202e", client_msg_id="k",
    )  # fmt: skip
    assert repeated.duplicate
    assert (await target.messages.append(conversation, "user", "on")).sequence_number == 5
    assert [v.content.text for v in await target.messages.versions(
        conversation, repeated.message_id
    )] == ["first\0\u202e"]  # fmt: skip


async def test_a_part_can_be_exported(service: MessageService) -> None:
    tenant = service.tenant("default")
    conversation = await _rich(tenant)
    await _rich(tenant)
    lines = [line async for line in tenant.transfer.export_lines([conversation])]
    assert json.loads(lines[-1]) == {"kind": "end", "conversations": 1, "messages": 4}


def _damage(lines: list[str]) -> Iterator[tuple[str, list[str]]]:
    yield "cut", lines[:-1]
    yield "cut in a line", [*lines[:3], lines[3][:40]]
    yield "no header", lines[1:]
    yield "not JSON", [lines[0], "nonsense\n", *lines[1:]]
    yield "newer version", [lines[0].replace('"version":1', '"version":9'), *lines[1:]]
    yield "after the end", [*lines, lines[1]]
    yield "empty", []


async def test_damaged_exports_are_refused_by_line(service: MessageService, tmp_path: Path) -> None:
    await _rich(service.tenant("default"))
    lines = [line async for line in service.tenant("default").transfer.export_lines()]
    for n, (name, damaged) in enumerate(_damage(lines)):
        path = tmp_path / "bad.jsonl"
        path.write_text("".join(damaged), encoding="utf-8")
        report = await run(service.tenant(f"t{n}"), "jsonl", path)
        assert report.error is not None, name
        assert "bad.jsonl" in report.error, name
        assert not report.complete


async def test_a_tampered_export_is_noticed(service: MessageService, tmp_path: Path) -> None:
    await _rich(service.tenant("default"))
    text = await dump(service.tenant("default"))
    path = tmp_path / "tampered.jsonl"
    changes: list[tuple[str, str, str]] = [
        ('"text":"second"', '"text":"forged"', "checksum_mismatch"),
        ('"role":"assistant"', '"role":"user"', "checksum_mismatch"),
        ('"role":"assistant"', '"role":"narrator"', "invalid_field role"),
        ('"status":"active"', '"colour":"red","status":"active"', "invalid_field colour"),
    ]
    for n, (old, new, reason) in enumerate(changes):
        lines = text.splitlines(keepends=True)
        place = next(
            i for i, line in enumerate(lines) if '"kind":"message"' in line and old in line
        )
        lines[place] = lines[place].replace(old, new, 1)
        path.write_text("".join(lines), encoding="utf-8")
        report = await run(service.tenant(f"t{n}"), "jsonl", path)
        assert reason in report.failed, (new, report)
        assert "forged" not in await dump(service.tenant(f"t{n}"))


async def test_nothing_stored_is_overwritten(service: MessageService, tmp_path: Path) -> None:
    tenant = service.tenant("default")
    conversation = await _rich(tenant)
    path = tmp_path / "export.jsonl"
    path.write_text(await dump(tenant), encoding="utf-8")
    page = await tenant.messages.history(conversation, branch="main")
    await tenant.messages.edit(conversation, page.items[0].message_id, "edited again")
    report = await run(tenant, "jsonl", path)
    assert dict(report.failed) == {"differs_from_the_stored_message": 1}
    assert (await tenant.messages.get(conversation, page.items[0].message_id)).text == (
        "edited again"
    )


REAL: list[tuple[str, str, dict[str, Any]]] = [
    ("chatgpt", "chatgpt-export/conversations.json", {"conversations": 4, "stored": 33}),
    (
        "openassistant",
        "oasst-trees/en_100_tree.part1.jsonl",
        {"conversations": 75, "stored": 874},
    ),
    ("mtbench", "mt-bench", {"conversations": 80, "stored": 5358}),
    (
        "irc",
        "irc-disentanglement/train/2004-12-25.train-c.raw.txt.gz",
        {"conversations": 1},
    ),
]


@pytest.mark.parametrize(("name", "path", "expected"), REAL, ids=[r[0] for r in REAL])
async def test_real_files_end_to_end(
    service: MessageService, shared_data: Path, name: str, path: str, expected: dict[str, Any]
) -> None:
    tenant = service.tenant("default")
    report = await run(tenant, name, shared_data / path)
    assert report.complete, report
    for field, value in expected.items():
        assert getattr(report, field) == value
    again = await run(tenant, name, shared_data / path)
    assert (again.stored, again.unchanged) == (0, report.stored)
    page = await tenant.conversations.list(limit=100)
    for one in page.items:
        proof = await tenant.messages.check(one.conversation_id)
        assert proof.complete
        for branch in await tenant.messages.branches(one.conversation_id):
            await tenant.messages.history(one.conversation_id, branch=branch.name)


async def test_naughty_strings(service: MessageService, shared_data: Path) -> None:
    """Each is stored byte for byte, or refused as empty."""
    strings: list[str] = json.loads(
        (shared_data / "naughty-strings" / "blns.json").read_text(encoding="utf-8")
    )
    made = await service.conversations.create("user_000000000001")
    kept = [text for text in strings if text]
    await service.messages.append_many(
        made.conversation_id, [{"role": "user", "text": text} for text in kept]
    )
    page = await service.messages.history(made.conversation_id, limit=1000)
    assert [message.text for message in page] == kept
    assert len(strings) - len(kept) <= 1
    await service.search_index.drain()
    for text in kept[:100]:
        if "\0" not in text and len(text) < 500 and text.strip():
            await service.search.matching("user_000000000001", text, since=page.items[0].created_at)


async def test_an_export_of_a_restored_and_indexed_store_is_the_same(
    service: MessageService, database: AsyncDatabase[dict[str, Any]], tmp_path: Path
) -> None:
    source, target = service.tenant("default"), service.tenant("copy")
    await _rich(source)
    await service.drain()
    await service.search_index.drain()
    first = await dump(source)
    assert "detected_language" in first
    path = tmp_path / "export.jsonl"
    path.write_text(first, encoding="utf-8")
    await run(target, "jsonl", path)
    await service.search_index.drain()
    assert await dump(target) == first
    # A new version of the enrichers that finds the same changes nothing either.
    await database.messages.update_many(
        {"message_type": {"$ne": "tombstone"}},
        {"$set": {"enrichment.pending": 2, "enrichment.pending_since": NOW}},
    )
    await service.search_index.drain()
    assert await dump(source) == first


async def test_a_chat_without_nodes_is_skipped(service: MessageService, tmp_path: Path) -> None:
    path = tmp_path / "conversations.json"
    path.write_text(json.dumps([{"id": "a", "title": "x", "mapping": {}}]))
    report = await run(service.tenant("default"), "chatgpt", path)
    assert (report.new, report.complete, sum(report.skipped.values())) == (0, True, 1)
    assert (await service.conversations.list()).items == []


async def test_a_date_beyond_the_calendar_is_no_date(
    service: MessageService, tmp_path: Path
) -> None:
    chat = Chat()
    chat.say("root", "dated oddly")
    for odd in (-62135596800, 1e300, "x"):
        export = chat.snapshot()
        export["create_time"] = odd
        for node in export["mapping"].values():
            if node["message"]:
                node["message"]["create_time"] = odd
        report = await run(
            service.tenant("default"), "chatgpt", write(tmp_path / "conversations.json", export)
        )
        assert report.complete
    [conversation] = (await service.conversations.list()).items
    assert conversation.months == [f"{conversation.created_at:%Y%m}"]
