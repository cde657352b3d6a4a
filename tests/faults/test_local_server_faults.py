"""The local server under faults: killed, hung, raced, misled by stale files, out of space."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient, WriteConcern

from message_service import errors
from message_service.local_server.manager import LocalServer, LocalServerManager, Stopped
from support.machine import runs
from support.waiting import ended, soon, until

pytestmark = pytest.mark.faults

START = (
    "import asyncio, sys\n"
    "from pathlib import Path\n"
    "from message_service.local_server.manager import LocalServerManager\n"
    "print(asyncio.run(LocalServerManager(Path(sys.argv[1]), None).start()).pid)"
)

DYING = """
import ctypes, os, socket, sys, threading, time
while True:
    try:
        port = socket.create_server(("127.0.0.1", int(sys.argv[1])))
        break
    except OSError:  # the server itself is not quite dead
        time.sleep(0.01)
threading.Thread(target=lambda: (time.sleep(2), os._exit(0))).start()
ctypes.CDLL(None).pthread_exit(None)
"""
"""A process whose main thread has ended: it keeps the port for another two seconds."""


@pytest.fixture
async def directory(tmp_path: Path) -> AsyncIterator[Path]:
    directory = tmp_path / "s"
    yield directory
    # Killed, because a clean stop takes a second and nobody needs the data.
    try:
        server = await LocalServerManager(directory, None).status()
    except errors.LocalServerError:
        await LocalServerManager(directory, None).stop(wait=0)
    else:
        if server is not None:
            os.kill(server.pid, signal.SIGKILL)


@pytest.fixture
def manager(directory: Path) -> LocalServerManager:
    return LocalServerManager(directory, None)


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process that is none of ours."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


async def kill(server: LocalServer) -> None:
    os.kill(server.pid, signal.SIGKILL)
    await until("mongod to die", lambda: not runs(server.pid))


async def read(server: LocalServer) -> set[int]:
    async with AsyncMongoClient[dict[str, Any]](server.uri) as client:
        return {found["_id"] async for found in client["kept"]["values"].find()}


async def test_a_killed_server_comes_back_with_every_acknowledged_write(
    manager: LocalServerManager,
) -> None:
    server = await manager.start()
    acknowledged: set[int] = set()
    # The driver's close may look for a server once more, and there is none by then.
    async with AsyncMongoClient[dict[str, Any]](
        server.uri, serverSelectionTimeoutMS=1000
    ) as client:
        values = client["kept"].get_collection(
            "values", write_concern=WriteConcern("majority", j=True)
        )
        for number in range(50):
            await values.insert_one({"_id": number})
            acknowledged.add(number)
        await kill(server)
    assert await manager.status() is None
    again = await manager.start()
    assert again.pid != server.pid
    assert await read(again) >= acknowledged
    assert again.uri == server.uri


async def test_started_twice_in_the_moment_of_death(manager: LocalServerManager) -> None:
    """A dying server may still hold its files and port when the next start looks."""
    server = await manager.start()
    os.kill(server.pid, signal.SIGKILL)
    first, second = await asyncio.gather(manager.start(), manager.start())
    assert first.pid == second.pid != server.pid


async def test_a_server_that_takes_long_to_die_leaves_its_port_to_the_next(
    manager: LocalServerManager,
) -> None:
    """Its clients look for the new server where the old one was."""
    server = await manager.start()
    await kill(server)
    # As the kernel leaves a killed server for a moment: no command line, a thread with the port.
    with subprocess.Popen([sys.executable, "-c", DYING, str(server.port)]) as dying:
        stat = Path(f"/proc/{dying.pid}/stat")
        await until("the main thread to end", lambda: ") Z " in stat.read_text())
        assert dying.poll() is None
        (server.data_dir / "mongod.lock").write_text(f"{dying.pid}\n")
        again = await manager.start()
    assert again.uri == server.uri


async def test_stale_files_that_name_a_stranger(
    manager: LocalServerManager, directory: Path, stranger: subprocess.Popen[bytes]
) -> None:
    server = await manager.start()
    await kill(server)
    (server.data_dir / "mongod.lock").write_text(f"{stranger.pid}\n")
    (directory / "server.json").write_text(
        json.dumps({"pid": stranger.pid, "port": server.port, "uri": server.uri})
    )
    assert await manager.status() is None
    assert await manager.stop() is None
    again = await manager.start()
    assert again.pid != stranger.pid
    assert stranger.poll() is None, "the stranger was left alone"


@pytest.mark.parametrize("garbage", ["", "{", "[]", '{"port": "x"}', '{"port": 99999}'])
async def test_a_broken_state_file_is_replaced(
    manager: LocalServerManager, directory: Path, garbage: str
) -> None:
    data = directory / "data"
    os.makedirs(data)
    (directory / "server.json").write_text(garbage)
    (data / "mongod.lock").write_text("not a number")
    server = await manager.start()
    assert json.loads((directory / "server.json").read_text())["pid"] == server.pid


async def test_a_lost_state_file_does_not_lose_the_server(
    manager: LocalServerManager, directory: Path
) -> None:
    server = await manager.start()
    (directory / "server.json").unlink()
    assert await manager.status() == server
    assert await manager.start() == server
    assert await manager.stop() == Stopped(server.pid, killed=False)


async def test_commands_at_once_end_with_one_server(
    manager: LocalServerManager, directory: Path
) -> None:
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "error", "-c", START, str(directory)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        for _ in range(3)
    ]
    answers = [await soon("a start", process.communicate()) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], answers
    server = await manager.status()
    assert server is not None
    assert {int(out) for out, _ in answers} == {server.pid}


async def test_starts_and_stops_at_once_leave_a_usable_directory(
    manager: LocalServerManager,
) -> None:
    await asyncio.gather(
        manager.start(), manager.stop(), manager.start(), manager.stop(), manager.start()
    )
    server = await manager.start()
    assert await manager.status() == server


async def test_a_start_killed_half_way_is_taken_over(
    manager: LocalServerManager, directory: Path
) -> None:
    starter = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", START, str(directory)), stdout=asyncio.subprocess.DEVNULL
    )
    # The log appears before mongod has its lock file: the earliest moment it can be orphaned.
    await until("mongod to be launched", (directory / "mongod.log").exists)
    starter.kill()
    await ended(starter, "the killed start")
    server = await manager.start()
    assert await manager.status() == server
    assert await read(server) == set()


async def test_a_cancelled_start_leaves_nothing_locked(
    manager: LocalServerManager, directory: Path
) -> None:
    starting = asyncio.create_task(manager.start())
    await until("mongod to be launched", (directory / "mongod.log").exists)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    server = await manager.start()
    assert await manager.status() == server


async def test_a_hung_server_is_reported_then_killed_and_says_so(
    manager: LocalServerManager,
) -> None:
    server = await manager.start()
    os.kill(server.pid, signal.SIGSTOP)
    with pytest.raises(errors.LocalServerError, match=f"pid {server.pid}.*does not accept writes"):
        await manager.status()
    assert await manager.stop(wait=0.5) == Stopped(server.pid, killed=True)
    assert (await manager.start()).pid != server.pid


async def test_another_local_server_took_the_port(
    manager: LocalServerManager, tmp_path: Path
) -> None:
    """Both are replica sets of one name: the moved one must not talk to the other."""
    first = await manager.start()
    await manager.stop()
    other = LocalServerManager(tmp_path / "o", None)
    try:
        usurper = await other.start(port=first.port)
        moved = await manager.start()
        assert moved.port != usurper.port
        assert await other.status() == usurper
        async with AsyncMongoClient[dict[str, Any]](moved.uri) as client:
            status = await client.admin.command("replSetGetStatus")
        assert [(m["name"], m["stateStr"]) for m in status["members"]] == [
            (f"127.0.0.1:{moved.port}", "PRIMARY")
        ]
    finally:
        await other.stop()


async def test_another_takes_the_port_while_mongod_starts(
    manager: LocalServerManager, directory: Path
) -> None:
    """Two that start at once can both bind a port; whoever listens first has it."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        starting = asyncio.create_task(manager.start(port=range(port, port + 50)))
        log = directory / "mongod.log"
        await until(
            "mongod to open its data",
            lambda: log.exists() and "Opening WiredTiger" in log.read_text(),
        )
        other.listen()
        assert port < (await starting).port < port + 50


async def test_a_full_disk_is_named(small_disk: Path) -> None:
    with pytest.raises(errors.LocalServerError) as raised:
        await LocalServerManager(small_disk / "s", None).start()
    assert "No space left on device" in raised.value.message
    assert "only 0 MB are free" in raised.value.message
