"""Connecting: pool settings, compression that is really on, servers we refuse, rights we lack."""

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
from pymongo import MongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from message_service import MessageService, Settings, errors
from message_service.database.client import build_client
from message_service.database.server_info import ServerInfo, check_server, read_server_info
from message_service.documents.row import Row
from message_service.local_server.binary import find_mongod
from support.waiting import ended

USER = "user_000000000001"


async def test_the_pool_settings_reach_the_driver() -> None:
    settings = Settings(min_pool_size=3, max_pool_size=7, max_idle_time=11, socket_timeout=13)
    client = build_client(settings, "mongodb://127.0.0.1:9/?replicaSet=x")
    pool = client.options.pool_options
    assert (pool.min_pool_size, pool.max_pool_size) == (3, 7)
    assert (pool.max_idle_time_seconds, pool.socket_timeout) == (11, 13)
    assert client.options.retry_writes
    await client.close()


async def test_the_defaults_are_the_designs() -> None:
    client = build_client(Settings(), "mongodb://127.0.0.1:9/?replicaSet=x")
    pool = client.options.pool_options
    assert (pool.min_pool_size, pool.max_pool_size) == (20, 100)
    assert (pool.max_idle_time_seconds, pool.socket_timeout) == (30, 45)
    assert client.options.server_selection_timeout == 5
    await client.close()


async def test_traffic_is_compressed_with_zstd(
    service: MessageService, database: AsyncDatabase[Row]
) -> None:
    """The server's own counters tell: they only move when the handshake agreed on zstd."""

    async def received() -> int:
        status = await database.client.admin.command("serverStatus")
        return int(status["network"]["compression"]["zstd"]["decompressor"]["bytesIn"])

    made = await service.conversations.create(USER)
    before = await received()
    await service.messages.append(made.conversation_id, "user", "x" * 40_000)
    assert await received() > before
    assert service.server.compression[0] == "zstd"


async def test_writes_are_majority_and_journaled(service: MessageService) -> None:
    concern = service.store.database.write_concern
    assert concern.document == {"w": "majority", "j": True}


async def test_what_the_server_cannot_do_is_said(service: MessageService) -> None:
    assert service.server.topology == "replica set"
    assert all(sentence.endswith(".") for sentence in service.server.limits)


@pytest.mark.parametrize(
    ("version", "topology", "said"),
    [
        ((5, 0, 30), "replica set", "5.0.30 is too old"),
        ((4, 4, 0), "sharded cluster", "too old"),
        ((7, 0, 1), "standalone", "not a replica set"),
    ],
)
def test_servers_we_refuse(version: tuple[int, ...], topology: str, said: str) -> None:
    info = ServerInfo(version, topology, (), 17)  # type: ignore[arg-type]
    with pytest.raises(errors.Unsupported, match=said):
        check_server(info)


@pytest.mark.parametrize("version", [(6, 0, 0), (7, 0, 2), (8, 0, 0), (10, 1, 0)])
def test_servers_we_accept(version: tuple[int, ...]) -> None:
    check_server(ServerInfo(version, "replica set", (), 17))
    check_server(ServerInfo(version, "sharded cluster", (), 17))


@pytest.mark.parametrize(
    "uri", ["", "localhost", "http://x", "mongodb://", "mongodb://h:99999/", "mongodb://a:b@"]
)
async def test_wrong_connection_strings(uri: str) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        await MessageService.connect(uri or " ")
    assert caught.value.field == "uri"


async def test_nobody_there() -> None:
    with pytest.raises(errors.Unavailable):
        await MessageService.connect(
            "mongodb://127.0.0.1:9/?replicaSet=x", server_selection_timeout=0.2
        )


@pytest.mark.parametrize(
    ("name", "value"), [("max_pool_size", 0), ("append_batch", "many"), ("colour", "red")]
)
async def test_wrong_settings(name: str, value: object) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        await MessageService.connect(
            "mongodb://127.0.0.1:9", **cast("dict[str, Any]", {name: value})
        )
    assert caught.value.field == name


