"""Storing and reading files of messages against the driver's GridFS, which computes no digest."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable
from typing import Any

import gridfs

from benchmarks.harness import Figure, fresh_service, median

SIZE = 8 * 1024**2


async def measure(uri: str, *, quick: bool) -> list[Figure]:
    rounds = 5 if quick else 20
    async with fresh_service(uri) as service:
        bucket = gridfs.AsyncGridFSBucket(service.store.database, "plain")
        ours: list[float] = []
        raw: list[float] = []
        our_reads: list[float] = []
        raw_reads: list[float] = []
        for number in range(rounds):
            data = os.urandom(SIZE)
            part = await _timed(ours, lambda data=data: service.attachments.put(data))
            name = f"file {number}"
            own = await _timed(
                raw, lambda name=name, data=data: bucket.upload_from_stream(name, data)
            )
            if await _timed(our_reads, lambda part=part: service.attachments.read(part)) != data:
                raise RuntimeError("a file came back changed")

            async def read(own: object = own) -> bytes:
                return await (await bucket.open_download_stream(own)).read()

            await _timed(raw_reads, read)
    return [
        _figure("file of 8 MiB: store", ours, raw),
        _figure("file of 8 MiB: read, digest checked", our_reads, raw_reads),
    ]


async def _timed(times: list[float], call: Callable[[], Awaitable[Any]]) -> Any:
    started = time.perf_counter()
    result = await call()
    times.append(time.perf_counter() - started)
    return result


def _figure(name: str, ours: list[float], raw: list[float]) -> Figure:
    rate = SIZE / 2**20
    return Figure(
        name,
        f"{rate / median(ours):,.0f} MiB/s",
        f"{rate / median(raw):,.0f} MiB/s (GridFS)",
        median(raw) / median(ours),
        0.7,
        "higher",
    )
