"""Import of real data against raw `insert_many` of the same finished documents."""

from __future__ import annotations

import itertools
import time

import psutil

from benchmarks.harness import Figure, fresh_service
from message_service.cli.running import collect_rarely
from message_service.interchange.importer import Importer
from message_service.interchange.known_formats import FORMATS
from message_service.interchange.reading.records import ImportedConversation
from message_service.interchange.report import ImportReport

BATCH = 1_000
MEMORY_BAR_MB = 250.0


async def measure(uri: str, *, quick: bool) -> list[Figure]:
    chitchat = next(known for known in FORMATS if known.name == "chitchat")
    collect_rarely()  # as the command does; it holds for the raw driver too
    process = psutil.Process()
    before = process.memory_info().rss
    peak = before

    def read() -> itertools.islice[ImportedConversation]:
        return itertools.islice(chitchat.read([]), 800 if quick else None)

    async with fresh_service(uri) as service:
        report = ImportReport()
        tenant = service.tenant("default")
        importer: Importer = tenant.transfer.importer
        started = time.perf_counter()
        async for _ in importer.run("chitchat", read(), report):
            peak = max(peak, process.memory_info().rss)
        ours = report.stored / (time.perf_counter() - started)
        if not report.complete:
            raise RuntimeError(f"the import is not complete: {report}")
        # The same documents, as fast as the driver puts them into an equal, empty database.
        documents = await service.store.collection("messages").find({}, {"_id": 0}).to_list()
    async with fresh_service(uri) as service:
        messages = service.store.collection("messages")
        started = time.perf_counter()
        for start in range(0, len(documents), BATCH):
            await messages.insert_many(documents[start : start + BATCH], ordered=False)
        raw = len(documents) / (time.perf_counter() - started)
    grown = (peak - before) / 2**20
    return [
        Figure(
            f"import of {report.stored:,} real messages (reading, checking, storing)",
            f"{ours:,.0f} /s",
            f"{raw:,.0f} /s (insert_many)",
            ours / raw,
            0.7,
            "higher",
        ),
        Figure(
            "import: growth of the process's memory",
            f"{grown:.0f} MB",
            f"bar {MEMORY_BAR_MB:.0f} MB",
            grown / MEMORY_BAR_MB,
            1.0,
            "lower",
        ),
    ]
