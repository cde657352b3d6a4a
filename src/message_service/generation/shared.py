"""What a process shares for its replies."""

from __future__ import annotations

from dataclasses import dataclass

from message_service.database.feed import Feed
from message_service.documents.reply_entry import EntryKind
from message_service.generation.calling import Calling
from message_service.generation.endpoints import Endpoints
from message_service.generation.entry_writer import EntryWriter
from message_service.generation.following import key_of
from message_service.generation.known_providers import endpoints_of
from message_service.messages.runtime import Runtime


@dataclass(frozen=True, slots=True)
class GenerationRuntime:
    """What a process shares for its replies.

    Attributes:
        runtime: What it shares of everything.
        endpoints: The providers.
        calling: Asks models.
        writer: Writes the logs of replies.
        entries: Tells followers of new entries.
        stops: Tells workers of clients that stop a reply.
    """

    runtime: Runtime
    endpoints: Endpoints
    calling: Calling
    writer: EntryWriter
    entries: Feed
    stops: Feed

    async def close(self) -> None:
        """End all of it."""
        await self.writer.close()
        await self.entries.close()
        await self.stops.close()
        await self.endpoints.close()


def generation_runtime(runtime: Runtime) -> GenerationRuntime:
    """Put the parts together; nothing is connected before it is needed."""
    database = runtime.store.database
    endpoints = endpoints_of(runtime.settings, database)
    return GenerationRuntime(
        runtime,
        endpoints,
        Calling(endpoints, runtime.random),
        EntryWriter(runtime.store, runtime.settings.write_deadline),
        Feed(database, "reply_entries", {}, key_of, "reply_entries.follow"),
        Feed(
            database,
            "reply_entries",
            {"fullDocument.kind": EntryKind.STOP.value},
            key_of,
            "reply_entries.stops",
        ),
    )
