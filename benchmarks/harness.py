"""What every figure needs: a fresh database, percentiles, alternating rounds, machine facts."""

from __future__ import annotations

import asyncio
import platform
import secrets
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pymongo

from message_service import MessageService

TEXT = "I just took a nap. But it was one of those naps that doesn't help anything. " * 2
USER = "user_000000000001"


@dataclass(frozen=True)
class Figure:
    """One line of the result.

    `ratio` is ours to raw as `bar` compares it; `better` says which way is better.
    """

    name: str
    ours: str
    raw: str
    ratio: float
    bar: float
    better: str  # "higher" or "lower"

    @property
    def met(self) -> bool:
        return self.ratio >= self.bar if self.better == "higher" else self.ratio <= self.bar


@asynccontextmanager
async def fresh_service(uri: str) -> AsyncIterator[MessageService]:
    """Yield a service on a database of its own, dropped afterwards."""
    name = f"bench_{secrets.token_hex(4)}"
    async with await MessageService.connect(uri, database=name, min_pool_size=0) as service:
        try:
            yield service
        finally:
            await service.drain()
            await service.store.database.client.drop_database(name)


async def callers(
    count: int, each: int, call: Callable[[int, int], Awaitable[object]]
) -> tuple[float, list[float]]:
    """Run `count` callers, each making `each` calls in turn; return calls/s and latencies (ms)."""
    latencies: list[float] = []

    async def one(caller: int) -> None:
        for turn in range(each):
            started = time.perf_counter()
            await call(caller, turn)
            latencies.append((time.perf_counter() - started) * 1000)

    started = time.perf_counter()
    await asyncio.gather(*(one(caller) for caller in range(count)))
    return count * each / (time.perf_counter() - started), latencies


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def median(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def machine(server: str) -> dict[str, str]:
    """Return what the figures were measured on."""
    facts = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.split(":", 1)[1].strip() for line in facts if line.startswith("model name")]
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 2**20
    return {
        "cpu": f"{len(models)} x {models[0] if models else platform.machine()}",
        "memory": f"{memory:.0f} GiB",
        "python": platform.python_version(),
        "pymongo": pymongo.version,
        "mongod": f"{server}, one-node replica set on the same machine",
        "date": time.strftime("%Y-%m-%d"),
    }
