"""A later export of a chat is merged: nothing lands behind a message it did not follow."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from message_service import Conversation, MessageService, Tenant, errors
from message_service.ids import IdKind, derived_id
from message_service.interchange.reading.records import ImportedConversation, ImportedMessage
from message_service.interchange.report import ImportReport
from message_service.messages.conversation_summary import ConversationSummaries
from message_service.messages.conversations import Conversations
from support.chat_exports import Chat, write

GROWN = derived_id(IdKind.CONVERSATION, "chatgpt", "c-grow")


async def bring(tenant: Tenant, name: str, *paths: Path) -> ImportReport:
    report = ImportReport()
    async for _ in tenant.transfer.import_files(name, paths, report):
        pass
    assert report.complete, report.as_json()
    return report


async def shown(tenant: Tenant, conversation_id: str = GROWN) -> list[str]:
    return [message.text for message in await tenant.messages.history(conversation_id)]


def regenerated(tmp_path: Path) -> tuple[Path, Path]:
    """An export, and a later one with the answer regenerated and a turn more."""
    chat = Chat()
    question = chat.say("root", "Name a colour")
    chat.say(question, "Red")
    first = write(tmp_path / "first.json", chat.snapshot())
    chat.say(chat.say(chat.say(question, "Blue"), "Why blue?"), "Sky.")
    chat.title = "Grow renamed"
    return first, write(tmp_path / "second.json", chat.snapshot())


async def test_a_regenerated_answer(service: MessageService, tmp_path: Path) -> None:
    tenant = service.tenant("t")
    first, second = regenerated(tmp_path)
    await bring(tenant, "chatgpt", first)
    for stored in (3, 0):
        assert (await bring(tenant, "chatgpt", second)).stored == stored
        assert await shown(tenant) == ["Name a colour", "Blue", "Why blue?", "Sky."]
        main = await tenant.messages.history(GROWN, branch="main")
        assert [message.text for message in main] == ["Name a colour", "Red"]
        conversation = await tenant.conversations.get(GROWN)
        assert conversation.title == "Grow renamed"
        assert conversation.last_message is not None
        assert conversation.last_message.preview == "Sky."
        window = await tenant.messages.context(GROWN, token_budget=1_000)
        assert [message.text for message in window.messages] == await shown(tenant)
        assert (await tenant.messages.check(GROWN)).consistent
    assert (await bring(tenant, "chatgpt", first)).stored == 0
    assert await shown(tenant) == ["Name a colour", "Blue", "Why blue?", "Sky."]


async def test_both_exports_in_one_run(service: MessageService, tmp_path: Path) -> None:
    tenant = service.tenant("t")
    await bring(tenant, "chatgpt", *regenerated(tmp_path))
    assert await shown(tenant) == ["Name a colour", "Blue", "Why blue?", "Sky."]


async def test_what_was_written_here_stays_on_its_own_branch(
    service: MessageService, tmp_path: Path
) -> None:
    tenant = service.tenant("t")
    chat = Chat()
    answer = chat.say(chat.say("root", "question"), "answer")
    await bring(tenant, "chatgpt", write(tmp_path / "1.json", chat.snapshot()))
    await tenant.messages.append(GROWN, "user", "asked here")
    chat.say(answer, "asked there")
    await bring(tenant, "chatgpt", write(tmp_path / "2.json", chat.snapshot()))
    assert await shown(tenant) == ["question", "answer", "asked there"]
    main = await tenant.messages.history(GROWN, branch="main")
    assert [message.text for message in main] == ["question", "answer", "asked here"]
    assert (await tenant.messages.check(GROWN)).consistent


def mt_bench(folder: Path, *models: str) -> Path:
    (folder / "model_answer").mkdir(parents=True)
    question = {"question_id": 81, "category": "writing", "turns": ["first", "second"]}
    (folder / "question.jsonl").write_text(json.dumps(question) + "\n")
    for model in models:
        answer = {
            "question_id": 81,
            "answer_id": f"id-{model}",
            "model_id": model,
            "choices": [{"index": 0, "turns": [f"{model} one", f"{model} two"]}],
            "tstamp": 1_700_000_000.0,
        }
        (folder / "model_answer" / f"{model}.jsonl").write_text(json.dumps(answer) + "\n")
    return folder


async def test_a_model_that_sorts_first(service: MessageService, tmp_path: Path) -> None:
    tenant = service.tenant("t")
    await bring(tenant, "mtbench", mt_bench(tmp_path / "1", "beta"))
    await bring(tenant, "mtbench", mt_bench(tmp_path / "2", "alpha", "beta"))
    [conversation] = (await tenant.conversations.list()).items
    identifier = conversation.conversation_id
    assert conversation.active_branch == "alpha"
    assert await shown(tenant, identifier) == ["first", "alpha one", "second", "alpha two"]
    main = await tenant.messages.history(identifier, branch="main")
    assert [message.text for message in main] == ["first", "beta one", "second", "beta two"]
    assert (await tenant.messages.check(identifier)).consistent


def tree(*ranks: int) -> dict[str, Any]:
    replies = [
        {"message_id": f"a{n}", "text": f"answer {n}", "role": "assistant", "rank": rank}
        | {"replies": [{"message_id": f"b{n}", "text": f"then {n}", "role": "prompter"}]}
        for n, rank in enumerate(ranks)
    ]
    root = {"message_id": "q", "text": "question", "role": "prompter", "replies": replies}
    return {"message_tree_id": "q", "prompt": root}


async def test_ranks_that_swap(service: MessageService, tmp_path: Path) -> None:
    tenant = service.tenant("t")
    identifier = ""
    for number, ranks in enumerate([(0, 1), (1, 0)]):
        path = tmp_path / f"{number}.jsonl"
        path.write_text(json.dumps(tree(*ranks)) + "\n")
        await bring(tenant, "openassistant", path)
        [conversation] = (await tenant.conversations.list()).items
        identifier = conversation.conversation_id
        assert await shown(tenant, identifier) == ["question", f"answer {number}", f"then {number}"]
        assert (await tenant.messages.check(identifier)).consistent
    everything = await tenant.messages.history(identifier, branch="*", full=True)
    told = {m.text: m.raw["custom_metadata"]["rank"] for m in everything if "answer" in m.text}
    assert told == {"answer 0": 1, "answer 1": 0}


async def test_a_text_edited_here_is_kept_as_a_version(
    service: MessageService, tmp_path: Path
) -> None:
    tenant = service.tenant("t")
    chat = Chat()
    half = chat.say("root", "half an ans")
    await bring(tenant, "chatgpt", write(tmp_path / "1.json", chat.snapshot()))
    [message] = await tenant.messages.history(GROWN)
    await tenant.messages.edit(GROWN, message.message_id, "edited here")
    chat.moment += 1
    assert (await bring(tenant, "chatgpt", write(tmp_path / "2.json", chat.snapshot()))).complete
    assert await shown(tenant) == ["edited here"]
    chat.rewrite(half, "a whole answer")
    report = await bring(tenant, "chatgpt", write(tmp_path / "3.json", chat.snapshot()))
    assert (report.updated, report.unchanged) == (1, 0)
    assert await shown(tenant) == ["a whole answer"]
    versions = await tenant.messages.versions(GROWN, message.message_id)
    assert [version.content.text for version in versions] == ["half an ans", "edited here"]


async def test_merging_beside_a_busy_writer(
    service: MessageService, tmp_path: Path, mongo_uri: str
) -> None:
    """Another process writes to the chat while exports of it come in."""
    tenant = service.tenant("t")
    chat = Chat()
    last = chat.say("root", "question")
    await bring(tenant, "chatgpt", write(tmp_path / "0.json", chat.snapshot()))
    async with await MessageService.connect(
        mongo_uri, settings=service.settings, database=service.store.database.name
    ) as other:
        busy = other.tenant("t")

        async def write_some() -> None:
            for _ in range(20):
                await asyncio.gather(
                    *(busy.messages.append(GROWN, "user", f"here {n}") for n in range(3))
                )

        for export in range(1, 9):
            for turn in range(5):
                last = chat.say(last, f"turn {export}.{turn}")
            path = write(tmp_path / "n.json", chat.snapshot())
            await asyncio.gather(bring(tenant, "chatgpt", path), write_some())
            page = await tenant.messages.history(GROWN, limit=1_000)
            told = [message.text for message in page if not message.text.startswith("here")]
            assert told == chat.path(last)
    assert (await tenant.messages.check(GROWN)).consistent
    everything = 0
    async for row in service.store.collection("messages").find({"conversation_id": GROWN}):
        everything += row["content"]["text"].startswith("here")
    assert everything == 8 * 20 * 3


async def test_verify_sees_links_that_contradict_the_order(service: MessageService) -> None:
    tenant = service.tenant("t")
    made = await tenant.conversations.create("user_000000000001")
    conversation = made.conversation_id
    question = await tenant.messages.append(conversation, "user", "Name a colour")
    parent = question.message_id
    red = await tenant.messages.append(conversation, "assistant", "Red", parent_message_id=parent)
    assert (await tenant.messages.check(conversation)).consistent
    blue = await tenant.messages.append(conversation, "assistant", "Blue", parent_message_id=parent)
    check = await tenant.messages.check(conversation)
    assert (check.complete, check.consistent) == (True, False)
    assert check.misplaced == (blue.sequence_number,)
    # What is deleted is not part of the line any more.
    await tenant.messages.delete(conversation, red.message_id)
    assert (await tenant.messages.check(conversation)).consistent


async def test_an_append_behind_a_number_that_is_not_the_last(service: MessageService) -> None:
    tenant = service.tenant("t")
    conversation = (await tenant.conversations.create("user_000000000001")).conversation_id
    messages = [{"role": "user", "text": f"{n}"} for n in range(3)]
    done = await tenant.messages.append_many(conversation, messages, expected_tail=0)
    assert not any(isinstance(outcome, errors.MessageServiceError) for outcome in done)
    refused = await tenant.messages.append_many(conversation, messages, expected_tail=2)
    assert [type(outcome) for outcome in refused] == [errors.VersionConflict] * 3
    assert (await tenant.messages.check(conversation)).count == 3
    await tenant.messages.append_many(conversation, messages, expected_tail=3)
    assert (await tenant.messages.check(conversation)).count == 6


@pytest.mark.parametrize("again", [1, 2])
async def test_two_imports_at_once(service: MessageService, tmp_path: Path, again: int) -> None:
    tenant = service.tenant(f"t{again}")
    first, second = regenerated(tmp_path)
    await asyncio.gather(*(bring(tenant, "chatgpt", path) for path in (first, second, second)))
    await bring(tenant, "chatgpt", second)
    assert await shown(tenant) == ["Name a colour", "Blue", "Why blue?", "Sky."]
    assert (await tenant.messages.check(GROWN)).consistent


async def test_an_older_import_that_ends_last_changes_nothing(
    service: MessageService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The older one has switched the branch when the newer one marks what it has stored."""
    tenant = service.tenant("t")
    first, second = regenerated(tmp_path)
    switched, newer_done = asyncio.Event(), asyncio.Event()
    patch, flush = Conversations.patch, ConversationSummaries.flush
    flushed = 0

    async def older_patches(*args: Any, **fields: Any) -> Conversation:
        changed = await patch(*args, **fields)
        if "expected_revision" in fields and not switched.is_set():
            switched.set()
            await newer_done.wait()
        return changed

    async def flush_before_the_mark(summaries: ConversationSummaries) -> None:
        nonlocal flushed
        await flush(summaries)
        flushed += 1
        if flushed == 1:  # the newer one; its messages are stored, and it is about to mark them
            older.append(asyncio.create_task(bring(tenant, "chatgpt", first)))
            await switched.wait()

    older: list[asyncio.Task[ImportReport]] = []
    monkeypatch.setattr(Conversations, "patch", older_patches)
    monkeypatch.setattr(ConversationSummaries, "flush", flush_before_the_mark)
    await bring(tenant, "chatgpt", second)
    newer_done.set()
    await older[0]
    assert await shown(tenant) == ["Name a colour", "Blue", "Why blue?", "Sky."]
    conversation = await tenant.conversations.get(GROWN)
    assert conversation.title == "Grow renamed"
    assert (await bring(tenant, "chatgpt", second)).updated == 0
    assert await shown(tenant) == ["Name a colour", "Blue", "Why blue?", "Sky."]


