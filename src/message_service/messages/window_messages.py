"""The messages of a branch as a prompt window reads them: token counts first, then documents.

The counts come newest first from the index alone. The newest few messages are read in the same
moment: they are all that a small window needs. For a larger one, exactly the messages that the
counts have chosen are read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from message_service.catalogue.queries.messages import Segment
from message_service.catalogue.queries.prompt_window import (
    WINDOW_MESSAGES,
    WINDOW_NEWEST,
    WINDOW_TOKENS,
)
from message_service.database.scope import Scope
from message_service.documents.row import Row
from message_service.messages.history import clip
from message_service.messages.known_conversations import FULL_SPAN

_SEGMENTS_AT_ONCE = 32
_LIKELY_TOKENS = 40
_NEWEST = 32


@dataclass(frozen=True, slots=True)
class Line:
    """The messages of a branch that a window may hold."""

    conversation_id: str
    segments: Sequence[Segment]
    statuses: Sequence[str]

    def holds(self, row: Row) -> bool:
        """Whether a message is one of them."""
        branch = row["relationships"]["conversation_branch"]
        number = row["sequence_number"]
        return row["status"] in self.statuses and any(
            branch == name and above < number <= up_to for name, above, up_to in self.segments
        )


class WindowMessages:
    """Reads the messages of one window.

    Args:
        scope: The tenant's scope.
        line: The branch.
        budget: Tokens of the window; the reads are sized by it.
        most: Most messages of the window.
    """

    def __init__(self, scope: Scope, line: Line, budget: int, most: int) -> None:
        self.line = line
        self._scope = scope
        likely = budget // _LIKELY_TOKENS
        self._chunk = min(max(64, likely), 2_000)
        self._few = min(_NEWEST, most + 1, max(4, likely))
        self._segments = clip(line.segments, 0, FULL_SPAN)
        self._counted: list[Row] = []
        self._newest: list[Row] = []

    async def look(self) -> None:
        """Read the first counts and the newest messages."""
        segments = self._segments[:_SEGMENTS_AT_ONCE]
        if not segments:
            return
        self._counted, newest = await asyncio.gather(
            self._counts(segments),
            self._scope.find(WINDOW_NEWEST, limit=self._few, **self._among(segments)),
        )
        self._newest = newest[::-1]

    async def counts(self) -> AsyncIterator[tuple[int, int]]:
        """Yield numbers and token counts, newest first."""
        left = self._segments[:_SEGMENTS_AT_ONCE]
        rows = self._counted
        while left:
            for row in rows:
                yield row["sequence_number"], row["content"]["token_count"]
            # Fewer rows than the limit: these stretches were read to their beginning.
            full = len(rows) == self._chunk
            below = rows[-1]["sequence_number"] if full else left[-1][1] + 1
            if left := clip(self._segments, 0, below)[:_SEGMENTS_AT_ONCE]:
                rows = await self._counts(left)

    async def between(self, first: int, last: int) -> list[Row]:
        """Return the messages from one number to another, oldest first."""
        newest = self._newest
        # Another process may have written between the two reads.
        known = bool(newest) and newest[-1]["sequence_number"] >= last
        here = [row for row in newest if first <= row["sequence_number"] <= last] if known else []
        complete = len(newest) < self._few and len(self._segments) <= _SEGMENTS_AT_ONCE
        if known and (complete or newest[0]["sequence_number"] <= first):
            return here
        rows: list[Row] = []
        above = newest[0]["sequence_number"] if known else last + 1
        ascending = list(reversed(clip(self._segments, first - 1, above)))
        for start in range(0, len(ascending), _SEGMENTS_AT_ONCE):
            chosen = ascending[start : start + _SEGMENTS_AT_ONCE]
            rows += await self._scope.find(WINDOW_MESSAGES, **self._among(chosen))
        return rows + here

    async def _counts(self, segments: Sequence[Segment]) -> list[Row]:
        return await self._scope.find(WINDOW_TOKENS, limit=self._chunk, **self._among(segments))

    def _among(self, segments: Sequence[Segment]) -> dict[str, Any]:
        return {
            "conversation_id": self.line.conversation_id,
            "segments": segments,
            "statuses": self.line.statuses,
        }
