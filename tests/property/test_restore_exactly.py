"""Any point of a random history is restored to exactly what the database was then."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest
from bson import Int64
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure

from message_service.documents.row import Row
from support.backups import backups_of, now_in, state_of

NAMES = ("alpha", "beta", "gamma/1")


class History:
    """Writes whatever a database can be written."""

    def __init__(self, database: AsyncDatabase[Row], draw: random.Random) -> None:
        self._database = database
        self._draw = draw

    async def step(self) -> None:
        """Do something."""
        steps: list[tuple[Callable[[], Awaitable[object]], int]] = [
            (self.insert, 8),
            (self.update, 10),
            (self.delete, 3),
            (self.transaction, 4),
            (self.index, 2),
            (self.drop_index, 1),
            (self.option, 1),
            (self.remove, 1),
            (self.rename, 1),
            (self.view, 1),
        ]
        (chosen,) = self._draw.choices(*zip(*steps, strict=True))
        with suppress(OperationFailure):  # a validator, a unique index, a path that leads nowhere
            await chosen()

    def _name(self) -> str:
        return self._draw.choice(NAMES)

    def _document(self) -> Row:
        draw = self._draw
        identity = draw.choice(
            [f"m{draw.randrange(30)}", draw.randrange(30), float(draw.randrange(30)) + 0.5]
        )
        return {
            "_id": identity,
            "n": draw.choice([1, Int64(2), 2.5, None]),
            "list": [{"x": draw.randrange(5)} for _ in range(draw.randrange(4))],
            "inner": {"a": "ä" * draw.randrange(5), "u": True},
        }

    async def insert(self) -> None:
        made = {str(each["_id"]): each for each in (self._document() for _ in range(5))}
        collection = self._database[self._name()]
        for each in made.values():
            await collection.replace_one({"_id": each["_id"]}, each, upsert=True)

    async def update(self) -> None:
        draw = self._draw
        change: Row | list[Row] = draw.choice(
            [
                {"$set": {f"f{draw.randrange(4)}": draw.random(), "inner.a": "x"}},
                {"$unset": {f"f{draw.randrange(4)}": ""}, "$inc": {"count": 1}},
                {"$push": {"list": {"$each": [{"x": 9}], "$slice": -3}}},
                {"$pull": {"list": {"x": draw.randrange(5)}}},
                {"$set": {"list.1.y": [1, {"z": 2}]}},
                {"$rename": {"f1": "inner.moved"}},
                [{"$replaceWith": {"$mergeObjects": ["$$ROOT", {"s": "$$ROOT"}, {"n": 1}]}}],
                [{"$unset": "s"}],
            ]
        )
        await self._database[self._name()].update_many({"_id": {"$type": "string"}}, change)

    async def delete(self) -> None:
        await self._database[self._name()].delete_many({"n": None, "_id": {"$type": "number"}})

    async def transaction(self) -> None:
        for name in NAMES[:2]:
            if name not in await self._database.list_collection_names():
                await self._database.create_collection(name)
        async with self._database.client.start_session() as session:
            transaction = await session.start_transaction()
            async with transaction:
                for name in NAMES[:2]:
                    document = self._document()
                    await self._database[name].delete_one({"_id": document["_id"]}, session=session)
                    await self._database[name].insert_one(document, session=session)
                    await self._database[name].update_one(
                        {"_id": document["_id"]}, {"$set": {"in": "tx"}}, session=session
                    )
                if self._draw.random() < 0.3:
                    # An entry holds 16 MB: this transaction takes several.
                    big = "x" * 6_000_000
                    many = [{"_id": f"big{each}", "text": big} for each in range(3)]
                    await self._database["alpha"].delete_many(
                        {"_id": {"$regex": "^big"}}, session=session
                    )
                    await self._database["alpha"].insert_many(many, session=session)

    async def index(self) -> None:
        field, unique = self._draw.choice([("n", False), ("inner.a", False), ("_x", True)])
        await self._database[self._name()].create_index(
            field,
            name=f"by {field}",
            **({"unique": True, "partialFilterExpression": {"_x": {"$gt": 0}}} if unique else {}),
        )

    async def drop_index(self) -> None:
        name = self._name()
        if name in await self._database.list_collection_names():
            await self._database[name].drop_indexes()

    async def option(self) -> None:
        name = self._name()
        if name in await self._database.list_collection_names():
            await self._database.command(
                "collMod", name, validator={"n": {"$ne": self._draw.randrange(9)}},
                validationLevel="moderate",
            )  # fmt: skip

    async def remove(self) -> None:
        await self._database.drop_collection(self._name())

    async def rename(self) -> None:
        source, target = self._draw.sample(NAMES, 2)
        if source in await self._database.list_collection_names():
            await self._database[source].rename(target, dropTarget=True)

    async def view(self) -> None:
        await self._database.drop_collection("seen")
        await self._database.create_collection(
            "seen", viewOn=self._name(), pipeline=[{"$match": {"n": self._draw.randrange(3)}}]
        )


@pytest.fixture
async def target(database: AsyncDatabase[Row]) -> AsyncIterator[AsyncDatabase[Row]]:
    restored = database.client.get_database(f"{database.name}_restore")
    yield restored
    await database.client.drop_database(restored.name)


@pytest.mark.parametrize("seed", random.sample(range(1_000_000), 3))  # other ones in each run
async def test_every_point_comes_back_exactly(
    database: AsyncDatabase[Row], target: AsyncDatabase[Row], tmp_path: Path, seed: int
) -> None:
    draw = random.Random(seed)
    history = History(database, draw)
    backups = await backups_of(database, tmp_path / "backups")
    await history.insert()
    for _ in range(draw.randrange(3, 12)):
        await history.step()
    first = await backups.full(point_seconds=0)
    known = {first.id: await state_of(database)}
    points = {}
    for _ in range(5):
        for _ in range(draw.randrange(1, 10)):
            await history.step()
        points[await now_in(database)] = await state_of(database)
        if draw.random() < 0.6:
            await backups.incremental()
        if draw.random() < 0.3:
            full = await backups.full()
            known[full.id] = await state_of(database)
    await backups.incremental()

    for wanted, expected in [*points.items(), *known.items()]:
        await backups.restore(wanted, over=target.name)
        restored = await state_of(target)
        assert restored.keys() == expected.keys(), f"to {wanted}"
        for name in expected:
            assert restored[name] == expected[name], f"{name} at {wanted}"
