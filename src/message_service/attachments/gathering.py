"""Collects a file before it is stored: only then are its size and digest known."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from message_service import errors

Data = bytes | bytearray | memoryview | Path | IO[bytes] | AsyncIterable[bytes]
"""Where the bytes of a file come from."""

_IN_MEMORY = 8 * 1024**2
_BLOCK = 1024**2


@dataclass(frozen=True, slots=True)
class Gathered:
    """A complete file, to be read from its beginning.

    Attributes:
        file: Its bytes; on the disk when they are many.
        size: How many there are.
        digest: Their digest.
    """

    file: IO[bytes]
    size: int
    digest: str


@asynccontextmanager
async def gathered(data: Data, most: int) -> AsyncGenerator[Gathered]:
    """Yield the file that a caller gives.

    Raises:
        InvalidInput: It is no source of bytes, cannot be read, or has more bytes than `most`.
    """
    digest = hashlib.sha256()
    size = 0
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY, prefix="attachment-") as file:
        async for block in _blocks(data):
            size += len(block)
            if size > most:
                raise errors.InvalidInput(
                    "data",
                    f"has more than {most:,} bytes",
                    "Store a smaller file, or raise the setting attachment_max_bytes",
                )
            digest.update(block)
            file.write(block)
        file.seek(0)
        yield Gathered(cast("IO[bytes]", file), size, f"sha256:{digest.hexdigest()}")


async def _blocks(data: Data) -> AsyncIterator[bytes]:
    if isinstance(data, (bytes, bytearray, memoryview)):
        whole = memoryview(data.tobytes() if isinstance(data, memoryview) else data)
        for start in range(0, len(whole), _BLOCK):
            yield bytes(whole[start : start + _BLOCK])
    elif isinstance(data, Path):
        try:
            with await asyncio.to_thread(data.open, "rb") as file:
                async for block in _read(file):
                    yield block
        except (OSError, ValueError) as error:
            said = error.strerror if isinstance(error, OSError) else str(error)
            raise errors.InvalidInput(
                "data", f"cannot be read ({said})", "Give the path of a file"
            ) from None
    elif isinstance(data, AsyncIterable):
        async for block in data:
            yield _bytes(block)
    elif callable(getattr(data, "read", None)):
        async for block in _read(data):
            yield block
    else:
        raise errors.InvalidInput(
            "data",
            "is no file",
            "Give bytes, a Path, a file open for reading bytes, or an async iterable of bytes",
        )


async def _read(file: IO[bytes]) -> AsyncIterator[bytes]:
    while block := _bytes(await asyncio.to_thread(file.read, _BLOCK)):
        yield block


def _bytes(block: object) -> bytes:
    if not isinstance(block, bytes):
        raise errors.InvalidInput(
            "data", "yields something else than bytes", "Yield bytes; open files with 'rb'"
        )
    return block
