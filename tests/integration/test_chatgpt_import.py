"""ChatGPT exports in the store: hidden nodes, files, calls, links, times, opinions."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from message_service import (
    Attachment,
    ImportReport,
    MessageService,
    Reasoning,
    Tenant,
    ToolCall,
    ToolResult,
)
from message_service.ids import IdKind, derived_id
from support.chat_exports import Chat, write

GROWN = derived_id(IdKind.CONVERSATION, "chatgpt", "c-grow")
EVERY = ("active", "hidden", "deleted")


async def bring(tenant: Tenant, path: Path) -> ImportReport:
    report = ImportReport()
    async for _ in tenant.transfer.import_files("chatgpt", [path], report):
        pass
    assert report.complete, report.as_json()
    assert report.records == (
        report.stored
        + report.unchanged
        + report.updated
        + report.skipped.total()
        + report.failed.total()
    )
    return report


async def prompt(tenant: Tenant) -> list[str]:
    window = await tenant.messages.context(GROWN, token_budget=10_000)
    return [message.text for message in window.messages]


async def test_hidden_nodes_are_in_no_history_and_no_prompt(
    service: MessageService, tmp_path: Path
) -> None:
    tenant, chat = service.tenant("t"), Chat()
    profile = chat.say("root", "I keep birds", hidden=True)
    question = chat.say(profile, "How tall is the tower?")
    chat.think(question, "It is tall.")
    answer = chat.say(chat.current, "About 300 metres.")
    draft = chat.say(answer, "a draft")
    chat.nodes[draft]["message"]["weight"] = 0
    report = await bring(tenant, write(tmp_path / "1.json", chat.snapshot()))
    assert (report.stored, dict(report.skipped)) == (5, {"empty node": 1})
    shown = [message.text for message in await tenant.messages.history(GROWN)]
    assert shown == ["How tall is the tower?", "About 300 metres."] == await prompt(tenant)
    everything = await tenant.messages.history(GROWN, statuses=EVERY)
    assert [message.status for message in everything] == [
        "hidden",
        "active",
        "hidden",
        "active",
        "hidden",
    ]
    assert everything.items[2].parts == [Reasoning(text="It is tall.")]
    conversation = await tenant.conversations.get(GROWN)
    assert conversation.last_message is not None
    assert conversation.last_message.preview == "About 300 metres."
    await service.search_index.drain()
    assert not (await tenant.search.find("birds", whole_tenant=True)).items
    assert (await tenant.search.find("birds", whole_tenant=True, include_hidden=True)).items


async def test_a_turn_of_files_only_stays(service: MessageService, tmp_path: Path) -> None:
    tenant, chat = service.tenant("t"), Chat()
    chat.say(chat.attach("root", "f1", "tree.jpg"), "That is an oak.")
    await bring(tenant, write(tmp_path / "1.json", chat.snapshot()))
    file, answer = await tenant.messages.history(GROWN)
    [part] = file.parts
    assert isinstance(part, Attachment)
    assert (part.kind, part.name, part.mime_type, part.pointer) == (
        "image",
        "tree.jpg",
        "image/jpeg",
        "sediment://f1",
    )
    assert (file.role, file.text, answer.text) == ("user", "", "That is an oak.")


async def test_calls_and_results_belong_together(service: MessageService, tmp_path: Path) -> None:
    tenant, chat = service.tenant("t"), Chat()
    question = chat.say("root", "the weather?")
    call = chat.call(question, "web.run", '{"q": "weather"}')
    chat.say(chat.result(chat.result(call, "sunny"), "warm"), "It is sunny and warm.")
    await bring(tenant, write(tmp_path / "1.json", chat.snapshot()))
    _, made, first, second, _ = await tenant.messages.history(GROWN)
    assert made.parts == [ToolCall(id=call, name="web.run", arguments='{"q": "weather"}')]
    for result, text in ((first, "sunny"), (second, "warm")):
        assert result.parts == [ToolResult(call_id=call, name="web.run", text=text)]
    window = await tenant.messages.context(GROWN, token_budget=10_000)
    assert (len(window.messages), window.unanswered_calls) == (5, ())


async def test_messages_without_a_time(service: MessageService, tmp_path: Path) -> None:
    tenant, chat = service.tenant("t"), Chat()
    undated = chat.say("root", "undated question")
    dated = chat.say(undated, "dated answer")
    chat.say(dated, "undated again")
    chat.nodes[dated]["message"]["create_time"] = 1_700_000_002.0
    for name in (undated, chat.current):
        chat.nodes[name]["message"]["create_time"] = None
    export = chat.snapshot() | {"create_time": None, "update_time": 1_700_000_005.0}
    await bring(tenant, write(tmp_path / "1.json", export))
    messages = await tenant.messages.history(GROWN, full=True)
    told = datetime(2023, 11, 14, 22, 13, 22, tzinfo=UTC)
    assert {message.created_at for message in messages} == {told}
    inferred = [(m.raw.get("custom_metadata") or {}).get("created_at_inferred") for m in messages]
    assert inferred == [True, None, True]
    for node in export["mapping"].values():
        if node["message"]:
            node["message"]["create_time"] = None
    other = service.tenant("other")
    await bring(other, write(tmp_path / "2.json", export))
    for message in await other.messages.history(GROWN):
        assert message.created_at == datetime(2023, 11, 14, 22, 13, 25, tzinfo=UTC)


async def test_what_a_later_export_hides_attaches_and_judges(
    service: MessageService, tmp_path: Path
) -> None:
    tenant, fresh, chat = service.tenant("t"), service.tenant("fresh"), Chat()
    question = chat.say("root", "question")
    answer = chat.say(question, "answer")
    draft = chat.say(question, "another answer")
    chat.current = answer
    await bring(tenant, write(tmp_path / "1.json", chat.snapshot()))
    chat.moment += 1
    chat.nodes[draft]["message"]["weight"] = 0
    chat.nodes[answer]["message"]["metadata"]["attachments"] = [{"id": "f1", "name": "a.pdf"}]
    opinion = {"message_id": answer, "conversation_id": "c-grow", "rating": "thumbs_up"}
    folder = tmp_path / "later"
    folder.mkdir()
    (folder / "message_feedback.json").write_text(json.dumps([opinion]))
    later = write(folder / "conversations.json", chat.snapshot())
    report = await bring(tenant, later)
    assert (report.updated, report.unchanged) == (2, 1)
    await bring(fresh, later)

    async def state(of: Tenant) -> list[dict[str, Any]]:
        found = await of.messages.history(GROWN, branch="*", statuses=EVERY, full=True)
        return [
            {
                "id": message.message_id,
                "status": message.status,
                "parts": message.parts,
                "feedback": (message.raw.get("quality_metadata") or {}).get("user_feedback"),
                "custom": message.raw.get("custom_metadata"),
            }
            for message in found
        ]

    assert await state(tenant) == await state(fresh)
    assert (await state(tenant))[1]["feedback"] == {"rating": "up"}
    # What is changed here stays while the source says the same.
    identifier = derived_id(IdKind.MESSAGE, "chatgpt", "c-grow", answer)
    await tenant.messages.feedback(GROWN, identifier, "down")
    await tenant.messages.hide(GROWN, identifier)
    chat.say(answer, "more")
    write(later, chat.snapshot())
    report = await bring(tenant, later)
    assert (report.stored, report.updated) == (1, 0)
    kept = await tenant.messages.get(GROWN, identifier)
    assert kept.status == "hidden"
    assert kept.raw["quality_metadata"]["user_feedback"]["rating"] == "down"
    # Opinions that are withdrawn in the source go.
    (folder / "message_feedback.json").write_text("[]")
    chat.moment += 1
    write(later, chat.snapshot())
    await bring(tenant, later)
    kept = await tenant.messages.get(GROWN, identifier)
    assert "user_feedback" not in kept.raw.get("quality_metadata", {})


async def test_messages_that_nothing_links_are_reported(
    service: MessageService, tmp_path: Path
) -> None:
    tenant, chat = service.tenant("t"), Chat()
    chat.say(chat.say("root", "question"), "answer")
    lost = chat.say("root", "lost")
    chat.nodes[lost]["parent"] = "gone"
    chat.nodes["root"]["children"].remove(lost)
    report = await bring(tenant, write(tmp_path / "1.json", chat.snapshot()))
    assert (report.stored, report.unlinked) == (3, 1)