class _Mongod:
    """A mongod of the test's own, in the state the test needs."""

    def __init__(self, directory: Path, *options: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.directory = directory
        self.options = options
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        (self.directory / "data").mkdir(parents=True)
        binary = await find_mongod(None)
        self.process = await asyncio.create_subprocess_exec(
            str(binary.path),
            *("--dbpath", str(self.directory / "data"), "--port", str(self.port)),
            *("--bind_ip", "127.0.0.1", "--nounixsocket", "--logpath", "/dev/null"),
            *self.options,
        )
        await asyncio.to_thread(self._wait)

    def _wait(self) -> None:
        for _ in range(200):
            try:
                with self.client() as client:
                    client.admin.command("ping")
                    return
            except PyMongoError:
                continue
        raise TimeoutError

    def client(self) -> MongoClient[Row]:
        return MongoClient(
            "127.0.0.1", self.port, directConnection=True, serverSelectionTimeoutMS=300
        )

    async def stop(self) -> None:
        assert self.process is not None
        self.process.kill()
        await ended(self.process, "a killed mongod")


@pytest.fixture
async def standalone(tmp_path: Path) -> AsyncIterator[_Mongod]:
    server = _Mongod(tmp_path)
    await server.start()
    yield server
    await server.stop()


async def test_a_standalone_server_is_refused(standalone: _Mongod) -> None:
    with pytest.raises(errors.Unsupported, match="not a replica set"):
        await MessageService.connect(f"mongodb://127.0.0.1:{standalone.port}/")
    client = build_client(Settings(min_pool_size=0), f"mongodb://127.0.0.1:{standalone.port}/")
    with pytest.raises(errors.Unsupported):
        await read_server_info(client)
    assert "message_service" not in await client.list_database_names()
    await client.close()


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[_Mongod]:
    """A replica set that asks for credentials: an admin, and a user who may only read."""
    key = tmp_path / "key"
    key.write_text(secrets.token_hex(32))
    key.chmod(0o600)
    server = _Mongod(tmp_path, "--replSet", "rs", "--keyFile", str(key))
    await server.start()
    await asyncio.to_thread(_initiate, server)
    yield server
    await server.stop()


def _initiate(server: _Mongod) -> None:
    member = {"_id": 0, "host": f"127.0.0.1:{server.port}"}
    with server.client() as client:
        client.admin.command("replSetInitiate", {"_id": "rs", "members": [member]})
        for _ in range(10_000):
            if client.admin.command("hello")["isWritablePrimary"]:
                break
        client.admin.command("createUser", "admin", pwd="admin", roles=["root"])
    with MongoClient[Row](
        f"mongodb://admin:admin@127.0.0.1:{server.port}/?directConnection=true"
    ) as client:
        client.admin.command(
            "createUser", "reader", pwd="reader", roles=["readAnyDatabase", "clusterMonitor"]
        )


async def test_missing_rights_are_said_and_nothing_is_written(guarded: _Mongod) -> None:
    address = f"127.0.0.1:{guarded.port}/?replicaSet=rs"
    with pytest.raises(errors.PermissionDenied):
        await MessageService.connect(f"mongodb://admin:wrong@{address}", min_pool_size=0)
    async with await MessageService.connect(
        f"mongodb://admin:admin@{address}", min_pool_size=0
    ) as admin:
        made = await admin.conversations.create(USER)
        async with await MessageService.connect(
            f"mongodb://reader:reader@{address}", min_pool_size=0
        ) as reader:
            assert len(await reader.messages.history(made.conversation_id)) == 0
            with pytest.raises(errors.PermissionDenied):
                await reader.messages.append(made.conversation_id, "user", "x")
            with pytest.raises(errors.PermissionDenied):
                await reader.conversations.create(USER)
        assert (await admin.messages.check(made.conversation_id)).count == 0
