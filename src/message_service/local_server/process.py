"""The mongod process on this machine: find it, launch it, distinguish it from other processes.

The running process is determined from mongod's own lock file and from the kernel, never from our
state file, so a stale state file cannot point at an unrelated process.
"""

from __future__ import annotations

import itertools
import os
import socket
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from message_service.clock import to_milliseconds
from message_service.local_server.binary import Finished, run
from message_service.local_server.directory import Layout

REPLICA_SET = "message-service"
LOOPBACK = "127.0.0.1"
PORTS = range(27500, 28000)
"""Ports tried by default: outside the range that the kernel gives to clients, so that a server's
port is still free after a restart."""

_OPLOG_MEGABYTES = 990  # the least mongod takes
_LARGEST_CACHE_GIGABYTES = 1.0
_SMALLEST_CACHE_GIGABYTES = 0.25


@dataclass(frozen=True, slots=True)
class MongodProcess:
    """A live mongod that serves our data directory.

    Attributes:
        pid: Process id.
        port: Port it listens on.
        binary: The executed file.
        started_at: When the process locked the data directory.
    """

    pid: int
    port: int
    binary: str
    started_at: datetime


def find_process(layout: Layout) -> MongodProcess | None:
    """Return the mongod that serves this directory, or None.

    A process id alone is not enough (the kernel reuses it), so the command line of the process must
    name our data directory; a dead process that was not yet reaped has no command line.
    """
    lock = _lock(layout)
    if lock is None:
        return None
    pid, started = lock
    words = _command_line(pid)
    port = _option(words, "--port") or ""
    if _option(words, "--dbpath") != str(layout.data) or not port.isdecimal():
        return None
    moment = to_milliseconds(datetime.fromtimestamp(started, UTC))
    return MongodProcess(pid, int(port), words[0], moment)


def is_alive(process: MongodProcess, layout: Layout) -> bool:
    """Tell whether this process still runs; mongod empties its lock file before it ends."""
    return _option(_command_line(process.pid), "--dbpath") == str(layout.data)


def is_ending(layout: Layout) -> bool:
    """Tell whether a killed mongod of this directory still holds its port and its files.

    The kernel takes a process's command line from it first, and closes its sockets and files when
    the last of its threads has ended, which takes a while on a busy machine.
    """
    lock = _lock(layout)
    if lock is None or any(_command_line(lock[0])):
        return False
    return any(_state(thread) not in "ZX" for thread in Path(f"/proc/{lock[0]}/task").glob("*"))


async def launch(binary: Path, layout: Layout, port: int, seconds: float) -> Finished:
    """Start mongod as a daemon; exit code 0 means that it listens.

    Raises:
        LocalServerError: The binary cannot be executed.
        TimeoutError: mongod is alive but not listening yet (recovering data takes time).
    """
    return await run(
        [
            str(binary),
            *("--dbpath", str(layout.data)),
            *("--port", str(port)),
            *("--bind_ip", LOOPBACK),
            *("--replSet", REPLICA_SET),
            *("--oplogSize", str(_OPLOG_MEGABYTES)),
            *("--wiredTigerCacheSizeGB", f"{_cache_gigabytes():.2f}"),
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
            *("--logpath", str(layout.log)),
            "--logappend",
            *("--logRotate", "reopen"),
            "--quiet",
            "--nounixsocket",
            "--fork",
        ],
        seconds,
    )


def usable_ports(layout: Layout, wanted: range | None) -> Iterator[int]:
    """Yield ports that are currently free: the last used port first, then the others.

    Without `wanted`, each directory begins the search at a different port, so that several local
    servers do not compete for the same port.
    """
    ports = PORTS if wanted is None else wanted
    first = zlib.crc32(os.fsencode(layout.directory)) % len(ports) if wanted is None else 0
    order = [*ports[first:], *ports[:first]]
    last = layout.last_port()
    if last is not None and (wanted is None or last in wanted):
        order = [last, *(port for port in order if port != last)]
    return (port for port in order if _is_free(port))


def _lock(layout: Layout) -> tuple[int, float] | None:
    """Return the process id in mongod's lock file and the time when it was written."""
    lock = layout.data / "mongod.lock"
    try:
        return int(lock.read_text()), lock.stat().st_mtime
    except (OSError, ValueError):
        return None


def _state(thread: Path) -> str:
    """Return the letter of a thread's state; X, dead, when it is gone (see proc(5))."""
    try:
        return (thread / "stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return "X"


def _command_line(pid: int) -> list[str]:
    try:
        return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes()).split("\0")
    except OSError:
        return []  # the process has ended


def _option(words: list[str], name: str) -> str | None:
    for word, value in itertools.pairwise(words):
        if word == name:
            return value
    return None


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As in mongod: old connections of a server that just stopped do not block its port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _cache_gigabytes() -> float:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1024**3
    return max(_SMALLEST_CACHE_GIGABYTES, min(_LARGEST_CACHE_GIGABYTES, memory / 4))
