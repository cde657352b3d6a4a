"""Commands in forks of one process that has imported the command line and read the dictionaries.

Each is a process of its own with its own arguments, environment, streams and exit code; what it
does not do is get that far, which takes two seconds. Run as a program this is that process:
it serves the socket it inherits until its standard input is closed.
"""

from __future__ import annotations

import asyncio
import json
import os
import selectors
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_NUMBER = struct.Struct("!i")
_AT_ONCE = 4


@dataclass(frozen=True)
class Ended:
    """A command that has ended; `out` and `err` are empty where they went elsewhere."""

    code: int
    out: str
    err: str


class Preloaded:
    """Runs commands; the process behind it is started at the first."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._directory: tempfile.TemporaryDirectory[str] | None = None

    def run(
        self,
        words: Sequence[str],
        environment: Mapping[str, str],
        *,
        text: str = "",
        out: Any = None,
        err: Any = None,
        seconds: float = 50,
    ) -> Ended:
        """Run a command to its end.

        Args:
            words: Its arguments.
            environment: Its environment.
            text: What stands in its standard input.
            out: A file that gets its standard output; None returns it.
            err: Likewise for standard error.
            seconds: It is killed after so long.
        """
        with (
            tempfile.TemporaryFile() as given,
            tempfile.TemporaryFile() as own_out,
            tempfile.TemporaryFile() as own_err,
        ):
            given.write(text.encode())
            given.seek(0)
            streams = (given, out or own_out, err or own_err)
            code = self._code(words, environment, streams, seconds)
            said: list[str] = []
            for stream in (own_out, own_err):
                stream.seek(0)
                said.append(stream.read().decode())
            return Ended(code, *said)

    def run_each(
        self, calls: Sequence[Sequence[str]], environment: Mapping[str, str]
    ) -> list[Ended]:
        """Run several commands, some at a time."""
        self._address()
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            return list(threads.map(lambda words: self.run(words, environment), calls))

    def stop(self) -> None:
        """End the process behind it."""
        if self._process is not None and self._directory is not None:
            self._process.communicate(timeout=10)
            self._directory.cleanup()
            self._process = self._directory = None

    def _code(
        self,
        words: Sequence[str],
        environment: Mapping[str, str],
        streams: Sequence[Any],
        seconds: float,
    ) -> int:
        request = json.dumps(
            {"words": list(words), "environment": dict(environment), "directory": os.getcwd()}
        ).encode()
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self._address())
            places = [stream if isinstance(stream, int) else stream.fileno() for stream in streams]
            socket.send_fds(connection, [_NUMBER.pack(len(request))], places)
            connection.sendall(request)
            connection.settimeout(seconds)
            [pid] = _NUMBER.unpack(_exactly(connection, _NUMBER.size))
            try:
                [code] = _NUMBER.unpack(_exactly(connection, _NUMBER.size))
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                raise AssertionError(f"{list(words)} did not end in {seconds} s") from None
            return code

    def _address(self) -> str:
        if self._directory is None:
            self._directory = tempfile.TemporaryDirectory()
            address = str(Path(self._directory.name, "socket"))
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(address)
                listener.listen(_AT_ONCE)
                self._process = subprocess.Popen(
                    [sys.executable, __file__, str(listener.fileno())],
                    stdin=subprocess.PIPE,
                    pass_fds=[listener.fileno()],
                )
        return str(Path(self._directory.name, "socket"))


def _exactly(connection: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        part = connection.recv(size - len(found))
        if not part:
            raise EOFError("the process that runs commands is gone")
        found += part
    return found


def _serve(listener: socket.socket) -> dict[str, Any] | None:
    """Fork for each request; return it in the fork, and None here when all is done."""
    running: dict[int, tuple[int, socket.socket]] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(0, selectors.EVENT_READ)
        selector.register(listener, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fd == 0:
                    return None
                if key.fileobj is not listener:
                    selector.unregister(key.fd)
                    pid, connection = running.pop(key.fd)
                    os.close(key.fd)
                    with connection:
                        _, status = os.waitpid(pid, 0)
                        connection.sendall(_NUMBER.pack(os.waitstatus_to_exitcode(status)))
                    continue
                connection, _ = listener.accept()
                length, streams, _, _ = socket.recv_fds(connection, _NUMBER.size, 3)
                if not length:  # whoever asked thought better of it
                    connection.close()
                    continue
                request = json.loads(_exactly(connection, *_NUMBER.unpack(length)))
                pid = os.fork()
                if pid == 0:
                    for number, stream in enumerate(streams):
                        os.dup2(stream, number)
                    return request
                for stream in streams:
                    os.close(stream)
                connection.sendall(_NUMBER.pack(pid))
                handle = os.pidfd_open(pid)
                running[handle] = (pid, connection)
                selector.register(handle, selectors.EVENT_READ)


def _become(request: Mapping[str, Any]) -> None:
    os.closerange(3, 1_024)
    os.chdir(request["directory"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = ["message-service", *request["words"]]


PRELOADED = Preloaded()

if __name__ == "__main__":
    from message_service.cli import main
    from message_service.enrichment.lemmas import dictionaries_read

    asyncio.run(dictionaries_read())
    asked = _serve(socket.socket(fileno=int(sys.argv[1])))
    if asked is not None:
        _become(asked)
        main()
