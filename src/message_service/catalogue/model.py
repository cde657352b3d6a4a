"""The types of a catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from message_service.documents import StoredDocument

KeyKind = int | Literal["text", "hashed"]
Keys = tuple[tuple[str, KeyKind], ...]


@dataclass(frozen=True, slots=True)
class Index:
    """One index.

    Attributes:
        name: Its name on the server.
        keys: Field paths and directions, in order.
        purpose: Its purpose in one line.
        unique: Whether it forbids duplicates.
        partial: Partial filter expression.
        expire_after_seconds: Makes it a TTL index.
        weights: Text weights by path (a text index only).
        correction: Why it differs from the source design; None when it does not.
        added: Whether it is not in the source design.
    """

    name: str
    keys: Keys
    purpose: str
    unique: bool = False
    partial: Mapping[str, Any] | None = None
    expire_after_seconds: int | None = None
    weights: Mapping[str, int] | None = None
    correction: str | None = None
    added: bool = False

    @property
    def is_text(self) -> bool:
        """Whether this is a text index."""
        return any(kind == "text" for _, kind in self.keys)


@dataclass(frozen=True, slots=True)
class Collection:
    """One collection: its document, indexes and shard key (None: unsharded)."""

    name: str
    document: type[StoredDocument]
    purpose: str
    shard_key: Keys | None
    indexes: tuple[Index, ...]
    expressions: tuple[Mapping[str, Any], ...] = field(default=())
    """Conditions the validator adds to the JSON schema (`$expr` operands)."""


@dataclass(frozen=True, slots=True)
class View:
    """One view; when its declaration changes, it is redefined in place."""

    name: str
    on: str
    pipeline: tuple[Mapping[str, Any], ...]
    purpose: str


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All collections and views."""

    version: int
    collections: tuple[Collection, ...]
    views: tuple[View, ...]

    def collection(self, name: str) -> Collection:
        """Return the declared collection of that name.

        Raises:
            KeyError: It is not declared.
        """
        for candidate in self.collections:
            if candidate.name == name:
                return candidate
        raise KeyError(name)


TEXT_LANGUAGE_OVERRIDE = "_text_language"
"""Field name of the text indexes' language override.

A field called `language` beside indexed text would be taken for one and make inserts fail
(error 17262). Names starting with an underscore are refused in user metadata, so nobody can set
this one.
"""
