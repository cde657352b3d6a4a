"""A replica set of three nodes, to be killed one by one."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError

from message_service.local_server.binary import find_mongod
from support.waiting import ended, until


def free_ports(count: int) -> list[int]:
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
        self.ports = free_ports(3)
        self.members: dict[int, asyncio.subprocess.Process] = {}

    @property
    def uri(self) -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        return f"mongodb://{hosts}/?replicaSet=three"

    async def start(self) -> None:
        for port in self.ports:
            await self._launch(port)
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

    async def fail_over(self) -> None:
        """Kill the primary, and bring it back once another has taken its place."""
        port = await self.primary()
        await self.kill(port)
        await self.primary()
        await self._launch(port)

    async def kill(self, port: int) -> None:
        self.members[port].kill()
        await ended(self.members[port], "a killed mongod")

    async def stop(self) -> None:
        for port, process in self.members.items():
            if process.returncode is None:
                await self.kill(port)

    async def _launch(self, port: int) -> None:
        mongod = await find_mongod(None)
        data = self.directory / str(port)
        data.mkdir(parents=True, exist_ok=True)
        self.members[port] = await asyncio.create_subprocess_exec(
            str(mongod.path),
            *("--dbpath", str(data), "--port", str(port), "--bind_ip", "127.0.0.1"),
            *("--replSet", "three", "--nounixsocket", "--logpath", str(data / "log")),
            *("--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "990"),
        )

    @staticmethod
    def _direct(port: int) -> AsyncMongoClient[dict[str, Any]]:
        return AsyncMongoClient(
            "127.0.0.1", port, directConnection=True, serverSelectionTimeoutMS=500
        )
