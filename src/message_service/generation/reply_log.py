"""The log of one reply, as the worker that makes the reply writes it."""

from __future__ import annotations

import asyncio
from typing import Any

from message_service import errors
from message_service.catalogue.queries.reply_entries import ENTRIES_AFTER
from message_service.clock import Clock
from message_service.database.scope import Scope
from message_service.documents.reply_entry import EntryKind
from message_service.documents.row import Row
from message_service.generation.entry_writer import EntryWriter

PIECES: tuple[EntryKind, ...] = (EntryKind.TEXT, EntryKind.REASONING, EntryKind.REFUSAL)
_MOST_PIECE = 100_000
_LOOKS = 100
_PAUSE = 0.02


class Stopped(Exception):
    """A client wants the reply to end where the log ends."""


class ReplyLog:
    """The log of a reply; every entry takes the next number, or finds it taken.

    Args:
        scope: The tenant's scope.
        writer: Writes the entries of all replies.
        clock: The present moment.
        conversation_id: The conversation.
        reply_id: The reply: its job.
        claim: Names this worker's claim of the job.

    Attributes:
        said: What is said since the last `begin`, by kind of piece.
        stopped: Whether a client wants the reply to end.
        begun: Whether a worker has begun.
    """

    def __init__(
        self,
        scope: Scope,
        writer: EntryWriter,
        clock: Clock,
        conversation_id: str,
        reply_id: str,
        claim: str,
    ) -> None:
        self._scope = scope
        self._writer = writer
        self._clock = clock
        self._key: dict[str, Any] = {"conversation_id": conversation_id, "reply_id": reply_id}
        self._claim = claim
        self._next = 0
        self.said = dict.fromkeys(PIECES, "")
        self.stopped = False
        self.begun = False

    async def read(self) -> None:
        """Take in what the log holds, written by whomever.

        Only what a majority has is read: what a failover may still remove must not be built on.
        """
        for row in await self._after():
            self._take(row)

    async def catch_up(self) -> bool:
        """Take in what stands under the next number; False when nothing does after all."""
        rows = await self._taken()
        for row in rows:
            self._take(row)
        return bool(rows)

    async def begin(self, provider: str, model: str) -> None:
        """Begin; what was said before is void.

        Raises:
            Stopped: A client wants the reply to end.
            LeaseLost: Another worker writes this log.
        """
        await self._write(EntryKind.BEGIN, provider=provider, model=model)

    async def add(self, kind: EntryKind, text: str) -> None:
        """Say a piece.

        Raises:
            Stopped: A client wants the reply to end; this piece is not part of it.
            LeaseLost: Another worker writes this log.
        """
        for start in range(0, len(text), _MOST_PIECE):
            await self._write(kind, text=text[start : start + _MOST_PIECE])

    def entry(self, kind: EntryKind, **fields: Any) -> Row:
        """Return the next entry, to be written in a transaction."""
        return {
            "tenant_id": self._scope.tenant_id,
            **self._key,
            "number": self._next,
            "writer": self._claim,
            "kind": kind.value,
            "created_at": self._clock.now(),
            **fields,
        }

    async def _write(self, kind: EntryKind, **fields: Any) -> None:
        entry = self.entry(kind, **fields)
        while not await self._writer.write(dict(entry)):
            rows = await self._taken()
            if not rows:
                continue  # what was there is gone again, with a primary
            ours = _same(rows[0], entry)  # an answer was lost
            for row in rows:
                self._take(row)
            if self.stopped:
                raise Stopped
            if not ours or len(rows) > 1:
                raise errors.LeaseLost(self._key["reply_id"])
            return
        self._take(entry)

    async def _taken(self) -> list[Row]:
        """Return what stands from the next number on, once a majority has it; nothing if never."""
        for _ in range(_LOOKS):
            rows = await self._after()
            if rows:
                return rows
            await asyncio.sleep(_PAUSE)
        return []

    async def _after(self) -> list[Row]:
        return await self._scope.find(
            ENTRIES_AFTER, committed=True, after=self._next - 1, **self._key
        )

    def _take(self, row: Row) -> None:
        self._next = row["number"] + 1
        match row["kind"]:
            case EntryKind.BEGIN:
                self.begun = True
                self.said = dict.fromkeys(PIECES, "")
            case EntryKind.STOP:
                self.stopped = True
            case EntryKind.END:
                pass
            case kind:
                self.said[EntryKind(kind)] += row["text"]


def _same(row: Row, entry: Row) -> bool:
    return all(row.get(name) == entry.get(name) for name in ("writer", "kind", "text"))
