"""Updates of the oplog, applied by us: byte for byte what the server makes of a document."""

from __future__ import annotations

import itertools
import random
from datetime import UTC, datetime
from typing import Any

import bson
import pytest
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo import AsyncMongoClient, WriteConcern
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

from message_service import errors
from message_service.backup.document_update import updated
from message_service.database.client import CODEC
from message_service.documents.row import Row

NAMES = ["a", "b", "c", "d", "i", "l", "s", "sa", "su0", "u", "u0", "0", "1", "diff", "אב"]
ODD_NAMES = [*NAMES, "", "$v", "$set", "a.b"]
"""Those that a server stores, but that no path leads to."""

SCALARS: list[Any] = [
    None, True, False, 0, 1, -7, 2**40, bson.Int64(1), 1.0, -0.0, 0.5, "", "text", b"\x00\x01",
    datetime(2024, 2, 29, 12, 0, 0, 1000, tzinfo=UTC), bson.ObjectId("65e000000000000000000001"),
    bson.Decimal128("1.50"), bson.Timestamp(1, 2), bson.Regex("a+", "i"), bson.MinKey(),
]  # fmt: skip

IDS = itertools.count()

UPDATES = 15
"""Of one document."""

TOGETHER = 20
"""Diffs that the server applies in one command."""

RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)

