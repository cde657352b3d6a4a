"""What the figures of backups are measured with: real messages, many copies of them, commands."""

from __future__ import annotations

import itertools
import sys
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bson import ObjectId

from benchmarks.harness import fresh_service
from benchmarks.sources import SHARED, available
from message_service import MessageService
from message_service.database.client import Database
from message_service.interchange.known_formats import FORMATS
from message_service.interchange.reading.records import ImportedConversation
from message_service.interchange.report import ImportReport

Document = dict[str, Any]

MEGABYTE = 1_000_000
BATCH = 1_000
_CONVERSATIONS = 3_000
_CONVERSATIONS_PER_MEGABYTE = 10
_COPY_DIGITS = 6


@asynccontextmanager
async def filled(
    uri: str, target: Path, megabytes: int
) -> AsyncGenerator[tuple[MessageService, list[Document]]]:
    """Yield a service with so many megabytes of messages, and those that were imported.

    The others are copies of these under new ids. Copies of a message lie some 60 MB apart, which
    is more than zstd looks back, so that they do not make a backup smaller than real ones.

    Args:
        uri: The server.
        target: Where the backups go.
        megabytes: How many.
    """
    async with fresh_service(uri) as first:
        database = first.store.database
        await _import(first, min(_CONVERSATIONS, megabytes * _CONVERSATIONS_PER_MEGABYTE))
        messages = first.store.collection("messages")
        originals = await messages.find({}).to_list()
        stored = (await database.command("collStats", "messages"))["size"]
        missing = round(len(originals) * (megabytes * MEGABYTE / stored - 1))
        for start in range(0, missing, BATCH):
            numbers = range(start, min(start + BATCH, missing))
            await messages.insert_many(copies(originals, numbers), ordered=False)
        async with await MessageService.connect(
            uri, database=database.name, backup_target=str(target), min_pool_size=0
        ) as service:
            yield service, originals


async def _import(service: MessageService, conversations: int) -> None:
    trees = SHARED / "data" / "oasst-trees"
    sources: list[tuple[str, list[Path]]] = [("chitchat", [])]
    if available(SHARED, "oasst-trees", "messages of Open Assistant"):
        sources.append(("openassistant", sorted(trees.glob("*_tree.*.jsonl"))))
    for name, paths in sources:
        known = next(each for each in FORMATS if each.name == name)
        found: Iterable[ImportedConversation] = itertools.islice(known.read(paths), conversations)
        report = ImportReport()
        async for _ in service.tenant("default").transfer.importer.run(name, found, report):
            pass
        if not report.complete:
            raise RuntimeError(f"the import is not complete: {report}")


def copies(originals: Sequence[Document], numbers: range) -> list[Document]:
    """Return copies of messages, as their numbers say: one of each, then a second one of each."""
    return [
        _copy(originals[number % len(originals)], number // len(originals)) for number in numbers
    ]


def _copy(original: Document, number: int) -> Document:
    conversation = _renamed(original["conversation_id"], number)
    return {
        **original,
        "_id": ObjectId(),
        "conversation_id": conversation,
        "partition_key": conversation,
        "message_id": _renamed(original["message_id"], number),
    }


def _renamed(identity: str, number: int) -> str:
    return f"{identity[:-_COPY_DIGITS]}{number:0{_COPY_DIGITS}}"


def command(uri: str, database: Database, *arguments: str) -> list[str]:
    """Return the command line of a command for a database."""
    program = Path(sys.executable).with_name("message-service")
    return [str(program), "--uri", uri, "--database", database.name, *arguments]
