"""The server's validators, derived from the document models.

A field is required when the service always writes it: when it has no default, or a default other
than None (`to_bson` leaves out only None). An optional field may be absent, but not null.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, cast

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from message_service.catalogue.model import Collection

Schema = dict[str, Any]

INTEGER = ["int", "long"]
FLOAT = ["double", "int", "long"]
DECIMAL = ["decimal", "int", "long"]
"""The driver writes a small int as int, a larger one as long; both stand for any number."""

_LARGEST_LONG = 2**63 - 1
_BEANIE_FIELDS = ("_id", "id", "revision_id")
_IGNORED = {"title", "description", "default", "$defs"}
_KEPT = {"bsonType", "enum", "pattern", "minLength", "maxLength", "minItems", "maxItems"} | {
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "required",
}


def validator(collection: Collection) -> Schema:
    """Return the validator of a collection: its JSON schema, and its conditions if it has any."""
    found: Schema = {"$jsonSchema": json_schema(collection.document)}
    conditions = [dict(condition) for condition in collection.expressions]
    if conditions:
        found["$expr"] = conditions[0] if len(conditions) == 1 else {"$and": conditions}
    return found


def json_schema(model: type[BaseModel]) -> Schema:
    """Return the schema of a top-level document in MongoDB's dialect; only `_id` may be added.

    Raises:
        TypeError: A field has a type or constraint that cannot be translated.
    """
    return copy.deepcopy(_generated(model))


@functools.cache
def _generated(model: type[BaseModel]) -> Schema:
    generated = model.model_json_schema(schema_generator=_BsonSchema)
    definitions: dict[str, Schema] = generated.get("$defs", {})
    properties: dict[str, Schema] = generated["properties"]
    for name in _BEANIE_FIELDS:
        properties.pop(name, None)
    schema = _settled(generated, definitions)
    return {**schema, "properties": {"_id": {}, **schema["properties"]}}


class _BsonSchema(GenerateJsonSchema):
    """Uses `bsonType` where pydantic uses `type`; knows only the types our documents use."""

    def int_schema(self, schema: core_schema.IntSchema) -> JsonSchemaValue:
        return {"bsonType": INTEGER, **_bounds(schema)}

    def float_schema(self, schema: core_schema.FloatSchema) -> JsonSchemaValue:
        return {"bsonType": FLOAT, **_bounds(schema)}

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        return {"bsonType": DECIMAL, **_bounds(schema)}

    def bool_schema(self, schema: core_schema.BoolSchema) -> JsonSchemaValue:
        return {"bsonType": "bool"}

    def bytes_schema(self, schema: core_schema.BytesSchema) -> JsonSchemaValue:
        return {"bsonType": "binData"}

    def datetime_schema(self, schema: core_schema.DatetimeSchema) -> JsonSchemaValue:
        return {"bsonType": "date"}

    def str_schema(self, schema: core_schema.StringSchema) -> JsonSchemaValue:
        found: Schema = {"bsonType": "string"}
        if "pattern" in schema:
            found["pattern"] = _anchored(schema["pattern"])
        if "min_length" in schema:
            found["minLength"] = schema["min_length"]
        if "max_length" in schema:
            found["maxLength"] = schema["max_length"]
        return found

    def enum_schema(self, schema: core_schema.EnumSchema) -> JsonSchemaValue:
        return {"enum": [member.value for member in schema["members"]]}

    def literal_schema(self, schema: core_schema.LiteralSchema) -> JsonSchemaValue:
        return {"enum": list(schema["expected"])}

    def union_schema(self, schema: core_schema.UnionSchema) -> JsonSchemaValue:
        raise TypeError("no BSON form is known for a union without a tag")

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> JsonSchemaValue:
        # At most one can match, because each has another value for the tag.
        return {"anyOf": [self.generate_inner(choice) for choice in schema["choices"].values()]}

    def list_schema(self, schema: core_schema.ListSchema) -> JsonSchemaValue:
        found: Schema = {"bsonType": "array"}
        if "items_schema" in schema:
            found["items"] = self.generate_inner(schema["items_schema"])
        if "min_length" in schema:
            found["minItems"] = schema["min_length"]
        if "max_length" in schema:
            found["maxItems"] = schema["max_length"]
        return found

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        values = self.generate_inner(schema["values_schema"]) if "values_schema" in schema else {}
        return {"bsonType": "object", **({"additionalProperties": values} if values else {})}

    def model_fields_schema(self, schema: core_schema.ModelFieldsSchema) -> JsonSchemaValue:
        found = super().model_fields_schema(schema)
        found.pop("type")
        return {"bsonType": "object", **found}

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        # An optional field is absent: a null would count as present in partial index filters.
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def field_is_required(
        self,
        field: core_schema.ModelField | core_schema.DataclassField | core_schema.TypedDictField,
        total: bool,
    ) -> bool:
        inner = field["schema"]
        if inner["type"] != "default":
            return True
        return inner.get("default") is not None or "default_factory" in inner


def _bounds(schema: Mapping[str, Any]) -> Schema:
    """Return the range of a number, in JSON Schema draft 4, the draft MongoDB supports."""
    found: Schema = {}
    for ours, theirs, exclusive in (
        ("ge", "minimum", None),
        ("gt", "minimum", "exclusiveMinimum"),
        ("le", "maximum", None),
        ("lt", "maximum", "exclusiveMaximum"),
    ):
        if ours not in schema:
            continue
        bound = schema[ours]
        if theirs == "maximum" and bound == _LARGEST_LONG:
            continue  # a long cannot be larger
        found[theirs] = int(bound) if isinstance(bound, Decimal) else bound
        if exclusive is not None:
            found[exclusive] = True
    return found


def _anchored(pattern: Any) -> str:
    r"""Return a whole-string pattern with strict ends: PCRE's `$` allows a final newline."""
    if not (isinstance(pattern, str) and pattern.startswith("^") and pattern.endswith("$")):
        raise TypeError(f"the pattern {pattern!r} does not span the whole string: use ^...$")
    inner = pattern[1:-1]
    return rf"\A(?:{inner})\z" if "|" in inner else rf"\A{inner}\z"


def _settled(schema: Mapping[str, Any], definitions: Mapping[str, Schema]) -> Schema:
    """Return `schema` with references resolved and without words the server refuses."""
    if "$ref" in schema:
        return _settled(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    settled: Schema = {}
    for word, value in schema.items():
        if word == "properties":
            settled[word] = {name: _settled(inner, definitions) for name, inner in value.items()}
        elif word == "items":
            settled[word] = _settled(value, definitions)
        elif word == "anyOf":
            settled[word] = [_settled(choice, definitions) for choice in value]
        elif word == "additionalProperties":
            if value is False:
                settled[word] = False
            elif value is not True:
                settled[word] = _settled(cast("Schema", value), definitions)
        elif word in _KEPT:
            settled[word] = value
        elif word in {"ge", "gt", "le", "lt"}:
            # The form in which pydantic passes on the bound of a type behind a validator function.
            settled |= _bounds({word: value})
        elif word not in _IGNORED:
            raise TypeError(f"no BSON form is known for {word}: {value!r}")
    return settled
