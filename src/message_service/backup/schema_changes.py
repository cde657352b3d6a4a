"""Which entries of the oplog change collections and indexes, and how.

An entry's command is told from its first field, as the server does. What a release does not know
is refused: a restore that left it out would not be the state it claims to be.
"""

from __future__ import annotations

from typing import Any

from message_service import errors
from message_service.documents.row import Row

STRUCTURE = frozenset(
    {
        "create",
        "drop",
        "renameCollection",
        "dropDatabase",
        "convertToCapped",
        "emptycapped",
        "importCollection",
    }
)
"""Commands that make, remove or rename a collection."""

_INDEXES = frozenset(
    {
        "createIndexes",
        "startIndexBuild",
        "commitIndexBuild",
        "abortIndexBuild",
        "dropIndexes",
        "deleteIndex",
        "deleteIndexes",
        "collMod",
    }
)


def command_of(command: Row) -> str:
    """Return the name of a command of the oplog."""
    return next(iter(command), "")


def is_schema_change(name: str) -> bool:
    """Return whether a command changes collections or indexes."""
    return name in STRUCTURE or name in _INDEXES


class Shape:
    """The collections, indexes and views of a database, followed through its history.

    Attributes:
        collections: By name: `options` and `indexes` (by name), as `create` and `createIndexes`
            take them.
        views: By name: their options.
    """

    def __init__(self, collections: dict[str, Row], views: dict[str, Row]) -> None:
        self.collections = collections
        self.views = views

    def to_row(self) -> Row:
        """Return it as a document."""
        return {
            "collections": [{"name": name, **each} for name, each in self.collections.items()],
            "views": [{"name": name, "options": each} for name, each in self.views.items()],
        }

    @classmethod
    def from_row(cls, row: Row) -> Shape:
        """Return what `to_row` was given."""
        return cls(
            {
                each["name"]: {"options": each["options"], "indexes": each["indexes"]}
                for each in row["collections"]
            },
            {each["name"]: each["options"] for each in row["views"]},
        )

    def change(self, command: Row) -> None:
        """Follow a command of the oplog.

        Raises:
            Unsupported: It is not known.
        """
        name = command_of(command)
        match name:
            case "create":
                self._create(command)
            case "drop":
                self.collections.pop(command["drop"], None)
            case "renameCollection":
                self._rename(command)
            case "dropDatabase":
                self.collections.clear()
                self.views.clear()
            case "createIndexes":
                definition = {key: value for key, value in command.items() if key != name}
                self._add_indexes(command[name], [definition])
            case "commitIndexBuild":
                self._add_indexes(command[name], command["indexes"])
            case "abortIndexBuild":
                for index in command["indexes"]:
                    self._indexes(command[name]).pop(index["name"], None)
            case "startIndexBuild":
                pass  # counts when it is committed
            case "dropIndexes" | "deleteIndex" | "deleteIndexes":
                self._drop_indexes(command[name], command["index"])
            case "collMod":
                self._modify(command)
            case _:
                raise errors.Unsupported(
                    f"the history holds a command this release cannot replay: {name!r}"
                )

    def change_view(self, operation: str, name: str, document: Row | None) -> None:
        """Follow a change of a view; None for the document when it is gone."""
        if operation == "d" or document is None:
            self.views.pop(name, None)
        else:
            self.views[name] = {key: value for key, value in document.items() if key != "_id"}

    def _create(self, command: Row) -> None:
        options = {
            key: value
            for key, value in command.items()
            if key not in {"create", "idIndex", "autoIndexId"}
        }
        identity: Row = command.get("idIndex") or {"v": 2, "key": {"_id": 1}, "name": "_id_"}
        indexes: dict[str, Any] = {} if "clusteredIndex" in options else {"_id_": identity}
        self.collections[command["create"]] = {"options": options, "indexes": indexes}

    def _rename(self, command: Row) -> None:
        source = command["renameCollection"].partition(".")[2]
        target = command["to"].partition(".")[2]
        moved = self.collections.pop(source, None)
        if moved is not None:
            self.collections[target] = moved

    def _indexes(self, collection: str) -> dict[str, Row]:
        found = self.collections.get(collection)
        return {} if found is None else found["indexes"]

    def _add_indexes(self, collection: str, definitions: list[Row]) -> None:
        indexes = self._indexes(collection)
        for each in definitions:
            indexes[each["name"]] = {key: value for key, value in each.items() if key != "ns"}

    def _drop_indexes(self, collection: str, chosen: Any) -> None:
        indexes = self._indexes(collection)
        names: list[str] = (
            [name for name in indexes if name != "_id_"]
            if chosen == "*"
            else [chosen]
            if isinstance(chosen, str)
            else [each for each in chosen if isinstance(each, str)]
        )
        for name in names:
            indexes.pop(name, None)

    def _modify(self, command: Row) -> None:
        found = self.collections.get(command["collMod"])
        if found is None:
            if command["collMod"] in self.views:
                self.views[command["collMod"]] |= {
                    key: value for key, value in command.items() if key != "collMod"
                }
            return
        for key, value in command.items():
            match key:
                case "collMod":
                    continue
                case "index":
                    self._modify_index(found["indexes"], value)
                case "validator" if not value:
                    found["options"].pop("validator", None)
                case _:
                    found["options"][key] = value

    @staticmethod
    def _modify_index(indexes: dict[str, Row], change: Row) -> None:
        name = change.get("name")
        if name is None:
            name = next(
                (each for each, known in indexes.items() if known["key"] == change["keyPattern"]),
                None,
            )
        index = indexes.get(name) if name is not None else None
        if index is None:
            return
        for key, value in change.items():
            if key in {"name", "keyPattern"}:
                continue
            if key in {"hidden", "prepareUnique", "unique"} and not value:
                index.pop(key, None)
            else:
                index[key] = value
        if index.get("unique"):
            index.pop("prepareUnique", None)
