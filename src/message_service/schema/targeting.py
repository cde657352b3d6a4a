"""Whether a command is sent to one shard or to all: a pure rule on the commands of the driver.

The tests have no sharded cluster. So a listener applies this rule to every command that is sent,
and the test run fails when a command on a sharded collection has no shard key and is not declared
as a scatter query.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from message_service.catalogue.declared import CATALOGUE, QUERIES

MAINTENANCE = ("catalogue.", "backup.")
"""Comments of commands that look at whole collections on purpose (conformance, counts, backups)."""

_SHARD_KEYS = {
    collection.name: collection.shard_key[0][0]
    for collection in CATALOGUE.collections
    if collection.shard_key is not None
}
"""The first field of each shard key; a command that names it is not sent to every shard."""

_SCATTER = {query.name for query in QUERIES if query.scatter is not None}
_PARTS = {"update": ("updates", "q"), "delete": ("deletes", "q")}


def untargeted(name: str, command: Mapping[str, Any]) -> str | None:
    """Return why a command would be sent to every shard; None when it is targeted or declared.

    Args:
        name: The command's name.
        command: The command as sent.
    """
    collection = command.get(name)
    comment = str(command.get("comment", ""))
    if not isinstance(collection, str) or collection not in _SHARD_KEYS:
        return None
    if comment in _SCATTER or comment.startswith(MAINTENANCE):
        return None
    key = _SHARD_KEYS[collection]
    for chosen in _filters(name, command):
        if not names_key(key, chosen):
            return f"{name} on {collection} without {key} (comment {comment!r})"
    return None


def _filters(name: str, command: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the filters (for an insert, the documents) that must have the shard key."""
    match name:
        case "find" | "count" | "distinct" | "findAndModify":
            return [command.get("filter") or command.get("query") or {}]
        case "aggregate":
            pipeline: Sequence[Mapping[str, Any]] = command.get("pipeline", ())
            if pipeline and "$changeStream" in pipeline[0]:
                return ()  # a change stream reads every shard by design
            return [pipeline[0].get("$match", {}) if pipeline else {}]
        case "insert":
            return command.get("documents", ())
        case "update" | "delete":
            field, inner = _PARTS[name]
            return [part[inner] for part in command.get(field, ())]
        case _:
            return ()  # not routed by the shard key


def names_key(key: str, chosen: Mapping[str, Any]) -> bool:
    """Return whether a filter says which values of a field it wants; so may all parts of an `$or`.

    A router takes the union of what the parts want (`collapseQuerySolution` in the server's
    `shard_key_pattern_query_util.cpp`).

    Args:
        key: The first field of a shard key.
        chosen: The filter.
    """
    if key not in chosen and "$or" in chosen:
        return bool(chosen["$or"]) and all(names_key(key, part) for part in chosen["$or"])
    value = chosen.get(key)
    if isinstance(value, Mapping):
        return "$in" in value or "$eq" in value
    return value is not None
