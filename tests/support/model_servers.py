"""A model's server that answers what a test says, byte for byte, over a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

HELD = object()
"""In an answer's pieces: say nothing more, and hold the connection."""

BROKEN = object()
"""In an answer's pieces: end the connection in the middle of a chunk."""


@dataclass(slots=True)
class Answer:
    """What the server answers to one request.

    Attributes:
        status: The status.
        pieces: The body: texts, or `HELD`, or `BROKEN`.
        kind: The content type.
        headers: Further headers.
    """

    status: int = 200
    pieces: Sequence[Any] = ()
    kind: str = "text/event-stream"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(slots=True)
class ModelServer:
    """The server.

    Attributes:
        url: Its address.
        answers: What it answers, one after the other; the last one again and again.
        requests: The bodies it was sent, as read from JSON.
        heads: The requests' first lines and headers.
    """

    url: str
    answers: list[Answer]
    requests: list[Any] = field(default_factory=list[Any])
    heads: list[str] = field(default_factory=list[str])


def openai_chunks(*deltas: Mapping[str, Any], finish: str | None = "stop") -> list[str]:
    """Return a whole answer in OpenAI's form."""
    chunks: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": dict(delta), "finish_reason": None}]} for delta in deltas
    ]
    if finish is not None:
        chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
        chunks.append(
            {
                "choices": [],
                "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
            }
        )
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m-1"}
    events = [f"data: {json.dumps({**base, **chunk})}\n\n" for chunk in chunks]
    return [*events, *(["data: [DONE]\n\n"] if finish is not None else [])]


def anthropic_events(*events: Mapping[str, Any]) -> list[str]:
    """Return events in Anthropic's form."""
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events]


def anthropic_answer(*blocks: Mapping[str, Any], stop: str = "end_turn") -> list[str]:
    """Return a whole answer in Anthropic's form; each block has `start` and `deltas`."""
    usage = {"input_tokens": 7, "output_tokens": 1}
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    events: list[Mapping[str, Any]] = [
        {"type": "message_start", "message": message},
        {"type": "ping"},
    ]
    for index, block in enumerate(blocks):
        events.append(
            {"type": "content_block_start", "index": index, "content_block": block["start"]}
        )
        events += [
            {"type": "content_block_delta", "index": index, "delta": delta}
            for delta in block.get("deltas", ())
        ]
        events.append({"type": "content_block_stop", "index": index})
    events.append(
        {
            "type": "message_delta",
            "delta": {"stop_reason": stop, "stop_sequence": None},
            "usage": {"output_tokens": 3},
        }
    )
    return anthropic_events(*events, {"type": "message_stop"})


@asynccontextmanager
async def model_server(*answers: Answer) -> AsyncIterator[ModelServer]:
    """Run a server that gives these answers."""
    serving = ModelServer("", list(answers))
    writers: set[asyncio.StreamWriter] = set()
    released = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        try:
            while await _answer(serving, reader, writer, released.wait):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writers.discard(writer)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    serving.url = f"http://127.0.0.1:{port}"
    try:
        yield serving
    finally:
        released.set()
        server.close()
        for writer in [*writers]:
            writer.close()
        await server.wait_closed()


async def _answer(
    serving: ModelServer,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    held: Callable[[], Any],
) -> bool:
    """Answer one request; False when the connection has ended."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return False
    lengths = [
        int(line.partition(":")[2])
        for line in head.splitlines()
        if line.lower().startswith("content-length:")
    ]
    body = await reader.readexactly(lengths[0]) if lengths else b""
    serving.heads.append(head)
    serving.requests.append(json.loads(body) if body else None)
    answer = serving.answers.pop(0) if len(serving.answers) > 1 else serving.answers[0]
    headers = {"content-type": answer.kind, "transfer-encoding": "chunked", **answer.headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"HTTP/1.1 {answer.status} X\r\n{lines}\r\n".encode())
    for piece in answer.pieces:
        if piece is HELD:
            await writer.drain()
            await held()
            return False
        if piece is BROKEN:
            writer.write(b"ff\r\nhalf of it")
            await writer.drain()
            return False
        data = piece.encode()
        writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        await writer.drain()
    writer.write(b"0\r\n\r\n")
    await writer.drain()
    return True
