"""One piece of work at a time, numbered, so that it has its effect once although it is repeated.

Whoever has prepared a piece of work puts it into the slot, under the next number, if nobody has put
in another since it was prepared. Then it is carried out: every document it changes notes its number
and is changed only while it has a lower one. Whoever finds work in the slot, after its worker was
killed, carries it out again: what was changed already stays as it is. Two workers may even do it
together.

A slot names the rules by which the last work was made: releases that work by other rules, while one
follows the other, find out that they do.
"""

from __future__ import annotations

from dataclasses import dataclass

from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError

from message_service.database.records import COLLECTION
from message_service.database.translate import translated
from message_service.documents.row import Row

_READ = {"number": 1, "work": 1, "rules": 1, "held": {"$gt": ["$work.held_until", "$$NOW"]}}


@dataclass(frozen=True, slots=True)
class Slot:
    """What a slot holds.

    Attributes:
        number: The number of the last piece of work.
        work: That work, while it is not finished; None when the slot is empty.
        held: Whether somebody holds the slot for now, so that nobody puts work in.
        rules: What names the rules of whoever put it in; None when the slot is new.
    """

    number: int
    work: Row | None
    held: bool
    rules: str | None


class WorkSlot:
    """A slot for one piece of work.

    Args:
        database: The database.
        name: The document's `_id`.
        rules: Names the rules by which work is made here.
    """

    def __init__(self, database: AsyncDatabase[Row], name: str, rules: str) -> None:
        self._slots = database.get_collection(COLLECTION)
        self._name = name
        self._rules = rules

    async def read(self) -> Slot:
        """Return what the slot holds."""
        with translated():
            found = await self._slots.find_one({"_id": self._name}, _READ) or {}
        return Slot(
            found.get("number", 0),
            found.get("work"),
            found.get("held", False),
            found.get("rules", "") if found else None,
        )

    async def put(self, number: int, work: Row) -> bool:
        """Put work in, if the slot is empty and the last number was the one before.

        Args:
            number: The number of the work.
            work: What to do; 16 MB at most.
        """
        row = {"number": number, "work": work, "rules": self._rules}
        with translated():
            if number == 1:
                try:
                    await self._slots.insert_one({"_id": self._name, **row})
                except DuplicateKeyError:
                    return False
                return True
            done = await self._slots.update_one(
                {"_id": self._name, "number": number - 1, "work": None},
                {"$set": row},
            )
        return done.modified_count == 1

    async def take_over(self, number: int, *, drop: bool) -> None:
        """Put the rules of here in the place of others.

        Args:
            number: The number of the last work; when it is another by now, nothing is done.
            drop: Whether to empty the slot of the work that others have put in.
        """
        change: Row = {"$set": {"rules": self._rules}}
        if drop:
            change["$unset"] = {"work": ""}
        with translated():
            await self._slots.update_one({"_id": self._name, "number": number}, change)

    async def hold(self, number: int, seconds: float) -> bool:
        """Keep others from putting work in, for some seconds of the server's clock; or go on so.

        Args:
            number: The next number, or the one it is held under.
            seconds: How long, from now on.

        Returns:
            Whether it is held.
        """
        until = {"$dateAdd": {"startDate": "$$NOW", "unit": "second", "amount": round(seconds)}}
        with translated():
            done = await self._slots.update_one(
                {
                    "_id": self._name,
                    "$or": [
                        {"number": number - 1, "work": None},
                        {"number": number, "work.held_until": {"$exists": True}},
                    ],
                },
                [{"$set": {"number": number, "work": {"held_until": until}}}],
            )
        return done.matched_count == 1

    async def finish(self, number: int) -> bool:
        """Empty the slot; return whether it still had the work of this number."""
        with translated():
            done = await self._slots.update_one(
                {"_id": self._name, "number": number}, {"$unset": {"work": ""}}
            )
        return done.modified_count == 1
