"""The rules a catalogue must satisfy on a sharded cluster, checked without a server.

A one-node replica set accepts almost any catalogue; a unique index that forbids sharding must be
found before the day the data is sharded. The rules are those of MongoDB 6.0 and later:
https://www.mongodb.com/docs/manual/core/sharding-shard-key/ and .../core/index-ttl/.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from message_service import errors
from message_service.catalogue.model import Catalogue, Collection, Index, Keys
from message_service.schema.index_forms import declared_form, shown

_MOST_INDEXES = 64
_MOST_FIELDS = 32
_LONGEST_TTL = 2**31 - 1
_PARTIAL_OPERATORS = {
    "$eq", "$exists", "$gt", "$gte", "$lt", "$lte", "$type", "$and", "$or", "$in",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Breach:
    """One rule broken.

    Attributes:
        collection: The collection at fault.
        index: The index at fault; None for the shard key or the collection itself.
        problem: The rule, and what would be right.
    """

    collection: str
    index: str | None
    problem: str

    def __str__(self) -> str:
        place = self.collection if self.index is None else f"{self.collection}.{self.index}"
        return f"{place}: {self.problem}"


def check(catalogue: Catalogue) -> None:
    """Refuse a catalogue that could not be built, here or on a sharded cluster.

    Raises:
        IllegalManifest: Names every collection and index that breaks a rule.
    """
    found = list(breaches(catalogue))
    if found:
        raise errors.IllegalManifest(
            "the catalogue is impossible: " + "; ".join(str(breach) for breach in found),
            breaches=[
                {"collection": breach.collection, "index": breach.index, "problem": breach.problem}
                for breach in found
            ],
        )


def breaches(catalogue: Catalogue) -> Iterator[Breach]:
    """Yield every rule a catalogue breaks."""
    names = Counter(
        [collection.name for collection in catalogue.collections]
        + [view.name for view in catalogue.views]
    )
    for name, times in names.items():
        if times > 1:
            yield Breach(name, None, "the name is declared twice")
    for view in catalogue.views:
        if view.on not in names:
            yield Breach(view.name, None, f"the view looks at {view.on!r}, which is not declared")
    for collection in catalogue.collections:
        yield from _of_collection(collection)
        for index in collection.indexes:
            for problem in _of_index(index):
                yield Breach(collection.name, index.name, problem)
        if collection.shard_key is not None:
            yield from _of_sharding(collection, collection.shard_key)


def _of_collection(collection: Collection) -> Iterator[Breach]:
    if len(collection.indexes) + 1 > _MOST_INDEXES:
        yield Breach(collection.name, None, f"more than {_MOST_INDEXES} indexes, _id included")
    forms = [declared_form(index) for index in collection.indexes]
    for position, form in enumerate(forms):
        for earlier in forms[:position]:
            if form.excludes(earlier):
                why = "both are text indexes" if form.is_text else "same name, or same keys"
                yield Breach(collection.name, form.name, f"cannot be beside {earlier.name}: {why}")


def _of_index(index: Index) -> Iterator[str]:
    paths = [path for path, _ in index.keys]
    kinds = [kind for _, kind in index.keys]
    hashed = kinds.count("hashed")
    if not paths:
        yield "it has no keys"
    if len(paths) > _MOST_FIELDS:
        yield f"it has more than {_MOST_FIELDS} fields"
    if len(set(paths)) < len(paths):
        yield "a field stands in it twice"
    if any(isinstance(kind, int) and kind not in (1, -1) for kind in kinds):
        yield "directions are 1 and -1"
    if hashed > 1:
        yield "only one field can be hashed"
    if hashed and index.unique:
        yield "a hashed index cannot be unique: the hash is not the value"
    if hashed and index.is_text:
        yield "a text index cannot have a hashed field"
    if index.weights is not None:
        texts = {path for path, kind in index.keys if kind == "text"}
        if index.weights.keys() - texts:
            yield "a weight names a path that is not a text field of the index"
    if index.expire_after_seconds is not None:
        if len(paths) != 1 or paths[0] == "_id" or kinds[0] not in (1, -1):
            yield "a TTL index has one plain field, not _id"
        if not 0 <= index.expire_after_seconds <= _LONGEST_TTL:
            yield f"a TTL is 0 to {_LONGEST_TTL} seconds"
    if index.partial is not None:
        yield from _of_partial(index.partial)


def _of_partial(condition: Mapping[str, Any]) -> Iterator[str]:
    if not condition:
        yield "an empty partial filter says nothing: leave it out"
    for word, value in condition.items():
        if word.startswith("$"):
            if word not in _PARTIAL_OPERATORS:
                yield f"a partial filter cannot use {word}"
            elif word == "$exists" and value is not True:
                yield "a partial filter can ask that a field exists, not that it does not"
        inner = cast("list[Any]", value) if word in {"$and", "$or"} else [value]
        for part in inner:
            if isinstance(part, Mapping):
                yield from _of_partial(cast("Mapping[str, Any]", part))


def _of_sharding(collection: Collection, shard_key: Keys) -> Iterator[Breach]:
    kinds = [kind for _, kind in shard_key]
    fields = [path for path, _ in shard_key]
    if not fields or len(set(fields)) < len(fields):
        yield Breach(collection.name, None, "the shard key has no field, or one twice")
        return
    if any(kind not in (1, "hashed") for kind in kinds) or kinds.count("hashed") > 1:
        yield Breach(collection.name, None, "shard key fields are 1, and at most one is hashed")
    if not any(supports(index, shard_key) for index in collection.indexes):
        yield Breach(
            collection.name,
            None,
            f"no index supports the shard key {shown(shard_key)}: one that is neither partial nor "
            "text must begin with exactly these keys",
        )
    for index in collection.indexes:
        if index.unique and [path for path, _ in index.keys][: len(fields)] != fields:
            yield Breach(
                collection.name,
                index.name,
                "a unique index of a sharded collection must begin with the shard key's fields "
                f"{', '.join(fields)}: each shard only sees its own documents",
            )


def supports(index: Index, shard_key: Keys) -> bool:
    """Whether the server could find chunks by this index."""
    return (
        index.partial is None
        and not index.is_text
        and tuple(index.keys[: len(shard_key)]) == tuple(shard_key)
    )
