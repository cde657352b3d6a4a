"""`chat` and `generation`: as a user calls them, with the scripted provider and a real model."""

from __future__ import annotations

import asyncio
import functools
import importlib.util
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from message_service import MessageService, errors
from message_service.database.client import Database
from message_service.generation.local_model import LocalModel, find_model
from support.commands import COMMAND
from support.job_handlers import at_work
from support.shell import Cli
from support.waiting import ended, soon, until

USER = "user_000000000001"
CONVERSATION = "conv_000000000001"


@pytest.fixture
def cli(mongo_uri: str, database: Database, tmp_path: Path) -> Cli:
    return Cli(mongo_uri, database.name, tmp_path)


async def chatted(cli: Cli, *lines: str, script: str = "echo", **environment: str) -> str:
    """Chat in the conversation, line by line; return what was printed."""
    words = ("chat", CONVERSATION, "--user", USER)
    if not environment:
        words += ("--provider", "scripted", "--model", script)
    text = "".join(f"{line}\n" for line in lines)
    call = functools.partial(cli, *words, code=0, text=text, **environment)
    return await soon("the chat", asyncio.to_thread(call))


async def texts(service: MessageService, branch: str | None = None) -> list[str]:
    return [each.text for each in await service.messages.history(CONVERSATION, branch=branch)]


async def test_a_chat_with_all_its_commands(service: MessageService, cli: Cli) -> None:
    said = await chatted(
        cli, "one thing", "", "/cost", "/regenerate", "/swipe -1", "/branch", "/what", "/help"
    )
    assert said.count("assistant> one thing") == 3
    assert "tokens, USD 0, first word after" in said
    assert "tokens in 1 replies, USD 0" in said
    assert "* main" in said
    assert "/what is not known" in said
    assert "/regenerate  Make another reply" in said
    assert await texts(service) == ["one thing", "one thing"]

    said = await chatted(cli, "/edit another thing", "/undo", "/undo", "/edit", "/swipe x")
    assert "user> one thing" in said  # the end of the chat so far
    assert "assistant> another thing" in said
    assert "(2 messages deleted)" in said
    assert "text: is missing" in said
    assert "step: 'x' is not a whole number" in said
    assert await texts(service) == []
    assert await texts(service, "main") == ["one thing", "one thing"]

    said = await chatted(cli, "/branch main", "/continue", "/quit", "never said", script="say  on")
    assert await texts(service) == ["one thing", "one thing", " on"]
    assert "never said" not in said
    await service.search_index.drain()
    said = await chatted(cli, "/search thing")
    assert "1 user: one thing" in said


async def test_a_failure_is_one_line_and_the_chat_goes_on(
    service: MessageService, cli: Cli
) -> None:
    said = await chatted(cli, "hello", "/cost", script="fail unauthorized")
    assert "the provider does not accept the key)" in said
    assert "no cost known" in said or "0 + 0 tokens" in said
    assert await texts(service) == ["hello"]
    missing = cli("chat", "conv_000000000009", code=3)
    assert missing.strip() == "error: conversation 'conv_000000000009' not found"
    new = ("chat", "conv_000000000009", "--user", USER)
    wrong = cli(*new, "--provider", "nobody", code=2)
    assert wrong.startswith("error: --provider: 'nobody' is not a provider.")
    with pytest.raises(errors.NotFound):  # nothing was begun
        await service.conversations.get("conv_000000000009")


async def test_a_reply_cannot_steer_the_terminal(service: MessageService, cli: Cli) -> None:
    said = await chatted(cli, "hello", script="say a\x1b[2Jb\x07c\u202ed")
    assert "assistant> a[2Jbcd" in said


