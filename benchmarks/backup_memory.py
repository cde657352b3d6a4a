"""Peak memory of the processes that back up and restore 2 GB of documents.

`python -m benchmarks.backup_memory --size MB` tries it with less.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.backup_data import MEGABYTE, command, filled
from benchmarks.harness import Figure
from message_service.local_server.manager import LocalServerManager

MEMORY_BAR_MB = 300.0
MEGABYTES = 2_000

_PEAK = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""
"""Run by a small process, because a child's peak begins with the size of whoever started it."""


async def measure(uri: str, *, quick: bool) -> list[Figure]:
    return await measure_size(uri, 60 if quick else MEGABYTES)


async def measure_size(uri: str, megabytes: int) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "backups"
        async with filled(uri, target, megabytes) as (service, _):
            database = service.store.database
            there = ("--target", str(target))
            backup = command(uri, database, "backup", "run", "--full", *there)
            restore = command(uri, database, "restore", *there)
            try:
                peaks = [await asyncio.to_thread(_peak, each) for each in (backup, restore)]
            finally:
                await database.client.drop_database(service.backups.restore_name)
    return [
        Figure(
            f"{name} of {megabytes:,} MB: peak memory of the process",
            f"{peak:,.0f} MB",
            f"bar {MEMORY_BAR_MB:.0f} MB",
            peak / MEMORY_BAR_MB,
            1.0,
            "lower",
        )
        for name, peak in zip(("full backup", "restore"), peaks, strict=True)
    ]


def _peak(arguments: list[str]) -> float:
    done = subprocess.run(
        [sys.executable, "-c", _PEAK, *arguments], stdout=subprocess.PIPE, check=True
    )
    return int(done.stdout) * 1024 / MEGABYTE


async def _try(megabytes: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        manager = LocalServerManager(Path(directory) / "server", None)
        try:
            for figure in await measure_size((await manager.start()).uri, megabytes):
                print(f"{figure.name}: {figure.ours}")
        finally:
            await manager.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.backup_memory")
    parser.add_argument("--size", type=int, default=MEGABYTES, help="MB of documents")
    asyncio.run(_try(parser.parse_args().size))
