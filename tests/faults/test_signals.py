"""SIGTERM and SIGINT: the first finishes the round, the second ends at once, in every command."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from message_service import MessageService
from message_service.catalogue.queries.usage_reports import USAGE_REPORT
from message_service.stopping import STOP_GRACE
from support.commands import COMMAND, Command
from support.datasets import chitchat
from support.servers import OwnServer, mongod_that_fails_to_order
from support.waiting import until

pytestmark = pytest.mark.faults

USER = "user_000000000001"
JAN = datetime(2026, 1, 1, tzinfo=UTC)
CONVERSATIONS = 500
CUT_SHORT = "did not end within"
LONGEST = STOP_GRACE + 15


@pytest.fixture
async def service(own: OwnServer) -> AsyncIterator[MessageService]:
    async with await MessageService.connect(own.uri, min_pool_size=0, close_timeout=1) as service:
        yield service


@pytest.fixture
def data_set(tmp_path: Path) -> Path:
    path = tmp_path / "dataset.json"
    chitchat(path, conversations=CONVERSATIONS)
    return path


class Work:
    """A looping command in the middle of its work."""

    def __init__(self, own: OwnServer, service: MessageService, tmp_path: Path) -> None:
        self.own = own
        self.service = service
        self.tmp_path = tmp_path
        self.export = tmp_path / "export.jsonl"
        self._count = 0

    async def begin(self, name: str, data_set: Path) -> Command:
        if name == "export":
            filled = await self.start("import", "chitchat", data_set)
            assert await filled.ended() == 0
            command = await self.start("export", self.export)
            partial = self.export.with_name(self.export.name + ".partial")
            await until("the export to write", lambda: partial.exists() and partial.stat().st_size)
        elif name.startswith("search index"):
            made = await self.service.conversations.create(USER)
            await self.service.messages.append_many(
                made.conversation_id,
                [{"role": "user", "text": f"hello again, world {n}"} for n in range(20_000)],
            )
            command = await self.start(*name.split())
            await until("the indexer to index", self._has_indexed)
        elif name == "analytics rollup":
            made = await self.service.conversations.create(USER)
            await self.service.messages.append_many(
                made.conversation_id,
                [
                    {"role": "user", "text": "hello", "created_at": JAN + timedelta(hours=n)}
                    for n in range(20_000)
                ],
            )
            command = await self.start(*name.split())
            await until("the rollup to summarise", self._has_summarised)
        else:
            words = ("demo",) if name == "demo" else ("import", "chitchat", "--json")
            command = await self.start(*words, data_set)
            await until("the import to store", self._has_stored)
        return command

    async def start(self, *words: object) -> Command:
        self._count += 1
        return await Command.start(self.own.uri, self.tmp_path / f"run{self._count}", *words)

    async def _has_indexed(self) -> bool:
        return (await self.service.search_index.status()).entries > 0

    async def _has_summarised(self) -> bool:
        return await self.service.store.estimated_count("message_analytics") > 0

    async def _has_stored(self) -> bool:
        return await self.service.store.estimated_count("messages") > 0


@pytest.fixture
def work(own: OwnServer, service: MessageService, tmp_path: Path) -> Work:
    return Work(own, service, tmp_path)


LOOPING = ["search index", "import", "export", "demo", "analytics rollup"]


@pytest.mark.parametrize(
    ("name", "number"),
    [
        *((name, signal.SIGTERM) for name in (*LOOPING, "search index --once")),
        (LOOPING[0], signal.SIGINT),  # one handler serves both signals
    ],
)
async def test_the_first_signal_finishes_the_round(
    work: Work, data_set: Path, name: str, number: signal.Signals
) -> None:
    command = await work.begin(name, data_set)
    # Frozen for a moment, so that the signal surely finds it in the middle.
    await work.own.freeze()
    command.signal(number)
    work.own.thaw()
    code = await command.ended(seconds=LONGEST)
    assert CUT_SHORT not in command.err
    assert "Traceback" not in command.err
    if name == "search index":
        assert code == 0  # to run until it is stopped is its work
        assert "indexed" in command.out
        status = await work.service.search_index.status()
        assert status.indexer is None, "it gave its lease back"
        return
    assert code == 128 + number
    assert "stopped" in command.err
    if name == "export":
        assert list(work.tmp_path.glob("export*")) == []
    if name == "import":
        await assert_goes_on(work, command, data_set)


async def assert_goes_on(work: Work, command: Command, data_set: Path) -> None:
    report = json.loads(command.out)
    assert report["stopped"]
    assert not report["complete"]
    assert report["failed"] == {}
    assert 0 < report["conversations"] < CONVERSATIONS
    stored = await work.service.store.database.messages.count_documents({})
    assert stored == report["stored"] == report["conversations"] * 40, "no conversation is half in"
    again = await Command.start(
        work.own.uri, work.tmp_path / "again", "import", "chitchat", "--json", data_set
    )
    assert await again.ended() == 0
    rest: dict[str, Any] = json.loads(again.out)
    assert rest["complete"]
    assert rest["stored"] + rest["unchanged"] == CONVERSATIONS * 40


@pytest.mark.parametrize("name", LOOPING)
async def test_a_round_that_does_not_end_is_cut_short(
    work: Work, data_set: Path, name: str
) -> None:
    command = await work.begin(name, data_set)
    await work.own.freeze()
    await command.idle()
    command.signal(signal.SIGTERM)
    code = await command.ended(seconds=LONGEST)
    work.own.thaw()
    assert code == 143
    assert CUT_SHORT in command.err
    assert list(work.tmp_path.glob("export*")) == []


@pytest.mark.parametrize(
    ("name", "second"),
    [*((name, signal.SIGTERM) for name in LOOPING), (LOOPING[0], signal.SIGINT)],
)
async def test_the_second_signal_ends_at_once(
    work: Work, data_set: Path, name: str, second: signal.Signals
) -> None:
    command = await work.begin(name, data_set)
    await work.own.freeze()
    await command.idle()
    command.signal(signal.SIGTERM)
    # Two signals of one kind that arrive together are one.
    await asyncio.sleep(0.5)
    command.signal(second)
    code = await command.ended(seconds=LONGEST)
    work.own.thaw()
    assert code == 128 + second
    assert CUT_SHORT not in command.err


async def test_a_command_that_does_not_loop_is_cancelled(work: Work) -> None:
    made = await work.service.conversations.create(USER)
    await work.service.messages.append(made.conversation_id, "user", "hello")
    command = await work.start("history", made.conversation_id)
    assert await command.ended() == 0
    await work.own.freeze()
    command = await work.start("history", made.conversation_id)
    await until("the signals to be handled", lambda: handles(command, signal.SIGTERM))
    command.signal(signal.SIGTERM)
    assert await command.ended(seconds=LONGEST) == 143
    work.own.thaw()
    assert command.err == "interrupted\n"


async def test_a_report_stops_while_the_server_adds_up(tmp_path: Path) -> None:
    own = OwnServer(tmp_path / "server", await mongod_that_fails_to_order(tmp_path))
    await own.start()
    try:
        async with await MessageService.connect(own.uri) as service:
            made = await service.conversations.create(USER)
            await service.messages.append(made.conversation_id, "user", "hello")
            admin = service.store.database.client.admin
            await admin.command(
                "configureFailPoint",
                "failCommand",
                mode="alwaysOn",
                data={
                    "failCommands": ["aggregate"],
                    "blockConnection": True,
                    "blockTimeMS": 600_000,
                },
            )
            output = tmp_path / "report.csv"
            command = await Command.start(
                own.uri, tmp_path / "run", "usage", "report", "--format", "csv", "--output", output
            )

            async def asked() -> bool:
                found = await admin.command("currentOp")
                comments = [each["command"].get("comment") for each in found["inprog"]]
                return USAGE_REPORT.name in comments

            await until("the server to be asked", asked)
            command.signal(signal.SIGINT)
            assert await command.ended(seconds=LONGEST) == 130
            assert command.err == "interrupted\n"
            assert list(tmp_path.glob("report*")) == []
    finally:
        await own.stop()


async def test_a_command_whose_event_loop_is_stuck_ends_all_the_same(
    work: Work, data_set: Path
) -> None:
    """It writes to a pipe nobody reads: the loop never gets to look at a stop."""
    filled = await work.start("import", "chitchat", data_set)
    assert await filled.ended() == 0
    reading, process = await export_into_a_full_pipe(work)
    process.send_signal(signal.SIGTERM)
    stuck = Command(process, "export -", work.tmp_path)
    assert await stuck.ended(seconds=LONGEST) == 143
    reading.close()


async def export_into_a_full_pipe(work: Work) -> tuple[Any, asyncio.subprocess.Process]:
    read, write = os.pipe()
    process = await asyncio.create_subprocess_exec(
        *(COMMAND, "--uri", work.own.uri, "export", "-"),
        stdout=write,
        stderr=asyncio.subprocess.DEVNULL,
    )
    os.close(write)
    wchan = Path(f"/proc/{process.pid}/wchan")
    await until("the pipe to be full", lambda: "pipe" in wchan.read_text())
    return os.fdopen(read), process


def handles(command: Command, number: signal.Signals) -> bool:
    """Whether a process has its own handler for a signal."""
    status = Path(f"/proc/{command.process.pid}/status").read_text()
    [caught] = [line.split()[1] for line in status.splitlines() if line.startswith("SigCgt")]
    return bool(int(caught, 16) >> (number - 1) & 1)
