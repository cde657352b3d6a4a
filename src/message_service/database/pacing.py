"""A pace that all processes keep together: at most so many turns a minute, by the server's clock.

The generic cell rate algorithm (ITU-T I.371, annex A): one document holds the moment from which on
the next turn is free. Whoever asks takes the next turn in the same write, and is told how long to
wait for it.
"""

from __future__ import annotations

from typing import Any

from pymongo import ReturnDocument
from pymongo.asynchronous.database import AsyncDatabase

from message_service.database.records import COLLECTION
from message_service.database.translate import translated
from message_service.documents.row import Row

_MINUTE_MS = 60_000.0


class Pace:
    """A pace.

    Args:
        database: The database.
        name: Its name.
        per_minute: Turns in a minute.
        burst: Turns that may follow one another at once after a pause.
    """

    def __init__(
        self, database: AsyncDatabase[Row], name: str, per_minute: float, burst: int
    ) -> None:
        self._records = database.get_collection(COLLECTION)
        self._id = f"pace:{name}"
        self._interval = _MINUTE_MS / per_minute
        self._burst = burst

    async def take(self) -> float:
        """Take the next turn; return the seconds to wait for it."""
        earliest = {"$subtract": ["$$now", self._interval * (self._burst - 1)]}
        turn = {"$max": [{"$ifNull": ["$next", earliest]}, earliest, "$not_before"]}
        taken = await self._update(
            _at_now({"turn": turn}),
            {
                "$set": {
                    "next": {"$add": ["$turn", self._interval]},
                    "wait": {"$max": [0, {"$subtract": ["$turn", "$now"]}]},
                }
            },
        )
        return float(taken["wait"]) / 1000

    async def hold(self, seconds: float) -> None:
        """Let nobody take a turn for so long; one that is held for longer stays so."""
        until = {"$add": ["$$now", seconds * 1000]}
        await self._update(_at_now({"not_before": {"$max": ["$not_before", until]}}))

    async def _update(self, *stages: dict[str, Any]) -> Row:
        with translated():
            row = await self._records.find_one_and_update(
                {"_id": self._id},
                [*stages],
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
        return row or {"wait": 0}


def _at_now(values: dict[str, Any]) -> dict[str, Any]:
    """Return a stage that sets fields, which may name the server's moment as `$$now`, in ms."""
    now = {"$toDouble": {"$toLong": "$$NOW"}}
    return {
        "$set": {
            "now": now,
            **{
                name: {"$let": {"vars": {"now": now}, "in": value}}
                for name, value in values.items()
            },
        }
    }
