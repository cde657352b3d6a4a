"""One piece of work at a time, numbered, so that it has its effect once although it is repeated.

Whoever has prepared a piece of work puts it into the slot, under the next number, if nobody has put
in another since it was prepared. Then it is carried out: every document it changes notes its number
and is changed only while it has a lower one. Whoever finds work in the slot, after its worker was
killed, carries it out again: what was changed already stays as it is. Two workers may even do it
together.

That is for work that says all it does. Other work depends on what is stored when it is done, and is
another one when it is done again. Its worker holds the slot and says again and again that it is at
work; whoever finds it silent takes the work over under the next number, and writes everything anew.

A slot names the rules by which the last work was made: releases that work by other rules, while one
follows the other, find out that they do.
"""

from __future__ import annotations

from contextlib import suppress
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
        held: Whether somebody holds the slot for now.
        rules: What names the rules of whoever put it in.
    """

    number: int
    work: Row | None
    held: bool
    rules: str


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
        """Return what the slot holds; make it when there is none."""
        new: Row = {"_id": self._name, "number": 0, "rules": self._rules}
        with translated():
            found = await self._slots.find_one({"_id": self._name}, _READ)
            if found is None:
                with suppress(DuplicateKeyError):  # somebody else has made it
                    await self._slots.insert_one(new)
                found = new
        return Slot(
            found["number"], found.get("work"), found.get("held", False), found.get("rules", "")
        )

    async def put(self, number: int, work: Row) -> bool:
        """Put work in, if the slot is empty and the last number was the one before.

        Args:
            number: The number of the work.
            work: What to do; 16 MB at most.
        """
        with translated():
            done = await self._slots.update_one(
                {"_id": self._name, "number": number - 1, "work": None},
                {"$set": {"number": number, "work": work, "rules": self._rules}},
            )
        return done.modified_count == 1

    async def adopt(self, number: int, *, drop: bool) -> None:
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

    async def hold(self, number: int, seconds: float, work: Row | None = None) -> bool:
        """Keep others from putting work in, for some seconds of the server's clock.

        Args:
            number: The next number.
            seconds: How long, from now on.
            work: What is done meanwhile, for whoever takes it over.

        Returns:
            Whether it is held; False when somebody else was faster.
        """
        held = {"$mergeObjects": [{"$literal": work or {}}, _until(seconds)]}
        with translated():
            done = await self._slots.update_one(
                {"_id": self._name, "number": number - 1, "work": None},
                [{"$set": {"number": number, "work": held, "rules": {"$literal": self._rules}}}],
            )
        return done.modified_count == 1

    async def go_on(self, number: int, seconds: float) -> bool:
        """Hold the slot for longer.

        Args:
            number: The number it is held under.
            seconds: How long, from now on.

        Returns:
            Whether it is held; False when others took it over.
        """
        with translated():
            done = await self._slots.update_one(
                {"_id": self._name, "number": number, "work.held_until": {"$exists": True}},
                [{"$set": {"work": {"$mergeObjects": ["$work", _until(seconds)]}}}],
            )
        return done.matched_count == 1

    async def take_over(self, number: int, seconds: float) -> bool:
        """Hold, under the next number, the work of somebody who no longer holds it.

        Args:
            number: The number of the work.
            seconds: How long, from now on.

        Returns:
            Whether it is held; False when somebody else was faster.
        """
        silent = {"$lte": ["$work.held_until", "$$NOW"]}
        held = {"$mergeObjects": ["$work", _until(seconds)]}
        with translated():
            done = await self._slots.update_one(
                {"_id": self._name, "number": number, "$expr": silent},
                [{"$set": {"number": number + 1, "work": held}}],
            )
        return done.modified_count == 1

    async def finish(self, number: int) -> bool:
        """Empty the slot; return whether it still had the work of this number."""
        with translated():
            done = await self._slots.update_one(
                {"_id": self._name, "number": number}, {"$unset": {"work": ""}}
            )
        return done.modified_count == 1


def _until(seconds: float) -> Row:
    amount = round(seconds * 1_000)
    moment = {"$dateAdd": {"startDate": "$$NOW", "unit": "millisecond", "amount": amount}}
    return {"held_until": moment}
