"""Turns a standalone mongod into a writable replica set of one node, and asks it to stop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from pymongo import AsyncMongoClient
from pymongo import errors as driver

from message_service import errors
from message_service.database.client import disconnect
from message_service.database.translate import translated
from message_service.local_server.process import LOOPBACK, REPLICA_SET

# Server error codes: https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml
_ALREADY_INITIALIZED = 23
_NOT_YET_INITIALIZED = 94
_TRANSIENT = {91, 109, 125, 189, 10107, 11600, 11602, 13435, 13436}
_POLL = 0.03
_ANSWER_TIMEOUT = 2000

Client = AsyncMongoClient[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Greeting:
    """The server's answer about itself.

    Attributes:
        version: For example 6.0.5.
        writable: Whether the server accepts writes under the address it was asked at.
    """

    version: str
    writable: bool


async def greet(port: int) -> Greeting | None:
    """Ask the server at `port` for its version and state; None when it does not answer in time."""
    try:
        async with _connected(port) as client:
            build = await client.admin.command("buildInfo")
            hello = await client.admin.command("hello")
            return Greeting(str(build["version"]), _is_writable(hello, _address(port)))
    except driver.PyMongoError:
        return None


async def make_writable(port: int, alive: Callable[[], bool], deadline: float) -> str:
    """Make the server accept writes, and return its version.

    A new server is initiated. A server whose configuration names another port (because that port
    is taken now) is reconfigured: a replica set member works only under its configured address.

    Args:
        port: The port the server listens on.
        alive: Tells whether the process still runs.
        deadline: Until when to wait, on the monotonic clock.

    Raises:
        LocalServerError: The server refuses, for example because its data belongs to another
            replica set.
        ConnectionError: The server process died.
        TimeoutError: The server is alive but not writable in time.
    """
    address = _address(port)
    async with _connected(port) as client:
        while True:
            try:
                if _is_writable(await client.admin.command("hello"), address):
                    return str((await client.admin.command("buildInfo"))["version"])
                await _configure(client, address)
            except driver.OperationFailure as error:
                if error.code not in _TRANSIENT:
                    text = (error.details or {}).get("errmsg", error)
                    raise errors.LocalServerError(
                        f"the local server refuses to become a replica set: {text}"
                    ) from error
            except driver.ConnectionFailure as error:
                if not alive():
                    raise ConnectionError("mongod died") from error
            if time.monotonic() > deadline:
                raise TimeoutError
            await asyncio.sleep(_POLL)


async def reopen_log(port: int) -> None:
    """Tell the server that its log was moved.

    Raises:
        Unavailable: The server does not answer.
    """
    with translated():
        async with _connected(port) as client:
            await client.admin.command({"logRotate": "server"})


async def ask_to_stop(port: int) -> bool:
    """Send `shutdown`; return whether the server accepted the command."""
    try:
        async with _connected(port) as client:
            await client.admin.command({"shutdown": 1, "force": True, "timeoutSecs": 5})
    except driver.ServerSelectionTimeoutError:
        return False
    except driver.ConnectionFailure:
        return True  # a server that shuts down closes the connection instead of answering
    except driver.OperationFailure:
        return False
    return True


@asynccontextmanager
async def _connected(port: int) -> AsyncGenerator[Client]:
    client: Client = AsyncMongoClient(
        LOOPBACK,
        port,
        directConnection=True,
        serverSelectionTimeoutMS=_ANSWER_TIMEOUT,
        connectTimeoutMS=_ANSWER_TIMEOUT,
        socketTimeoutMS=10 * _ANSWER_TIMEOUT,
        retryReads=False,  # commands count as reads, and `shutdown` must not be sent twice
        appname="message-service local server",
    )
    try:
        yield client
    finally:
        await disconnect(client)


async def _configure(client: Client, address: str) -> None:
    try:
        answer = await client.admin.command("replSetGetConfig")
    except driver.OperationFailure as error:
        if error.code != _NOT_YET_INITIALIZED:
            raise
        await _initiate(client, address)
        return
    config: dict[str, Any] = answer["config"]
    members: list[dict[str, Any]] = config["members"]
    if [member["host"] for member in members] != [address]:
        config["members"] = [{**members[0], "host": address}]
        config["version"] += 1
        # Forced, because no member of the old configuration can be reached to confirm it.
        await client.admin.command({"replSetReconfig": config, "force": True})


async def _initiate(client: Client, address: str) -> None:
    config = {"_id": REPLICA_SET, "members": [{"_id": 0, "host": address}]}
    try:
        await client.admin.command({"replSetInitiate": config})
    except driver.OperationFailure as error:
        if error.code != _ALREADY_INITIALIZED:
            raise


def _address(port: int) -> str:
    return f"{LOOPBACK}:{port}"


def _is_writable(hello: dict[str, Any], address: str) -> bool:
    return hello.get("isWritablePrimary") is True and hello.get("me") == address
