"""Splits a validator into checks, so that a refusal can be explained field by field.

The server explains why it refuses a write, but not why it would refuse a stored document. So each
part of the schema becomes a query, and the server tells which of them a document fails.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from message_service.schema.validators import Schema


@dataclass(frozen=True, slots=True)
class Check:
    """One part of a validator.

    Attributes:
        field: Dotted path concerned; empty for the document as a whole.
        problem: The problem of a document that fails.
        query: A query that matches documents that pass.
        known: For the rule against unknown fields: the known fields.
    """

    field: str
    problem: str
    query: Mapping[str, Any]
    known: frozenset[str] | None = None

    def describe(self, document: Mapping[str, Any]) -> str:
        """Return the problem in words, with the names (never the values) of unknown fields."""
        problem = self.problem
        if self.known is not None:
            inside: Any = document
            for part in filter(None, self.field.split(".")):
                inside = inside[part]
            problem = f"{problem}: {', '.join(sorted(set(inside) - self.known))}"
        return f"{self.field}: {problem}" if self.field else problem


def checks(validator: Mapping[str, Any]) -> list[Check]:
    """Return the parts of a validator made by `validators.validator`."""
    found = [*_of_object(validator["$jsonSchema"], ())]
    if "$expr" in validator:
        problem = f"the condition {validator['$expr']} does not hold"
        found.append(Check("", problem, {"$expr": validator["$expr"]}))
    return found


def _of_object(schema: Schema, path: tuple[str, ...]) -> Iterator[Check]:
    for name in schema.get("required", ()):
        yield _check((*path, name), path, "is missing", {"required": [name]})
    properties: dict[str, Schema] = schema.get("properties", {})
    if schema.get("additionalProperties") is False:
        anything: Schema = {}
        closed = {
            "properties": dict.fromkeys(properties, anything),
            "additionalProperties": False,
        }
        yield _check(path, path, "unknown fields", closed, frozenset(properties))
    elif "additionalProperties" in schema:
        inner = {"additionalProperties": schema["additionalProperties"]}
        yield _check(path, path, "holds an unsuitable value", inner)
    for name, inner in properties.items():
        yield from _of_value(inner, (*path, name))


def _of_value(schema: Schema, path: tuple[str, ...]) -> Iterator[Check]:
    if "bsonType" in schema:
        kinds: Any = schema["bsonType"]
        expected = kinds if isinstance(kinds, str) else " or ".join(kinds)
        yield _check(path, path, f"is not of type {expected}", {"bsonType": kinds})
    if "enum" in schema:
        yield _check(path, path, f"is not one of {schema['enum']}", {"enum": schema["enum"]})
    if "pattern" in schema:
        problem = f"does not match {schema['pattern']}"
        yield _check(path, path, problem, {"pattern": schema["pattern"]})
    for limit, problem in (
        ("minLength", "is shorter than"),
        ("maxLength", "is longer than"),
        ("minItems", "has fewer items than"),
        ("maxItems", "has more items than"),
    ):
        if limit in schema:
            yield _check(path, path, f"{problem} {schema[limit]}", {limit: schema[limit]})
    for limit, strict, problem in (
        ("minimum", "exclusiveMinimum", "is below"),
        ("maximum", "exclusiveMaximum", "is above"),
    ):
        if limit in schema:
            words = {word: schema[word] for word in (limit, strict) if word in schema}
            at = " or at" if strict in schema else ""
            yield _check(path, path, f"{problem}{at} {schema[limit]}", words)
    if "items" in schema:
        yield _check(path, path, "holds an unsuitable item", {"items": schema["items"]})
    if schema.get("bsonType") == "object":
        yield from _of_object(schema, path)


def _check(
    field: tuple[str, ...],
    place: tuple[str, ...],
    problem: str,
    words: Schema,
    known: frozenset[str] | None = None,
) -> Check:
    """Return a check of `words` at `place`; a missing value or another type passes."""
    schema = words
    for name in reversed(place):
        schema = {"properties": {name: schema}}
    return Check(".".join(field), problem, {"$jsonSchema": schema}, known)