async def test_an_older_import_with_nothing_to_change_does_not_take_the_mark(
    service: MessageService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has read the conversation before the newer one marked it, and marks it afterwards."""
    tenant = service.tenant("t")
    chat = Chat()
    answer = chat.say(chat.say("root", "Name a colour"), "Red")
    first = write(tmp_path / "first.json", chat.snapshot())
    chat.say(answer, "Thanks")
    second = write(tmp_path / "second.json", chat.snapshot())
    read, newer_done = asyncio.Event(), asyncio.Event()
    get, flush = Conversations.get, ConversationSummaries.flush
    flushed = 0

    async def older_reads(*args: Any) -> Conversation:
        found = await get(*args)
        if not read.is_set():
            read.set()
            await newer_done.wait()
        return found

    async def flush_before_the_mark(summaries: ConversationSummaries) -> None:
        nonlocal flushed
        await flush(summaries)
        flushed += 1
        if flushed == 1:
            older.append(asyncio.create_task(bring(tenant, "chatgpt", first)))
            await read.wait()

    older: list[asyncio.Task[ImportReport]] = []
    monkeypatch.setattr(Conversations, "get", older_reads)
    monkeypatch.setattr(ConversationSummaries, "flush", flush_before_the_mark)
    await bring(tenant, "chatgpt", second)
    newer_done.set()
    await older[0]
    conversation = await tenant.conversations.get(GROWN)
    assert conversation.import_source is not None
    assert (conversation.import_source.message_count, conversation.import_source.completed) == (
        3,
        True,
    )
    assert conversation.last_message is not None
    assert conversation.last_message.preview == "Thanks"


async def test_records_that_a_reader_loses_are_counted(service: MessageService) -> None:
    said = ImportedMessage(external_id="m", role="user", text="hello")
    source = ImportedConversation(external_id="c", messages=[said], records=3)
    for dry_run in (True, False):
        report = ImportReport()
        importer = service.tenant("t").transfer.importer
        async for _ in importer.run("mine", [source], report, dry_run=dry_run):
            pass
        assert (report.stored, report.failed) == (1, {"not_accounted_for": 2})
        assert (report.complete, report.records) == (False, 3)


async def test_lists_show_no_message_that_the_source_deleted(
    service: MessageService, tmp_path: Path
) -> None:
    tenant = service.tenant("t")
    line = tree(0)
    line["prompt"]["replies"][0]["replies"][0]["deleted"] = True
    path = tmp_path / "trees.jsonl"
    path.write_text(json.dumps(line))
    await bring(tenant, "openassistant", path)
    [conversation] = (await tenant.conversations.list()).items
    assert conversation.last_message is not None
    assert conversation.last_message.preview == "answer 0"


async def test_messages_the_server_refuses_lose_nothing_else(
    service: MessageService, tmp_path: Path
) -> None:
    tenant = service.tenant("t")
    database = service.store.database
    [info] = [one async for one in await database.list_collections(filter={"name": "messages"})]
    validator = info["options"]["validator"]
    stricter = {"$and": [validator, {"content.text": {"$not": {"$regex": "^poison"}}}]}
    await database.command("collMod", "messages", validator=stricter)
    chat = Chat()
    question = chat.say("root", "question")
    bad = chat.say(chat.say(question, "poison 1"), "poison 2")
    chat.say(question, "another answer")
    chat.say(bad, "goes on")
    path = write(tmp_path / "1.json", chat.snapshot())
    for stored in (3, 0):
        report = ImportReport()
        async for _ in tenant.transfer.import_files("chatgpt", [path], report):
            pass
        assert (report.stored, dict(report.failed)) == (stored, {"document_refused": 2})
        assert await shown(tenant) == ["question", "goes on"]
        assert (await tenant.messages.check(GROWN)).consistent
    await database.command("collMod", "messages", validator=validator)
    await bring(tenant, "chatgpt", path)
    texts = {m.text for m in await tenant.messages.history(GROWN, branch="*")}
    assert texts == {"question", "poison 1", "poison 2", "another answer", "goes on"}


async def test_a_chat_imported_before_exports_were_dated(
    service: MessageService, database: AsyncDatabase[dict[str, Any]], tmp_path: Path
) -> None:
    tenant = service.tenant("t")
    first, second = regenerated(tmp_path)
    await bring(tenant, "chatgpt", first)
    await database.conversations.update_many(
        {}, {"$unset": {"import_source.as_of": "", "import_source.custom_fields": ""}}
    )
    await bring(tenant, "chatgpt", second)
    assert await shown(tenant) == ["Name a colour", "Blue", "Why blue?", "Sky."]
