"""Tests that hang, leave things behind or lose their server; `test_guards.py` runs them by name."""

import asyncio
import gc
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from message_service.local_server.manager import LocalServer, LocalServerManager
from support.machine import runs
from support.waiting import until


async def test_waits_for_ever() -> None:
    async def deep() -> None:
        await asyncio.Event().wait()

    await asyncio.create_task(deep(), name="the deep one")


def test_loops_for_ever() -> None:
    while True:
        time.sleep(0.01)


async def test_comes_after() -> None:
    assert [task for task in asyncio.all_tasks() if task.get_name() == "the deep one"] == []


async def test_leaves_a_process() -> None:
    left = "setsid sleep 1234 >/dev/null 2>&1 & echo $!"
    pid = subprocess.check_output(left, shell=True, text=True).strip()
    # Between fork and exec it still goes by the shell's words, and would be named by them.
    words = Path("/proc", pid, "cmdline")
    await until("the process to be a sleep", lambda: words.read_bytes().startswith(b"sleep"))


async def test_starts_a_server_and_stays(tmp_path: Path) -> None:
    server = await LocalServerManager(tmp_path / "s", None).start()
    Path(os.environ["SERVER_PID_FILE"]).write_text(str(server.pid))
    await asyncio.Event().wait()


async def test_kills_the_server(server: LocalServer) -> None:
    os.kill(server.pid, signal.SIGKILL)
    await until("the server to be dead", lambda: not runs(server.pid))


async def test_needs_the_server(database: AsyncDatabase[Any]) -> None:
    raise AssertionError("without a server this is never reached")


def test_keeps_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert not os.environ["SAMPLE_FAILS"]


async def test_the_driver_leaves_connections(server: LocalServer) -> None:
    async with AsyncMongoClient[dict[str, Any]](server.uri) as client:
        await client.admin.command("ping")
        topology: Any = client._topology
        [pool] = [member.pool for member in topology._servers.values()]
        emptied = asyncio.create_task(pool._reset(close=False, pause=False))
        await asyncio.sleep(0)
        emptied.cancel()
        await asyncio.gather(emptied, return_exceptions=True)
        assert emptied.cancelled()
        del emptied, pool, topology
    gc.collect()


async def test_leaves_a_connection(server: LocalServer) -> None:
    left, _ = await asyncio.get_running_loop().create_connection(
        asyncio.Protocol, "127.0.0.1", server.port
    )
    assert isinstance(left, asyncio.Transport)
    left.pause_reading()
    del left, _
    gc.collect()
