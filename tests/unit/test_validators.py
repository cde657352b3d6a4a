from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, StringConstraints

from message_service.catalogue.collections.messages import MESSAGES
from message_service.catalogue.declared import CATALOGUE
from message_service.catalogue.model import Collection
from message_service.documents import Message
from message_service.schema.schema_checks import checks
from message_service.schema.validators import json_schema, validator

NUMBERS = {"int", "long"}


def at(schema: dict[str, Any], path: str) -> dict[str, Any]:
    for name in path.split("."):
        schema = schema["properties"][name]
    return schema


def nodes(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield schema
    inner = [*schema.get("properties", {}).values()]
    inner += [schema[word] for word in ("items",) if word in schema]
    if isinstance(schema.get("additionalProperties"), dict):
        inner.append(schema["additionalProperties"])
    inner += schema.get("anyOf", [])
    for node in inner:
        yield from nodes(node)


messages = json_schema(Message)


def test_the_required_fields_of_the_source_design_are_required() -> None:
    design = {"message_id", "conversation_id", "user_id", "content", "role", "timestamps"}
    assert design <= set(messages["required"])
    assert at(messages, "content")["required"] == ["text"]


def test_what_is_always_written_is_required_and_what_may_be_absent_is_not() -> None:
    required = set(messages["required"])
    assert {"tenant_id", "status", "relationships", "revision", "sequence_number"} <= required
    assert not {"character_id", "token_usage", "pinned", "delete_at", "_id"} & required


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("sequence_number", {"bsonType": ["int", "long"], "minimum": 1}),
        ("token_usage.total_tokens", {"bsonType": ["int", "long"], "minimum": 0}),
        ("token_usage.total_cost", {"bsonType": ["decimal", "int", "long"], "minimum": 0}),
        (
            "safety_metadata.safety_score",
            {"bsonType": ["double", "int", "long"], "minimum": 0, "maximum": 1},
        ),
        ("timestamps.created_at", {"bsonType": "date"}),
        ("role", {"enum": ["user", "assistant", "system", "tool"]}),
        ("status", {"enum": ["active", "archived", "flagged", "hidden", "deleted"]}),
        ("pinned", {"bsonType": "bool"}),
        ("content.text", {"bsonType": "string", "maxLength": 50_000}),
        (
            "llm_metadata.stop_sequences",
            {
                "bsonType": "array",
                "items": {"bsonType": "string", "maxLength": 256},
                "maxItems": 1_000,
            },
        ),
    ],
)
def test_a_field_becomes_its_bson_form(path: str, expected: dict[str, Any]) -> None:
    assert at(messages, path) == expected


@pytest.mark.parametrize("collection", CATALOGUE.collections, ids=lambda c: c.name)
def test_every_collection_is_closed_but_for_its_id(collection: Collection) -> None:
    schema = validator(collection)["$jsonSchema"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["_id"] == {}
    assert not {"id", "revision_id"} & schema["properties"].keys()
    assert "tenant_id" in schema["required"]


@pytest.mark.parametrize("collection", CATALOGUE.collections, ids=lambda c: c.name)
def test_every_validator_is_written_in_words_the_server_knows(collection: Collection) -> None:
    for node in nodes(validator(collection)["$jsonSchema"]):
        assert not {"type", "$ref", "default", "title", "format"} & node.keys()
        kinds = node.get("bsonType", "object")
        if not isinstance(kinds, str):
            assert set(kinds) >= NUMBERS
        if "pattern" in node:
            assert node["pattern"].startswith(r"\A")
            assert node["pattern"].endswith(r"\z")


def test_groups_users_extend_stay_open_and_the_others_are_closed() -> None:
    assert "additionalProperties" not in at(messages, "custom_metadata")
    assert at(messages, "client_metadata.request_headers") == {"bsonType": "object"}
    assert at(messages, "llm_metadata")["additionalProperties"] is False


def test_a_map_of_counts_keeps_the_rule_for_its_values() -> None:
    schema = json_schema(CATALOGUE.collection("message_analytics").document)
    histogram = at(schema, "distributions.message_length_distribution")
    assert histogram == {
        "bsonType": "object",
        "additionalProperties": {"bsonType": ["int", "long"], "minimum": 0},
    }


def test_an_open_end_is_said_in_the_words_of_draft_4() -> None:
    schema = json_schema(CATALOGUE.collection("processing_queue").document)
    assert at(schema, "job_config.timeout_seconds") == {
        "bsonType": ["double", "int", "long"],
        "minimum": 0,
        "exclusiveMinimum": True,
    }


def test_conditions_between_fields_stand_beside_the_schema() -> None:
    assert validator(MESSAGES)["$expr"] == {
        "$and": [
            {"$eq": ["$partition_key", "$conversation_id"]},
            {
                "$or": [
                    {"$eq": ["$message_type", "tombstone"]},
                    {"$ne": ["$content.text", ""]},
                    {"$gt": [{"$size": {"$ifNull": ["$content.parts", []]}}, 0]},
                ]
            },
        ]
    }
    assert validator(CATALOGUE.collection("conversations")).keys() == {"$jsonSchema"}


def test_alternatives_in_a_pattern_stay_inside_its_ends() -> None:
    class Coloured(BaseModel):
        colour: Annotated[str, StringConstraints(pattern="^red|blue$")]

    pattern = at(json_schema(Coloured), "colour")["pattern"]
    assert pattern == r"\A(?:red|blue)\z"
    assert re.compile(pattern.replace(r"\z", r"\Z")).search("blueish") is None


class _Loose(BaseModel):
    name: Annotated[str, StringConstraints(pattern="[a-z]+")]


class _Unsayable(BaseModel):
    several: set[str]


class _Untagged(BaseModel):
    either: float | str


@pytest.mark.parametrize("model", [_Loose, _Unsayable, _Untagged])
def test_what_cannot_be_said_to_the_server_is_refused(model: type[BaseModel]) -> None:
    with pytest.raises(TypeError):
        json_schema(model)


@pytest.mark.parametrize("collection", CATALOGUE.collections, ids=lambda c: c.name)
def test_a_validator_taken_apart_covers_every_word_of_it(collection: Collection) -> None:
    rule = validator(collection)
    parts = checks(rule)
    named = {part.field for part in parts}
    assert set(rule["$jsonSchema"]["required"]) <= named
    assert set(rule["$jsonSchema"]["properties"]) - {"_id"} <= named
    assert len({(part.field, part.problem) for part in parts}) == len(parts)
