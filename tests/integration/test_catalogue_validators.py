"""What the validators take and refuse, and what conformance says."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator

import pytest
from bson import Decimal128, Int64
from pymongo import AsyncMongoClient

from message_service import errors
from message_service.database.client import open_database
from message_service.database.translate import translated
from message_service.documents import Message
from message_service.documents.row import Row
from message_service.schema.apply import apply
from message_service.schema.conformance import (
    CollectionConformance,
    ConformanceReport,
    conformance,
)
from support.catalogues import (
    CLOCK,
    Database,
    differences,
    insert_unchecked,
    kinds,
    message,
    options_of,
)


@pytest.fixture(scope="module")
async def enforced(client: AsyncMongoClient[Row]) -> AsyncIterator[Database]:
    """One applied database for all tests that only try single documents."""
    database = open_database(client, f"test_{secrets.token_hex(6)}")
    await apply(database, clock=CLOCK)
    yield database
    await client.drop_database(database.name)


def full_message() -> Row:
    """The source design's example with ids of full length, and no nulls."""
    return message(
        245,
        character_id="char_123abc456def",
        content={
            "text": "Hello Luna! How are you today?",
            "sanitized_text": "Hello Luna! How are you today?",
            "detected_language": "en",
            "content_hash": "sha256:abc123def456",
            "word_count": 6,
            "character_count": 30,
            "estimated_reading_time_seconds": 2,
        },
        llm_metadata={
            "provider": "lmstudio",
            "model": "google/gemma-3-12b",
            "model_version": "1.2.3",
            "temperature": 0.7,
            "max_tokens": 2048,
            "top_p": 0.9,
            "frequency_penalty": 0.0,
            "presence_penalty": 0.0,
            "stop_sequences": ["\n\nHuman:"],
            "request_id": "req_xyz789abc123",
            "finish_reason": "stop",
        },
        token_usage={
            "prompt_tokens": 245,
            "completion_tokens": 67,
            "total_tokens": 312,
            "total_cost": "0.002338",
            "cost_currency": "USD",
        },
        safety_metadata={"content_filtered": False, "safety_score": 0.95, "detected_issues": []},
        client_metadata={
            "client_msg_id": "client_msg_123",
            "ip_address": "192.168.1.100",
            "request_headers": {"x-forwarded-for": "203.0.113.1"},
        },
        custom_metadata={"intent": "greeting", "topics": ["greeting"], "our own": {"a": 1}},
        quality_metadata={"coherence_score": 0.92},
        backup_status="backed_up",
        checksum="sha256:finalchecksum123",
    )


async def accept(database: Database, document: Row) -> None:
    messages = database.get_collection("messages")
    result = await messages.insert_one(document)
    await messages.delete_one({"_id": result.inserted_id})


async def test_what_the_model_writes_the_server_takes(enforced: Database) -> None:
    document = Message.model_validate(full_message()).to_bson()
    assert isinstance(document["token_usage"]["total_cost"], Decimal128)
    await accept(enforced, document)


@pytest.mark.parametrize(
    "changed",
    [
        {"sequence_number": Int64(2**40)},
        {"token_usage__total_tokens": Int64(5)},
        {"token_usage__total_cost": 0},
        {"safety_metadata__safety_score": 1},
        {"llm_metadata__temperature": Int64(1)},
        {"content__text": "😀" * 50_000},
        {"custom_metadata__anything": [{"nested": None}]},
        {"role": "tool"},
        {"_id": "an id of any type"},
    ],
)
async def test_the_server_takes_what_is_meant(enforced: Database, changed: Row) -> None:
    await accept(enforced, message(1, **changed))