examples = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class Maker:
    """Makes values, and updates that fit a document or nearly do."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def value(self, depth: int = 3, names: list[str] = NAMES) -> Any:
        kind = self.chance.random()
        if depth == 0 or kind < 0.4:
            return self.chance.choice(SCALARS)
        if kind < 0.7:
            return self.fields(depth - 1, names)
        return [self.value(depth - 1, names) for _ in range(self.chance.randint(0, 5))]

    def fields(self, depth: int = 3, names: list[str] = NAMES) -> dict[str, Any]:
        chosen = self.chance.sample(names, self.chance.randint(0, 5))
        return {name: self.value(depth, names) for name in chosen}

    def whole(self) -> dict[str, Any]:
        """Return the fields of a document, most often large: of small ones there are few diffs."""
        fields = self.fields(names=ODD_NAMES) | {
            "b": [self.value() for _ in range(4)],
            "c": self.fields(),
        }
        names = self.chance.sample(list(fields), len(fields))
        whole = {name: fields[name] for name in names}
        return whole | ({"long": "x" * 2000} if self.chance.random() < 0.9 else {})

    def path(self, document: dict[str, Any]) -> str:
        """Return the path of something in the document, or beside it."""
        here: Any = {name: part for name, part in document.items() if name != "_id"}
        steps: list[str] = []
        while True:
            if isinstance(here, dict):
                known = [name for name in here if name in NAMES]
                name = self.chance.choice(known if known and self.chance.random() < 0.8 else NAMES)
                here = here.get(name)
            elif isinstance(here, list):
                index = self.chance.randrange(len(here) + 2)
                name, here = str(index), here[index] if index < len(here) else None
            else:
                return ".".join(steps)
            steps.append(name)
            if self.chance.random() < 0.25:
                return ".".join(steps)

    def array_path(self, document: dict[str, Any]) -> str:
        for _ in range(30):
            path = self.path(document)
            if isinstance(at(document, path), list):
                return path
        return self.path(document)

    def operators(self, document: dict[str, Any]) -> dict[str, Any]:
        update: dict[str, dict[str, Any]] = {}
        for _ in range(self.chance.choice([1, 1, 1, 2, 4])):
            operator = self.chance.choice(
                ["$set", "$set", "$unset", "$push", "$push", "$pull", "$pop", "$inc", "$rename"]
            )
            array = operator in ("$push", "$pull", "$pop")
            path = self.array_path(document) if array else self.path(document)
            update.setdefault(operator, {})[path] = self.operand(operator, document, path)
        return update

    def operand(self, operator: str, document: dict[str, Any], path: str) -> Any:
        match operator:
            case "$push":
                values = [self.value() for _ in range(self.chance.randint(0, 4))]
                more: dict[str, Any] = {}
                if self.chance.random() < 0.4:
                    more["$slice"] = self.chance.randint(-4, 4)
                if self.chance.random() < 0.4:
                    more["$position"] = self.chance.randint(0, 3)
                return {"$each": values, **more}
            case "$pull":
                array = at(document, path)
                return self.chance.choice(array) if isinstance(array, list) and array else 1
            case "$pop":
                return self.chance.choice([1, -1])
            case "$inc":
                return self.chance.choice([1, 0.5, bson.Int64(2)])
            case "$rename":
                return self.path(document)
            case _:
                return self.value()

    def pipeline(self, document: dict[str, Any]) -> list[dict[str, Any]]:
        match self.chance.randrange(4):
            case 0:
                return [{"$set": {self.path(document): {"$literal": self.value()}}}]
            case 1:
                return [{"$unset": [self.path(document)]}]
            case 2:
                new = {"_id": document["_id"]} | self.changed_fields(document)
                return [{"$replaceWith": {"$literal": new}}]
            case _:
                doubled = {"$concatArrays": [f"${self.array_path(document)}"] * 2}
                return [{"$set": {self.chance.choice(NAMES): doubled}}]

    def changed(self, value: Any) -> Any:
        """Return a value with changes here and there."""
        if self.chance.random() < 0.1:
            return self.value()
        if isinstance(value, dict):
            return self.changed_fields(value)
        if isinstance(value, list):
            kept_length = self.chance.choice([0, 1, 2, 3, 9, 9, 9])
            grown = [self.value() for _ in range(self.chance.choice([0, 0, 1, 3]))]
            return [self.changed(each) for each in value[:kept_length]] + grown
        return value

    def changed_fields(self, fields: dict[str, Any]) -> dict[str, Any]:
        names = [name for name in fields if self.chance.random() < 0.9]
        if self.chance.random() < 0.2:
            self.chance.shuffle(names)
        if self.chance.random() < 0.2:
            names.append(self.chance.choice(ODD_NAMES))
        return {name: self.changed(fields.get(name, 1)) for name in names}

    def update(self, document: dict[str, Any]) -> dict[str, Any] | list[dict[str, Any]]:
        kind = self.chance.random()
        if kind < 0.6:
            return self.operators(document)
        return self.pipeline(document) if kind < 0.9 else self.whole()

    def diff(self, value: Any) -> dict[str, Any]:
        """Return a diff such as a server writes, most of it fitting the value."""
        if self.chance.random() < 0.1:
            value = self.chance.choice([{}, []])
        return self.array_diff(value) if isinstance(value, list) else self.document_diff(value)

    def document_diff(self, value: Any) -> dict[str, Any]:
        known = list(value) if isinstance(value, dict) else []
        names = [name for name in dict.fromkeys([*known, *NAMES]) if name not in ("_id", "long")]
        chosen = self.chance.sample(names[: len(known) + 3], self.chance.randint(1, 3))
        diff: dict[str, Any] = {}
        for section in ("d", "u", "i", "s"):
            for name in [each for each in chosen if self.chance.random() < 0.4]:
                chosen.remove(name)
                if section == "s":
                    diff["s" + name] = self.diff(value.get(name) if known else None)
                else:
                    new = False if section == "d" else self.value()
                    diff.setdefault(section, {})[name] = new
        return diff or {"u": {"a": 1}}

    def array_diff(self, value: list[Any]) -> dict[str, Any]:
        diff: dict[str, Any] = {"a": True}
        length = len(value) + 3
        if self.chance.random() < 0.5:
            length = diff["l"] = self.chance.randint(0, length)
        for index in range(length):
            match self.chance.randrange(4):
                case 0:
                    diff[f"u{index}"] = self.value()
                case 1:
                    diff[f"s{index}"] = self.diff(value[index] if index < len(value) else None)
                case _:
                    pass
        return diff


def at(document: Any, path: str) -> Any:
    """Return what is at a path, or None."""
    for step in path.split("."):
        if isinstance(document, dict):
            document = document.get(step)
        elif isinstance(document, list) and step.isdigit() and int(step) < len(document):
            document = document[int(step)]
        else:
            return None
    return document


def encoded(document: dict[str, Any]) -> bytes:
    return bson.encode(document, codec_options=CODEC)


def decoded(document: bytes) -> dict[str, Any]:
    return bson.decode(document, CODEC)


def open_raw(database: AsyncDatabase[Any]) -> AsyncCollection[RawBSONDocument]:
    # What is tested is not lost with the machine.
    return database.get_collection("documents", codec_options=RAW, write_concern=WriteConcern(1))


async def oplog_entries(
    client: AsyncMongoClient[Any], collection: AsyncCollection[RawBSONDocument], key: int
) -> list[dict[str, Any]]:
    oplog = client.get_database("local").get_collection("oplog.rs", codec_options=RAW)
    of_document = {"ns": collection.full_name, "op": "u", "o2._id": key}
    found = oplog.find(of_document).sort("$natural", 1)
    return [decoded(entry.raw)["o"] async for entry in found]


async def updates_and_states(
    client: AsyncMongoClient[Row], collection: AsyncCollection[RawBSONDocument], maker: Maker
) -> tuple[list[dict[str, Any]], list[bytes]]:
    """Let the server make updates; return its entries, and the document before and after each."""
    key = next(IDS)
    states = [encoded({"_id": key} | maker.whole())]
    await collection.insert_one(RawBSONDocument(states[0]))
    for _ in range(UPDATES):
        # As a command, since the driver refuses a whole document that begins with an odd name.
        update = {"q": {"_id": key}, "u": maker.update(decoded(states[-1]))}
        command = {"update": collection.name, "updates": [update]}
        answer = await collection.database.command(command)
        if answer.get("nModified"):  # else it changes nothing, or does not fit
            stored = await collection.find_one({"_id": key})
            assert stored is not None
            states.append(bytes(stored.raw))
    updates = await oplog_entries(client, collection, key)
    assert len(updates) == len(states) - 1
    return updates, states


@examples
@given(st.integers(0, 2**32))
async def test_each_update_gives_what_the_server_stores_and_again_from_any_later_state(
    client: AsyncMongoClient[Row], database: AsyncDatabase[Row], seed: int
) -> None:
    updates, states = await updates_and_states(client, open_raw(database), Maker(seed))

    document = decoded(states[0])
    for update, before, after in zip(updates, states, states[1:], strict=False):
        written = encoded(update)
        result = updated(document, update)
        assert encoded(result) == after, update
        assert (encoded(document), encoded(update)) == (before, written)  # as they were
        document = result

    for place, state in enumerate(states):
        for begin in range(place + 1):
            document = decoded(state)
            for update in updates[begin:]:
                document = updated(document, update)
            assert encoded(document) == states[-1], (begin, place)


@examples
@given(st.integers(0, 2**32))
async def test_any_diff_gives_what_the_servers_applier_makes_of_it(
    client: AsyncMongoClient[Row], database: AsyncDatabase[Row], seed: int
) -> None:
    maker, collection = Maker(seed), open_raw(database)
    documents = [{"_id": next(IDS)} | maker.whole() for _ in range(TOGETHER)]
    updates = [{"$v": 2, "diff": maker.document_diff(document)} for document in documents]
    await collection.insert_many([RawBSONDocument(encoded(each)) for each in documents])
    entries = [
        {"op": "u", "ns": collection.full_name, "o": update, "o2": {"_id": document["_id"]}}
        for document, update in zip(documents, updates, strict=True)
    ]
    await client.admin.command("applyOps", entries)
    made = collection.find({"_id": {"$gte": documents[0]["_id"]}}).sort("_id")
    results = [each.raw async for each in made]
    for document, update, result in zip(documents, updates, results, strict=True):
        assert encoded(updated(document, update)) == result, (document, update)


@pytest.mark.parametrize(
    ("before", "diff", "after"),
    [
        # Changed in place; inserted at the end, also what is there already; deleted.
        ({"a": 1, "b": 2}, {"u": {"a": 3}}, {"a": 3, "b": 2}),
        ({"a": 1, "b": 2}, {"i": {"a": 3}}, {"b": 2, "a": 3}),
        ({"a": 1, "b": 2}, {"d": {"a": False, "x": False}}, {"b": 2}),
        # What a later update took away: a changed field is there again, before inserted ones.
        ({"a": 1}, {"u": {"x": 2, "y": 3}, "i": {"z": 4}}, {"a": 1, "x": 2, "y": 3, "z": 4}),
        ({"a": 1}, {"sx": {"u": {"y": 2}}}, {"a": 1}),
        ({"a": [1]}, {"sa": {"a": True, "u3": 4}}, {"a": [1, None, None, 4]}),
        ({"a": [1]}, {"sa": {"a": True, "s2": {"d": {"x": False}}}}, {"a": [1, None, None]}),
        ({"a": [1]}, {"sa": {"a": True, "l": 3}}, {"a": [1, None, None]}),
        # What a later update made another type of.
        ({"a": 1, "b": 2}, {"sa": {"u": {"x": 1}}}, {"a": None, "b": 2}),
        ({"a": [1], "b": 2}, {"sa": {"u": {"x": 1}}}, {"a": None, "b": 2}),
        ({"a": {"x": 1}}, {"sa": {"a": True, "u0": 1}}, {"a": None}),
        ({"a": [1, {}]}, {"sa": {"a": True, "s1": {"a": True, "l": 0}}}, {"a": [1, None]}),
        # Names that look like parts of a diff.
        ({"": {"u": 1}}, {"s": {"u": {"u": 2}, "i": {"i": 3}}}, {"": {"u": 2, "i": 3}}),
        ({"a": {"s0": {"a": 1}}}, {"sa": {"ss0": {"d": {"a": False}}}}, {"a": {"s0": {}}}),
        ({"a": [1, 2]}, {"sa": {"a": True, "l": 0}}, {"a": []}),
    ],
)
def test_one_diff(before: dict[str, Any], diff: dict[str, Any], after: dict[str, Any]) -> None:
    result = updated({"_id": 1, **before}, {"$v": 2, "diff": diff})
    assert encoded(result) == encoded({"_id": 1, **after})


def test_a_whole_document_may_look_like_a_diff() -> None:
    whole = {"diff": {"u": {"a": 1}}, "_id": 1, "$v": 2, "$set": {"a": 1}}
    result = updated({"_id": 1, "a": 0}, whole)
    assert list(result.items()) == list(whole.items())


def test_only_what_changes_is_copied() -> None:
    document: dict[str, Any] = {"_id": 1, "a": {"x": 1, "y": []}, "b": [{"x": 1}, {"y": 2}]}
    before = encoded(document)
    update = {
        "$v": 2,
        "diff": {"sa": {"u": {"x": 2}}, "sb": {"a": True, "s1": {"d": {"y": False}}}},
    }
    result = updated(document, update)
    assert encoded(document) == before
    assert result == {"_id": 1, "a": {"x": 2, "y": []}, "b": [{"x": 1}, {}]}
    assert result["a"]["y"] is document["a"]["y"]
    assert result["b"][0] is document["b"][0]


def test_as_deep_as_a_document_can_be() -> None:
    document: dict[str, Any] = {"x": 1}
    diff: dict[str, Any] = {"u": {"x": 2}}
    for _ in range(180):
        document, diff = {"a": document}, {"sa": diff}
    result: Any = updated(document, {"$v": 2, "diff": diff})
    for _ in range(180):
        result = result["a"]
    assert result == {"x": 2}


@pytest.mark.parametrize(
    ("update", "named"),
    [
        ({}, "None"),
        ({"$v": 1, "$set": {"a.x": 1}}, "1"),
        ({"$set": {"a": 1}}, "None"),
        ({"$v": 3, "diff": {"u": {"a": 1}}}, "3"),
        ({"$v": 2}, "'diff'"),
        ({"$v": 2, "diff": None}, "'diff'"),
        ({"$v": 2, "diff": {}}, "'diff'"),
        ({"$v": 2, "diff": {"u": {"a": 1}}, "more": 1}, "'more'"),
    ],
)
def test_another_kind_of_update_is_refused(update: dict[str, Any], named: str) -> None:
    with pytest.raises(errors.Unsupported, match=named):
        updated({"_id": 1, "a": {"x": 1}}, update)


@pytest.mark.parametrize(
    ("diff", "named"),
    [
        ({"x": {"a": 1}}, "'x'"),
        ({"b": {"a": {"o": 0, "d": b"x"}}}, "'b'"),  # MongoDB 8.0, time series
        ({"u": {"a": 1}, "dx": {"a": False}}, "'dx'"),
        ({"": {"a": 1}}, "''"),
        ({"u": 1}, "'u'"),
        ({"sdoc": {}}, "'sdoc'"),
        ({"sdoc": 1}, "'sdoc'"),
        ({"sdoc": {"x": 1}}, "'x'"),
        ({"sdoc": {"u": {"a": 1}, "a": True}}, "'a'"),
        ({"a": True, "u0": 1}, "'a'"),  # of the document itself
        ({"d": {"doc": False}, "i": {"doc": 1}}, "'doc'"),
        ({"u": {"doc": 1}, "sdoc": {"u": {"a": 1}}}, "'doc'"),
        ({"sarr": {"a": False, "u0": 1}}, "'a'"),
        ({"sarr": {"a": True, "l": 1.0}}, "'l'"),
        ({"sarr": {"a": True, "l": True}}, "'l'"),
        ({"sarr": {"a": True, "l": -1}}, "'l'"),
        ({"sarr": {"a": True, "u": 1}}, "'u'"),
        ({"sarr": {"a": True, "u01": 1}}, "'u01'"),
        ({"sarr": {"a": True, "u-1": 1}}, "'u-1'"),
        ({"sarr": {"a": True, "u٣": 1}}, "'u٣'"),
        ({"sarr": {"a": True, "d0": False}}, "'d0'"),
        ({"sarr": {"a": True, "s0": 1}}, "'s0'"),
        ({"sarr": {"a": True, "u1": 1, "u0": 1}}, "'u0'"),
        ({"sarr": {"a": True, "u1": 1, "s1": {"u": {"a": 1}}}}, "'s1'"),
        ({"sarr": {"a": True, "l": 1, "u1": 1}}, "'u1'"),
        ({"sref": {"u": {"$id": 2}}}, "DBRef"),
    ],
)
def test_an_unknown_part_of_a_diff_is_refused(diff: dict[str, Any], named: str) -> None:
    document = decoded(encoded({"_id": 1, "doc": {}, "arr": [1], "ref": {"$ref": "c", "$id": 1}}))
    with pytest.raises(errors.Unsupported, match=named):
        updated(document, {"$v": 2, "diff": diff})
