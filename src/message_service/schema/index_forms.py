"""Indexes in the server's form, and their comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from message_service.catalogue.model import TEXT_LANGUAGE_OVERRIDE, Index

_FLAGS = {"unique", "sparse", "hidden", "prepareUnique"}
_NOT_COMPARED = {"v", "key", "name", "ns", "textIndexVersion", "buildUUID"}
_TEXT_KEY = ("_fts", "text")
_SIGNATURE_OPTIONS = ("unique", "sparse", "partialFilterExpression", "collation")

Options = Mapping[str, Any]

FormKeys = tuple[tuple[str, int | str], ...]
"""As `model.Keys`, with the kinds we do not declare (`2dsphere` ...) as well."""


@dataclass(frozen=True, slots=True)
class IndexForm:
    """A declared or live index in comparable form.

    Attributes:
        name: Its name.
        keys: Field paths and kinds in order; text fields stand together as one `_fts` entry.
        options: All other options that matter, under the server's names.
    """

    name: str
    keys: FormKeys
    options: Options

    @property
    def is_text(self) -> bool:
        """Whether it is a text index, of which a collection can have one."""
        return _TEXT_KEY in self.keys

    @property
    def hidden(self) -> bool:
        """Whether the index is hidden from the planner."""
        return bool(self.options.get("hidden"))

    def excludes(self, other: IndexForm) -> bool:
        """Whether the server refuses both together: same name, same signature, or both text."""
        if self.name == other.name or (self.is_text and other.is_text):
            return True
        return self.keys == other.keys and all(
            canonical(self.options.get(option)) == canonical(other.options.get(option))
            for option in _SIGNATURE_OPTIONS
        )

    def differences(self, other: IndexForm) -> frozenset[str]:
        """Return what differs: `key`, and the names of options."""
        found = {"key"} if self.keys != other.keys else set[str]()
        for option in self.options.keys() | other.options.keys():
            if canonical(self.options.get(option)) != canonical(other.options.get(option)):
                found.add(option)
        return frozenset(found)


def create_spec(index: Index) -> dict[str, Any]:
    """Return the `createIndexes` specification of a declared index."""
    spec: dict[str, Any] = {"name": index.name, "key": dict(index.keys)}
    if index.unique:
        spec["unique"] = True
    if index.partial is not None:
        spec["partialFilterExpression"] = dict(index.partial)
    if index.expire_after_seconds is not None:
        spec["expireAfterSeconds"] = index.expire_after_seconds
    if index.is_text:
        spec["weights"] = _weights(index)
        # Stemming by a guessed language loses words. Without another override name, the server
        # would take a field called `language` for the language of the text (error 17262).
        spec["default_language"] = "none"
        spec["language_override"] = TEXT_LANGUAGE_OVERRIDE
    return spec


def declared_form(index: Index) -> IndexForm:
    """Return the form of a declared index."""
    keys: list[tuple[str, int | str]] = []
    for path, kind in index.keys:
        entry: tuple[str, int | str] = _TEXT_KEY if kind == "text" else (path, kind)
        if entry not in keys:
            keys.append(entry)
    return IndexForm(index.name, tuple(keys), _options(create_spec(index)))


def live_form(listed: Mapping[str, Any]) -> IndexForm:
    """Return the form of an index as `listIndexes` shows it."""
    keys: list[tuple[str, int | str]] = []
    for path, kind in listed["key"].items():
        if path != "_ftsx":
            keys.append((path, kind if isinstance(kind, str) else _direction(kind)))
    return IndexForm(listed["name"], tuple(keys), _options(listed))


def canonical(value: Any, *, ordered: bool = False) -> Any:
    """Return a canonical form: two values have equal forms if the server treats them alike.

    2 and 2.0 are equal; 1 and true are not. The order of fields matters only when `ordered`
    (stages of a pipeline).
    """
    match value:
        case bool():
            return ("bool", value)
        case int() | float():
            return ("number", value)
        case Mapping():
            pairs = [(key, canonical(inner, ordered=ordered)) for key, inner in value.items()]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
            return ("object", tuple(pairs)) if ordered else ("object", frozenset(pairs))  # pyright: ignore[reportUnknownArgumentType]
        case list() | tuple():
            return ("array", tuple(canonical(inner, ordered=ordered) for inner in value))  # pyright: ignore[reportUnknownVariableType]
        case _:
            return value


def shown(keys: FormKeys) -> str:
    """Return keys in readable form."""
    return "{" + ", ".join(f"{path}: {kind}" for path, kind in keys) + "}"


def _weights(index: Index) -> dict[str, int]:
    given = index.weights or {}
    return {path: given.get(path, 1) for path, kind in index.keys if kind == "text"}


def _direction(kind: Any) -> int:
    return int(kind) if isinstance(kind, int | float) else 1


def _options(spec: Mapping[str, Any]) -> Options:
    return {
        option: value
        for option, value in spec.items()
        if option not in _NOT_COMPARED and not (option in _FLAGS and not value)
    }