@pytest.mark.parametrize(
    "changed",
    [
        {"unknown": 1},
        {"content__unknown": 1},
        {"message_id": "msg_000000000001\n"},
        {"message_id": "msg_00000000001"},
        {"message_id": "msg_0000-0000-0000"},
        {"conversation_id": "conv_000000000002", "partition_key": "conv_000000000001"},
        {"status": "unheard"},
        {"content__text": ""},
        {"tenant_id": None},
        {"timestamps": {}},
        {"timestamps__created_at": "2025-01-15T10:30:00Z"},
        {"sequence_number": 0},
        {"sequence_number": 1.0},
        {"token_usage__total_tokens": -1},
        {"token_usage__total_cost": 0.1},
        {"token_usage__total_cost": Decimal128("NaN")},
        {"token_usage__total_cost": Decimal128("-0.01")},
        {"token_usage__cost_currency": "USD\n"},
        {"safety_metadata__safety_score": float("nan")},
        {"safety_metadata__safety_score": 1.01},
        {"content__text": "x" * 50_001},
        {"custom_metadata__topics": [1]},
        {"llm_metadata__stop_sequences": ["x"] * 1_001},
    ],
)
async def test_the_server_refuses_what_is_not(enforced: Database, changed: Row) -> None:
    with pytest.raises(errors.DocumentRefused), translated():
        await enforced.get_collection("messages").insert_one(message(1, **changed))


async def test_a_null_for_an_optional_field_is_refused(enforced: Database) -> None:
    with pytest.raises(errors.DocumentRefused), translated():
        await enforced.get_collection("messages").insert_one({**message(1), "token_usage": None})


async def test_the_validator_warns_until_every_document_conforms(database: Database) -> None:
    messages = database.get_collection("messages")
    await insert_unchecked(database, message(1), {**message(2), "colour": "red"})
    report = await apply(database, clock=CLOCK)
    (left,) = report.left
    assert (left.kind.value, left.target) == ("promote_validator", "messages")
    assert left.reason.startswith("1 of 2 documents do not conform")
    assert (await options_of(database, "messages"))["validationAction"] == "warn"
    await messages.insert_one({**message(3), "colour": "blue"})  # only warned about
    await messages.update_many({}, {"$unset": {"colour": 1}})
    assert kinds(await apply(database, clock=CLOCK, promote=False)) == []
    assert kinds(await apply(database, clock=CLOCK)) == [("promote_validator", "messages")]
    with pytest.raises(errors.DocumentRefused), translated():
        await messages.insert_one({**message(4), "colour": "green"})
    assert await differences(database) == []


def _of_messages(report: ConformanceReport) -> CollectionConformance:
    [found] = [each for each in report.collections if each.collection == "messages"]
    return found


async def test_conformance_counts_offenders_and_names_their_fields(database: Database) -> None:
    bad = {
        "a string id": {"unknown": 1, "content__extra": 2},
        7: {"message_id": "msg_1", "sequence_number": 0},
        3.5: {"content": {"text": 5}, "custom_metadata__topics": [1]},
        "partition": {"partition_key": "conv_000000000009"},
    }
    await insert_unchecked(
        database,
        *(message(n) for n in range(10)[1:]),
        *(message(20 + n, _id=_id, **c) for n, (_id, c) in enumerate(bad.items())),
    )
    for batch in (1, 4, 1_000):
        report = await conformance(database, batch=batch)
        found = _of_messages(report)
        assert (found.documents, found.violations) == (13, 4)
    assert not report.conforming
    problems = {sample.id: set(sample.problems) for sample in found.samples}
    assert problems["a string id"] == {"unknown fields: unknown", "content: unknown fields: extra"}
    assert problems["7"] == {
        r"message_id: does not match \Amsg_[a-zA-Z0-9]{12,128}\z",
        "sequence_number: is below 1",
    }
    assert problems["3.5"] == {
        "content.text: is not of type string",
        "custom_metadata.topics: holds an unsuitable item",
    }
    assert len(problems["partition"]) == 1
    assert sum(entry.violations for entry in report.collections) == 4


async def test_conformance_explains_no_more_than_it_is_asked_to(database: Database) -> None:
    await insert_unchecked(database, *({"n": n} for n in range(20)))
    found = _of_messages(await conformance(database, samples=2, batch=3))
    assert (found.violations, len(found.samples)) == (20, 2)
