"""Whatever text stands in an option or argument: a documented exit code, no traceback."""

from __future__ import annotations

import asyncio
import os
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from message_service import MessageService
from message_service.cli import app
from support.preloaded import PRELOADED
from support.shell import Cli

USER = "user_000000000001"
TEXTS = {
    "empty": "",
    "not UTF-8": os.fsdecode(b"\xff"),
    "long": "x" * 20_000,
    "dash": "-",
    "operator": "$where",
}
DOCUMENTED = {0} | {
    int(code)
    for code in re.findall(
        r"^\| `\w+` \| \w+ \| (\d+) \|",
        (Path(__file__).parents[2] / "docs" / "how-to" / "errors.md").read_text(),
        re.MULTILINE,
    )
} - {1}  # "anything else" is nothing that a text could bring about


ENDLESS = {(("backup", "follow"), "target"), (("backup", "run"), "target")}
"""Any text is a directory. One goes on until it is stopped; the other makes the directory, and
`worker --import` takes it for a package."""


def commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield words, command
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, (*words, name))


def text_parameters() -> list[tuple[tuple[str, ...], Any, Any]]:
    """Derive every option and argument that takes a text, with its command."""
    return [
        (words, command, parameter)
        for words, command in commands(get_command(app))
        for parameter in command.params
        if not getattr(parameter, "is_flag", False) and parameter.name != "help"
        if (words, parameter.name) not in ENDLESS
    ]


PARAMETERS = text_parameters()


def called(
    words: tuple[str, ...], command: Any, parameter: Any, value: str, valid: dict[str, str]
) -> list[str]:
    """Return a call that is right but for one text."""
    arguments = [
        value if other is parameter else valid[other.name]
        for other in command.params
        if other.param_type_name == "argument" and (other.required or other is parameter)
    ]
    if parameter.param_type_name == "argument":
        return [*words, "--", *arguments]
    option = f"{max(parameter.opts, key=len)}={value}"
    needed = [
        f"{other.opts[0]}={valid[other.name]}"
        for other in command.params
        if other.param_type_name == "option" and other.required and other is not parameter
    ]
    if not words:  # an option of all commands
        return [option, "conversations", "list"]
    return [*words, option, *needed, "--", *arguments]


def test_the_texts_are_found() -> None:
    found = {(*words, parameter.name) for words, _, parameter in PARAMETERS}
    assert found >= {
        ("uri",),
        ("database",),
        ("tenant",),
        ("append", "text"),
        ("history", "cursor"),
        ("search", "query", "words"),
        ("import", "paths"),
        ("export", "output"),
        ("conversations", "create", "title"),
        ("server", "start", "port"),
    }
    assert {2, 3, 4, 5, 6, 10} < DOCUMENTED


@pytest.mark.parametrize("text", TEXTS)
async def test_any_text_ends_as_documented(
    service: MessageService,
    mongo_uri: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
) -> None:
    made = await service.conversations.create(USER)
    await service.messages.append(made.conversation_id, "user", "hello")
    stored = await service.attachments.put(b"bytes")
    file = tmp_path / "file"
    file.write_bytes(b"bytes")
    valid = {
        "attachment": str(stored.hash),
        "backup": "full-20260101T000000Z-000000",
        "file": str(file),
        "budget": "1000",
        "collection": "nowhere.nothing",
        "conversation": made.conversation_id,
        "character": "char_000000000001",
        "cron": "0 3 * * *",
        "job": "job_000000000001",
        "job_type": "message_processing",
        "message": "msg_000000000001",
        "model": "gpt-4o",
        "provider": "openai",
        "reply": "job_000000000002",
        "name": "jsonl",
        "older_than": "60",
        "output": "out.jsonl",
        "path": "out.key",
        "since": "2026-01-01",
        "source": mongo_uri,
        "state": "failed",
        "text": "hello",
        "until": "2026-02-01",
        "user": USER,
        "words": "hello",
    }
    cli = Cli(mongo_uri, service.settings.database, tmp_path)
    # No server is to be started beside the one of the tests, and no file left elsewhere.
    cli.environment["MESSAGE_SERVICE_MONGOD"] = str(tmp_path / "mongod")
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    # A third of them, other ones in each run and for each text.
    chosen = random.sample(PARAMETERS, k=(len(PARAMETERS) + 2) // 3)
    calls = [called(*each, TEXTS[text], valid) for each in chosen]
    failures: list[str] = []
    outcomes = await asyncio.to_thread(PRELOADED.run_each, calls, cli.environment)
    for call, done in zip(calls, outcomes, strict=True):
        if done.code not in DOCUMENTED or "Traceback" in done.err:
            failures.append(f"{done.code} {ascii(call)[:200]}: {done.err[-300:]!a}")
    assert not failures, "\n".join(failures)
    assert (await service.messages.check(made.conversation_id)).consistent
