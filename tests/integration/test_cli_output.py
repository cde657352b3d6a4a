"""Where output goes: closed pipes, full devices, FIFOs, links; and what is left behind."""

import json
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from message_service import MessageService
from support.commands import Command
from support.shell import NOWHERE, Cli
from support.waiting import until

USER = "user_000000000001"
FULL = Path("/dev/full")
NO_SPACE = "No space left on device"


@pytest.fixture
def cli(mongo_uri: str, database: AsyncDatabase[dict[str, Any]], tmp_path: Path) -> Cli:
    return Cli(mongo_uri, database.name, tmp_path)


@pytest.fixture
def conversation(cli: Cli) -> str:
    made = cli("conversations", "create", USER).strip()
    cli("append", made, "Hello Luna!")
    return made


def closed_pipe() -> int:
    """Return the writing end of a pipe whose reader has left."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


def assert_still_full() -> None:
    assert stat.S_ISCHR(FULL.stat().st_mode), "the device was replaced by a file"


def test_a_closed_pipe_is_quiet_in_every_command(cli: Cli, conversation: str) -> None:
    for words in (
        ("history", conversation),
        ("history", conversation, "--all", "--json"),
        ("conversations", "list"),
        ("config", "show"),
        ("config", "show", "--json"),
        ("export", "-"),
        ("export", "/dev/stdout"),
        ("--help",),
    ):
        pipe = closed_pipe()
        try:
            assert cli.into(pipe, *words) == (0, ""), words
        finally:
            os.close(pipe)


def test_a_closed_pipe_does_not_hide_a_failure(cli: Cli, tmp_path: Path) -> None:
    pipe = closed_pipe()
    try:
        code, error = cli.into(pipe, "import", "chitchat", tmp_path / "none.json", "--json")
    finally:
        os.close(pipe)
    assert code == 11
    assert "none.json" in error


def test_a_full_device_is_one_line_in_every_command(cli: Cli, conversation: str) -> None:
    for words in (
        ("history", conversation),
        ("conversations", "list", "--json"),
        ("config", "show"),
        ("export", "-"),
        ("export", "/dev/stdout"),
        ("--help",),
    ):
        with FULL.open("wb") as full:
            code, error = cli.into(full, *words)
        assert code == 1, (words, error)
        assert error.startswith("error: cannot write "), (words, error)
        assert error.endswith(f": {NO_SPACE}\n"), (words, error)
        assert error.count("\n") == 1, (words, error)
    assert_still_full()


def test_errors_that_cannot_be_written_change_no_exit_code(cli: Cli, conversation: str) -> None:
    with FULL.open("wb") as full:
        assert cli.into(None, "history", conversation, err=full)[0] == 0
        assert cli.into(None, "history", "conv_000000000404", err=full)[0] == 3


def test_closed_standard_output_is_no_failure(cli: Cli, conversation: str) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$0" history "$1" >&- <&-', "message-service", conversation],
        env={**cli.environment, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_an_export_writes_to_a_device_and_leaves_it_one(cli: Cli, conversation: str) -> None:
    code, error = cli.into(None, "export", FULL, "--conversation", conversation)
    assert (code, error) == (1, f"error: cannot write {FULL}: {NO_SPACE}\n")
    assert_still_full()
    assert not Path("/dev/full.partial").exists()


def test_an_export_writes_to_a_fifo(cli: Cli, conversation: str, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(fifo.read_text()), daemon=True)
    reader.start()
    cli("export", fifo, "--conversation", conversation)
    reader.join(30)
    assert read == [cli("export", "-", "--conversation", conversation)]
    assert fifo.is_fifo()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fifo"]


async def test_an_export_that_waits_for_a_reader_can_be_stopped(
    mongo_uri: str, service: MessageService, tmp_path: Path
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    database = service.store.database.name
    command = await Command.start(
        mongo_uri, tmp_path / "run", "--database", database, "export", fifo
    )
    handled = f"/proc/{command.process.pid}/status"

    def listening() -> bool:
        [caught] = [
            line for line in Path(handled).read_text().splitlines() if line.startswith("SigCgt:")
        ]
        return bool(int(caught.split()[1], 16) & 1 << (signal.SIGTERM - 1))

    await until("the command to listen to signals", listening)
    command.signal(signal.SIGTERM)
    assert await command.ended() == 128 + signal.SIGTERM
    assert "Traceback" not in command.err
    assert fifo.is_fifo()


def test_process_substitution_and_redirection(cli: Cli, conversation: str, tmp_path: Path) -> None:
    whole = cli("export", "-", "--conversation", conversation)
    copy, log = tmp_path / "copy", tmp_path / "log"
    log.write_text("before\n")
    for script in (
        'message-service export >(cat > "$1") --conversation "$0"; wait $!',
        'message-service export /dev/stdout --conversation "$0" >> "$2"',
    ):
        subprocess.run(
            ["/bin/bash", "-c", script, conversation, str(copy), str(log)],
            env={
                **cli.environment,
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            },
            timeout=150,
            check=True,
            capture_output=True,
        )
    assert copy.read_text() == whole
    assert log.read_text() == "before\n" + whole


def test_an_export_follows_links(cli: Cli, conversation: str, tmp_path: Path) -> None:
    there, missing = tmp_path / "there", tmp_path / "missing"
    there.write_text("old")
    there.chmod(0o640)
    for target in (there, missing):
        link = tmp_path / f"to-{target.name}"
        link.symlink_to(target.name)
        cli("export", link, "--conversation", conversation)
        assert link.is_symlink()
        assert not target.is_symlink()
        assert target.read_text() == cli("export", "-", "--conversation", conversation)
    assert stat.S_IMODE(there.stat().st_mode) == 0o640
    assert list(tmp_path.glob("*.partial")) == []


def test_an_export_refuses_what_cannot_be_a_file(cli: Cli, tmp_path: Path) -> None:
    folder, loop = tmp_path / "folder", tmp_path / "loop"
    folder.mkdir()
    loop.symlink_to(loop)
    for output in (folder, loop, tmp_path / "none" / "x", folder / ("x" * 300)):
        error = cli("export", output, code=2)
        assert error.startswith("error: OUTPUT: "), error
        assert error.count("\n") == 1
    assert "is a directory" in cli("export", folder, code=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "loop"]
    assert list(folder.iterdir()) == []


def test_a_failed_export_leaves_the_old_file_and_nothing_else(
    cli: Cli, conversation: str, tmp_path: Path
) -> None:
    output = tmp_path / "export.jsonl"
    output.write_text("old")
    missing = "conv_000000000404"
    cli("export", output, "--conversation", conversation, "--conversation", missing, code=3)
    assert output.read_text() == "old"
    assert list(tmp_path.glob("*.partial")) == []


def test_what_a_killed_export_left_is_overwritten(
    cli: Cli, conversation: str, tmp_path: Path
) -> None:
    output = tmp_path / "export.jsonl"
    output.with_name("export.jsonl.partial").write_text("left by one that was killed\n" * 9_999)
    cli("export", output, "--conversation", conversation)
    assert output.read_text() == cli("export", "-", "--conversation", conversation)
    assert list(tmp_path.glob("*.partial")) == []


async def test_a_second_signal_leaves_no_partial_file(
    mongo_uri: str, service: MessageService, tmp_path: Path
) -> None:
    made = await service.conversations.create(USER)
    for _ in range(4):
        await service.messages.append_many(
            made.conversation_id, [{"role": "user", "text": "x" * 20_000} for _ in range(500)]
        )
    output = tmp_path / "export.jsonl"
    partial = tmp_path / "export.jsonl.partial"
    database = service.store.database.name
    command = await Command.start(
        mongo_uri, tmp_path / "run", "--database", database, "export", output
    )
    await until("the export to write", lambda: partial.exists() and partial.stat().st_size)
    command.signal(signal.SIGINT)
    command.signal(signal.SIGINT)
    assert await command.ended() in (130, -signal.SIGINT)
    assert list(tmp_path.glob("export*")) == []


def test_a_report_that_cannot_be_opened_is_refused_before_the_import(tmp_path: Path) -> None:
    cli = Cli(NOWHERE, "reports", tmp_path)  # with a connection it would end with 6
    for report in (tmp_path / "none" / "report.jsonl", tmp_path):
        error = cli("import", "chitchat", "x.json", "--report", report, code=2)
        assert error.startswith("error: --report: "), error
        assert error.count("\n") == 1


def test_a_report_that_cannot_be_written_does_not_stop_the_import(cli: Cli, tmp_path: Path) -> None:
    source = tmp_path / "set.json"
    said = {"text": "a", "timestamp": "2018-05-02T19:38:15Z", "sender": "x"}
    source.write_text(json.dumps({"one": {"messages": [[said]]}}))
    error = cli("import", "chitchat", source, "--report", FULL, code=1)
    assert f"cannot write {FULL}: {NO_SPACE}" in error
    assert_still_full()
    assert cli.json("import", "chitchat", source)["unchanged"] == 1