async def test_ctrl_c_stops_the_reply_and_not_the_chat(
    service: MessageService, cli: Cli, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with out.open("wb") as to:
        process = await asyncio.create_subprocess_exec(
            *(COMMAND, "chat", CONVERSATION, "--user", USER, "--provider", "scripted"),
            *("--model", "first 1 say one two |first 1 stall|say again"),
            env={**os.environ, **cli.environment},
            stdin=asyncio.subprocess.PIPE,
            stdout=to,
            stderr=asyncio.subprocess.STDOUT,
        )
    try:
        assert process.stdin is not None
        process.stdin.write(b"hello\n")
        await until("it is said", lambda: "one two" in out.read_text())
        process.send_signal(signal.SIGINT)
        await until("it is stopped", lambda: "(stopped)" in out.read_text())
        process.stdin.write(b"/regenerate\n")
        await until("it goes on", lambda: "assistant> again" in out.read_text())
        await until("the facts", lambda: out.read_text().count("in all)") == 2)
        process.send_signal(signal.SIGINT)  # nothing is under way: this ends the chat
        assert await ended(process, "the chat") == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert (await texts(service, "main")) == ["hello", "one two "]
    assert (await texts(service)) == ["hello", "again"]
    [reply] = await service.messages.history(CONVERSATION, branch="main", after=1, full=True)
    assert reply.raw["llm_metadata"]["finish_reason"] == "cancelled"


@pytest.fixture
async def asked(service: MessageService) -> AsyncIterator[str]:
    await service.conversations.create(USER, conversation_id=CONVERSATION)
    await service.messages.append(CONVERSATION, "user", "How are you?")
    async with at_work(service):
        yield CONVERSATION


async def run(cli: Cli, *words: object, code: int = 0) -> str:
    return await soon(str(words), asyncio.to_thread(cli, *words, code=code))


async def test_a_reply_asked_for_followed_and_shown(
    service: MessageService, cli: Cli, asked: str
) -> None:
    words = ("--provider", "scripted", "--model", "echo", "--request-id", "r1")
    reply = json.loads(await run(cli, "generation", "request", asked, *words, "--json"))
    assert "How are you?" in await run(cli, "generation", "follow", reply["reply_id"])
    again = await run(cli, "generation", "request", asked, *words)
    assert again.strip() == f"{reply['reply_id']} (asked for before)"
    lines = await run(cli, "generation", "follow", reply["reply_id"], "--json")
    events: list[dict[str, Any]] = [json.loads(line) for line in lines.splitlines()]
    assert [event["offset"] for event in events] == list(range(len(events)))
    last = events[-1]
    assert (last["kind"], last["message_id"]) == ("end", reply["message_id"])
    late = await run(cli, "generation", "follow", reply["reply_id"], "--after", last["offset"] - 1)
    assert late.strip() == ""
    shown = json.loads(await run(cli, "generation", "show", reply["reply_id"], "--json"))
    assert (shown["status"], shown["finish_reason"]) == ("completed", "stop")
    refused = await run(cli, "generation", "cancel", reply["reply_id"], code=4)
    assert "has ended: it is completed" in refused


async def test_what_goes_wrong_is_one_line_and_a_code(
    service: MessageService, cli: Cli, asked: str
) -> None:
    for words, code, said in (
        (("--provider", "nobody"), 2, "--provider: 'nobody' is not a provider"),
        (("--fallback", "nobody"), 2, "--fallback"),
        (("--max-tokens", "9000"), 2, "--max-tokens"),
        (("--provider", "openai", "--follow"), 15, "set MESSAGE_SERVICE_OPENAI_API_KEY"),
        (
            ("--provider", "scripted", "--model", "fail model_unknown", "--follow"),
            15,
            "the provider has no such model",
        ),
    ):
        error = await run(cli, "generation", "request", asked, *words, code=code)
        assert said in error
        assert error.count("\n") == 1
    unknown = await run(cli, "generation", "show", "job_000000000009", code=3)
    assert unknown.strip() == "error: reply 'job_000000000009' not found"


async def test_a_prompt_is_shown_section_by_section(
    service: MessageService, cli: Cli, asked: str
) -> None:
    await service.characters.set(
        "char_000000000001",
        {
            "name": "Luna",
            "description": "{{char}} likes {{user}}.",
            "example_dialogue": "<START>\n{{user}}: Hi\n{{char}}: Hello\n<START>\n{{char}}: Bye",
            "author_note": "Be brief.",
            "author_note_depth": 1,
            "post_history_instructions": "Answer as {{char}}.",
        },
    )
    await service.conversations.patch(
        asked,
        character_id="char_000000000001",
        prompt={"instructions": "You are {{char}}.", "user_name": "Ann"},
    )
    shown = json.loads(await run(cli, "generation", "preview", asked, "--json"))
    assert [(turn["role"], turn["text"]) for turn in shown["turns"]] == [
        ("system", "You are Luna."),
        ("system", "Luna likes Ann."),
        ("system", "Example of how Luna talks:\nAnn: Hi\nLuna: Hello"),
        ("system", "Example of how Luna talks:\nLuna: Bye"),
        ("system", "Be brief."),
        ("user", "How are you?"),
        ("system", "Answer as Luna."),
    ]
    assert sum(section["tokens"] for section in shown["sections"]) == shown["tokens"]
    assert shown["messages_in_context"] == 1
    table = await run(cli, "generation", "preview", asked)
    assert "Luna likes Ann." in table
    small = await run(cli, "generation", "preview", asked, "--context-tokens", 40, code=2)
    assert small.startswith("error: --context-tokens: the section ")
    assert "raise --context-tokens" in small
    squeezed = json.loads(
        await run(cli, "generation", "preview", asked, "--context-tokens", 140, "--json")
    )
    left_out = {section["name"]: section["left_out"] for section in squeezed["sections"]}
    assert left_out["examples"] >= 1  # what is not required goes first


async def test_a_character_is_stored_from_its_card(cli: Cli, tmp_path: Path) -> None:
    card = {
        "spec": "chara_card_v2",
        "data": {
            "name": "Luna",
            "description": "A cat.",
            "first_mes": "Meow.",
            "mes_example": "<START>\n{{char}}: Purr.",
            "extensions": {"depth_prompt": {"prompt": "Stay a cat.", "depth": 4}},
        },
    }
    file, other = tmp_path / "card.json", tmp_path / "other.json"
    file.write_text(json.dumps(card))
    other.write_text("[]")
    character = "char_000000000001"
    said = await run(cli, "characters", "set", character, file)
    assert said.strip() == f"{character} is Luna, revision 1"
    assert "revision 2" in await run(cli, "characters", "set", character, file)
    shown = json.loads(await run(cli, "characters", "show", character, "--json"))
    assert (shown["description"], shown["example_dialogue"]) == (
        "A cat.",
        "<START>\n{{char}}: Purr.",
    )
    assert (shown["author_note"], shown["author_note_depth"]) == ("Stay a cat.", 4)
    listed = json.loads(await run(cli, "characters", "list", "--json"))
    assert [each["name"] for each in listed["characters"]] == ["Luna"]
    refused = await run(cli, "characters", "set", character, other, code=2)
    assert refused.startswith("error: FILE: other.json holds a list")
    await run(cli, "characters", "delete", character)
    await run(cli, "characters", "show", character, code=3)


async def test_providers_are_shown_with_their_models_and_no_keys(cli: Cli) -> None:
    key = "sk-secret-0123456789"
    environment = {
        "MESSAGE_SERVICE_OPENAI_API_KEY": key,
        "MESSAGE_SERVICE_OPENAI_BASE_URL": "http://me:pass@127.0.0.1:9/v1",
        "MESSAGE_SERVICE_LMSTUDIO_BASE_URL": "http://127.0.0.1:9/v1",
        "MESSAGE_SERVICE_LLM_REQUESTS_PER_MINUTE": "openai=500",
    }
    call = functools.partial(cli, "generation", "providers", "--json", code=0, **environment)
    printed = await soon("the providers", asyncio.to_thread(call))
    found = {each["name"]: each for each in json.loads(printed)["providers"]}
    assert sorted(found) == ["anthropic", "lmstudio", "openai", "scripted"]
    assert found["scripted"]["reachable"]
    assert found["lmstudio"]["reason"] == "unreachable"
    assert found["anthropic"]["reason"] == "key_missing"
    assert (found["openai"]["key_set"], found["openai"]["per_minute"]) == (True, 500)
    assert found["openai"]["base_url"] == "http://127.0.0.1:9/v1"
    assert key not in printed
    assert "pass" not in printed


def _lacking() -> str:
    if importlib.util.find_spec("xllamacpp") is None:
        return "xllamacpp is not installed"
    try:
        find_model()
    except errors.Unsupported as error:
        return error.message
    return ""


@pytest.mark.skipif(bool(_lacking()), reason=_lacking() or "-")
async def test_three_turns_with_a_real_model(service: MessageService, cli: Cli) -> None:
    async with LocalModel(port=0, threads=1, context=2_048, parallel=1) as model:
        said = await chatted(
            cli,
            "My name is Ann.",
            "What is the capital of France?",
            "Say hello.",
            "/cost",
            MESSAGE_SERVICE_LMSTUDIO_BASE_URL=model.base_url,
            MESSAGE_SERVICE_LLM_MAX_TOKENS="24",
            MESSAGE_SERVICE_LLM_CONTEXT_TOKENS="1024",
        )
    assert said.count("assistant> ") == 3
    assert "tokens in 3 replies, USD 0" in said
    page = await service.messages.history(CONVERSATION, full=True)
    assert [message.role for message in page] == ["user", "assistant"] * 3
    before = 0
    for message in page.items[1::2]:
        stored = message.document()
        usage, llm, context = stored.token_usage, stored.llm_metadata, stored.context_metadata
        assert usage is not None
        assert llm is not None
        assert context is not None
        assert (usage.usage_state, usage.total_cost, llm.provider) == ("known", 0, "lmstudio")
        assert llm.model == model.name
        assert llm.finish_reason in ("stop", "length")
        assert 0 < (usage.completion_tokens or 0) <= 24
        assert (usage.prompt_tokens or 0) > before  # the prompt holds what was said before
        before = usage.prompt_tokens or 0
        assert context.messages_in_context == stored.sequence_number - 1
