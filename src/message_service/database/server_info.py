"""Facts about the server: version, topology, and its limits for us."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pymongo import AsyncMongoClient

from message_service import errors
from message_service.database.translate import translated

Topology = Literal["standalone", "replica set", "sharded cluster"]

OLDEST_VERSION = (6, 0)
"""The oldest server we run on; 7.0 and 8.0 are the supported ones."""


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """Facts read from the server's greeting.

    Attributes:
        version: For example (6, 0, 5).
        topology: Standalone, replica set or sharded cluster.
        compression: Compressors the server agreed to, in its order.
        max_wire_version: The protocol level.
    """

    version: tuple[int, ...]
    topology: Topology
    compression: tuple[str, ...]
    max_wire_version: int

    @property
    def version_text(self) -> str:
        """The version as people write it."""
        return ".".join(str(part) for part in self.version)

    @property
    def limits(self) -> tuple[str, ...]:
        """The features this server lacks, a sentence each."""
        said: list[str] = []
        if self.version < (7, 0):
            said.append(
                f"MongoDB {self.version_text} left support in July 2025: it runs, but plan an "
                "upgrade to 7.0 or 8.0."
            )
        if self.topology != "sharded cluster":
            said.append(f"This is a {self.topology}: shard keys are declared but not in force.")
        return tuple(said)


async def read_server_info(
    client: AsyncMongoClient[Any], *, standalone: bool = False
) -> ServerInfo:
    """Ask the server what it is.

    Args:
        client: The client.
        standalone: Whether a server outside of a replica set will do.

    Raises:
        Unavailable: No server answers.
        Unsupported: It is older than 6.0, or not a replica set or sharded cluster.
        PermissionDenied: The credentials are refused.
    """
    with translated():
        hello = await client.admin.command("hello", compression=["zstd", "snappy", "zlib"])
        build = await client.admin.command("buildInfo")
    topology: Topology = "standalone"
    if hello.get("msg") == "isdbgrid":
        topology = "sharded cluster"
    elif "setName" in hello:
        topology = "replica set"
    info = ServerInfo(
        version=tuple(build["versionArray"][:3]),
        topology=topology,
        compression=tuple(hello.get("compression", ())),
        max_wire_version=int(hello["maxWireVersion"]),
    )
    check_server(info, standalone=standalone)
    return info


def check_server(info: ServerInfo, *, standalone: bool = False) -> None:
    """Refuse a server we cannot run on.

    Raises:
        Unsupported: It is older than 6.0, or not a replica set or sharded cluster.
    """
    if info.version < OLDEST_VERSION:
        raise errors.Unsupported(
            f"MongoDB {info.version_text} is too old: version 6.0 or later is needed",
            version=info.version_text,
        )
    if info.topology == "standalone" and not standalone:
        raise errors.Unsupported(
            "the server is not a replica set: start mongod with --replSet and run "
            "rs.initiate() once (one node is enough)"
        )
