"""The primary of a three-node replica set is killed with SIGKILL under its writers."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError

from message_service import MessageService
from message_service.local_server.binary import find_mongod
from support.fleet import Writer, check_everything
from support.waiting import ended, until

pytestmark = pytest.mark.faults

USER = "user_000000000001"
WRITERS = 4
COUNT = 120


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


class ReplicaSet:
    """Three mongods of the test's own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ports = _free_ports(3)
        self.members: dict[int, asyncio.subprocess.Process] = {}

    @property
    def uri(self) -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        return f"mongodb://{hosts}/?replicaSet=three"

    async def start(self) -> None:
        mongod = await find_mongod(None)
        for port in self.ports:
            data = self.directory / str(port)
            data.mkdir(parents=True)
            self.members[port] = await asyncio.create_subprocess_exec(
                str(mongod.path),
                *("--dbpath", str(data), "--port", str(port), "--bind_ip", "127.0.0.1"),
                *("--replSet", "three", "--nounixsocket", "--logpath", str(data / "log")),
                *("--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "990"),
            )
        members = [{"_id": n, "host": f"127.0.0.1:{port}"} for n, port in enumerate(self.ports)]
        config = {
            "_id": "three",
            "members": members,
            "settings": {"electionTimeoutMillis": 2_000},
        }
        client = self._direct(self.ports[0])

        async def initiated() -> bool:
            try:
                await client.admin.command("replSetInitiate", config)
            except PyMongoError:
                return False  # not listening yet
            return True

        await until("the first member to listen", initiated)
        await client.close()
        await self.primary()

    async def primary(self) -> int:
        """Wait for a primary and return its port."""
        return await until("a primary", self._primary)

    async def _primary(self) -> int | None:
        for port, process in self.members.items():
            if process.returncode is not None:
                continue
            client = self._direct(port)
            try:
                if (await client.admin.command("hello"))["isWritablePrimary"]:
                    return port
            except PyMongoError:
                continue
            finally:
                await client.close()
        return None

    async def kill(self, port: int) -> None:
        self.members[port].kill()
        await ended(self.members[port], "a killed mongod")

    async def stop(self) -> None:
        for port, process in self.members.items():
            if process.returncode is None:
                await self.kill(port)

    @staticmethod
    def _direct(port: int) -> AsyncMongoClient[dict[str, Any]]:
        return AsyncMongoClient(
            "127.0.0.1", port, directConnection=True, serverSelectionTimeoutMS=500
        )


@pytest.fixture
async def three(tmp_path: Path) -> AsyncIterator[ReplicaSet]:
    replica_set = ReplicaSet(tmp_path)
    try:
        await replica_set.start()
        yield replica_set
    finally:
        await replica_set.stop()


async def test_nothing_acknowledged_is_lost_in_a_failover(three: ReplicaSet) -> None:
    async with await MessageService.connect(
        three.uri, min_pool_size=0, server_selection_timeout=30
    ) as service:
        ids = [(await service.conversations.create(USER)).conversation_id for _ in range(2)]
        writers = [
            await Writer.start(three.uri, "message_service", COUNT, ids) for _ in range(WRITERS)
        ]
        await asyncio.gather(*(writer.reaches(COUNT // 3) for writer in writers))
        victim = await three.primary()
        await three.kill(victim)
        codes = await asyncio.gather(*(writer.end() for writer in writers))
        assert await three.primary() != victim
        assert codes == [0] * WRITERS
        acknowledged = [record for writer in writers for record in writer.acknowledged]
        assert len(acknowledged) == WRITERS * COUNT
        await check_everything(service, ids, acknowledged)
