"""The catalogue engine against a real server."""

from __future__ import annotations

import asyncio
import json
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import Decimal128, Int64
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)
from typer.testing import CliRunner

from message_service import errors
from message_service.catalogue import lock, schema_state, sharding
from message_service.catalogue.apply import ApplyReport, apply, ensure
from message_service.catalogue.conformance import conformance
from message_service.catalogue.declared import CATALOGUE, MESSAGES
from message_service.catalogue.live import live, read_shard_keys
from message_service.catalogue.model import Catalogue, Collection, Index, View
from message_service.catalogue.plan import make_plan
from message_service.catalogue.status import read_status
from message_service.cli import app
from message_service.clock import SystemClock
from message_service.database.client import Row, build_client, open_database
from message_service.database.translate import translated
from message_service.documents import Message
from message_service.settings import Settings
from support.waiting import until

Database = AsyncDatabase[Row]
CLOCK = SystemClock()
NOW = datetime(2025, 1, 15, 10, 30, tzinfo=UTC)


def altered(
    *indexes: Index,
    without: Sequence[str] = (),
    collection: str = "messages",
    views: tuple[View, ...] = CATALOGUE.views,
    version: int = CATALOGUE.version,
) -> Catalogue:
    """The catalogue with indexes of one collection added, replaced by name, or left out."""
    gone = {*without, *(index.name for index in indexes)}

    def change(declared: Collection) -> Collection:
        if declared.name != collection:
            return declared
        kept = tuple(index for index in declared.indexes if index.name not in gone)
        return replace(declared, indexes=(*kept, *indexes))

    return Catalogue(version, tuple(change(c) for c in CATALOGUE.collections), views)


def message(number: int = 1, **changed: Any) -> Row:
    """A message as the service stores it; dotted names reach inside."""
    conversation = changed.pop("conversation_id", "conv_000000000001")
    values: Row = {
        "tenant_id": "default",
        "message_id": f"msg_{number:012d}",
        "conversation_id": conversation,
        "partition_key": conversation,
        "user_id": "user_000000000001",
        "content": {"text": "hello"},
        "role": "user",
        "message_type": "standard",
        "status": "active",
        "sequence_number": number,
        "timestamps": {"created_at": NOW},
        "relationships": {"conversation_branch": "main"},
        "version": 1,
        "revision": 1,
        "data_classification": "standard",
        "retention_policy": "standard",
        "archived_to_cold_storage": False,
    }
    for path, value in changed.items():
        *parents, leaf = path.split("__")
        inside = values
        for parent in parents:
            inside = inside.setdefault(parent, {})
        if value is None:
            inside.pop(leaf, None)
        else:
            inside[leaf] = value
    return values


async def insert_unchecked(database: Database, *documents: Row, into: str = "messages") -> None:
    await database.get_collection(into).insert_many(
        list(documents), bypass_document_validation=True
    )


async def index_of(database: Database, name: str, collection: str = "messages") -> Row | None:
    listed = await (await database.get_collection(collection).list_indexes()).to_list()
    return next((dict(index) for index in listed if index["name"] == name), None)


async def options_of(database: Database, name: str) -> Row:
    listed = await (await database.list_collections(filter={"name": name})).to_list()
    return listed[0]["options"]


def kinds(report: ApplyReport) -> list[tuple[str, str]]:
    return [(change.kind.value, change.target) for change in report.done]


async def differences(
    database: Database, catalogue: Catalogue = CATALOGUE
) -> list[tuple[str, str, str]]:
    plan = await make_plan(database, catalogue)
    return [(change.kind.value, change.target, change.by) for change in plan.changes]


class Commands(CommandListener):
    def __init__(self) -> None:
        self.sent: list[Mapping[str, Any]] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.sent.append(event.command)

    def succeeded(self, event: CommandSucceededEvent) -> None:
        pass

    def failed(self, event: CommandFailedEvent) -> None:
        pass

    def names(self) -> list[str]:
        return [next(iter(command)) for command in self.sent]


@pytest.fixture
async def applied(database: Database) -> Database:
    await apply(database, clock=CLOCK)
    return database


@pytest.fixture(scope="module")
async def enforced(client: AsyncMongoClient[Row]) -> AsyncIterator[Database]:
    """One applied database for all tests that only try single documents."""
    database = open_database(client, f"test_{secrets.token_hex(6)}")
    await apply(database, clock=CLOCK)
    yield database
    await client.drop_database(database.name)


@pytest.fixture
async def watched(
    mongo_uri: str, settings: Settings, applied: Database
) -> AsyncIterator[tuple[Database, Commands]]:
    """The applied database through a client whose commands are recorded."""
    commands = Commands()
    client: AsyncMongoClient[Row] = build_client(settings, mongo_uri, [commands])
    yield open_database(client, applied.name), commands
    await client.close()


# --- a new database ------------------------------------------------------------------------------


async def test_apply_makes_everything_and_a_second_one_finds_nothing_to_do(
    database: Database,
) -> None:
    first = await apply(database, clock=CLOCK)
    assert len(first.done) == sum(len(c.indexes) + 1 for c in CATALOGUE.collections) + 3
    assert first.left == ()
    assert await differences(database) == []
    assert (await apply(database, clock=CLOCK)).done == ()


async def test_a_new_collection_refuses_bad_documents_at_once(applied: Database) -> None:
    for collection in CATALOGUE.collections:
        options = await options_of(applied, collection.name)
        assert (options["validationLevel"], options["validationAction"]) == ("strict", "error")


async def test_connecting_makes_a_new_database_ready_and_then_costs_one_read(
    database: Database, mongo_uri: str, settings: Settings
) -> None:
    await ensure(database, CLOCK)
    assert await differences(database) == []
    commands = Commands()
    client: AsyncMongoClient[Row] = build_client(settings, mongo_uri, [commands])
    await ensure(open_database(client, database.name), CLOCK)
    await client.close()
    assert [name for name in commands.names() if name != "endSessions"] == ["find"]


async def test_connecting_refuses_a_database_of_a_newer_release(applied: Database) -> None:
    await schema_state.record_version(applied, CATALOGUE.version + 1, CLOCK)
    with pytest.raises(errors.SchemaTooNew):
        await ensure(applied, CLOCK)
    with pytest.raises(errors.SchemaTooNew):
        await apply(applied, clock=CLOCK)


async def test_connecting_leaves_a_database_with_documents_to_a_person(database: Database) -> None:
    await database.get_collection("messages").insert_one({"message_id": "1"})
    with pytest.raises(errors.CatalogueError, match="db plan"):
        await ensure(database, CLOCK)
    assert [c["name"] async for c in await database.list_collections()] == ["messages"]


async def test_connecting_to_an_older_schema_asks_for_an_apply(applied: Database) -> None:
    with pytest.raises(errors.CatalogueError, match=f"schema version {CATALOGUE.version}"):
        await ensure(applied, CLOCK, altered(version=CATALOGUE.version + 1))


async def test_a_first_apply_that_died_half_way_is_finished_by_connecting(
    database: Database,
) -> None:
    await schema_state.remember_created(database, [("messages", "idx_pinned")], [])
    await database.create_collection("messages")
    await ensure(database, CLOCK)
    assert await differences(database) == []


# --- indexes -------------------------------------------------------------------------------------


async def test_an_index_made_by_hand_is_drift_and_goes_only_with_the_flag(
    applied: Database,
) -> None:
    await applied.get_collection("messages").create_index([("role", 1)], name="by_hand")
    assert await differences(applied) == [("drop_index", "by_hand", "drop_unknown")]
    report = await apply(applied, clock=CLOCK)
    assert report.done == ()
    assert [change.target for change in report.left] == ["by_hand"]
    await apply(applied, clock=CLOCK, drop_retired=True)
    assert await index_of(applied, "by_hand")
    assert kinds(await apply(applied, clock=CLOCK, drop_unknown=True)) == [
        ("drop_index", "by_hand")
    ]
    assert await differences(applied) == []


async def test_a_retired_index_is_hidden_first_and_dropped_later(applied: Database) -> None:
    extra = Index("idx_extra", (("role", 1),), "for a test")
    await apply(applied, altered(extra), clock=CLOCK)
    assert kinds(await apply(applied, clock=CLOCK, drop_retired=True)) == [
        ("hide_index", "idx_extra")
    ]
    hidden = await index_of(applied, "idx_extra")
    assert hidden is not None
    assert hidden["hidden"]
    assert (await apply(applied, clock=CLOCK)).done == ()
    assert kinds(await apply(applied, clock=CLOCK, drop_retired=True)) == [
        ("drop_index", "idx_extra")
    ]
    assert await index_of(applied, "idx_extra") is None
    assert ("messages", "idx_extra") not in (await schema_state.read(applied)).created_indexes


async def test_a_hidden_index_declared_again_is_shown(applied: Database) -> None:
    catalogue = altered(Index("idx_extra", (("role", 1),), "for a test"))
    await apply(applied, catalogue, clock=CLOCK)
    await apply(applied, clock=CLOCK)
    assert kinds(await apply(applied, catalogue, clock=CLOCK)) == [("unhide_index", "idx_extra")]
    assert await differences(applied, catalogue) == []


async def test_a_leftover_background_option_is_drift_and_is_removed(applied: Database) -> None:
    messages = applied.get_collection("messages")
    await messages.drop_index("idx_shard_key")
    await messages.create_index(
        [("conversation_id", "hashed")], name="idx_shard_key", background=True
    )
    assert await differences(applied) == [("replace_index", "idx_shard_key", "apply")]
    await apply(applied, clock=CLOCK)
    assert "background" not in (await index_of(applied, "idx_shard_key") or {"background": 1})


async def test_two_indexes_that_change_places_are_both_rebuilt(applied: Database) -> None:
    pinned, hot = (
        next(index for index in MESSAGES.indexes if index.name == name)
        for name in ("idx_pinned", "idx_hot_conversation_data")
    )
    swapped = altered(replace(pinned, name=hot.name), replace(hot, name=pinned.name))
    await apply(applied, swapped, clock=CLOCK)
    assert await differences(applied, swapped) == []
    await apply(applied, clock=CLOCK)
    assert await differences(applied) == []


async def test_an_index_of_ours_under_a_new_name_is_replaced(applied: Database) -> None:
    hot = next(i for i in MESSAGES.indexes if i.name == "idx_hot_conversation_data")
    renamed = altered(replace(hot, name="idx_renamed"), without=[hot.name])
    assert kinds(await apply(applied, renamed, clock=CLOCK)) == [("replace_index", "idx_renamed")]
    assert await differences(applied, renamed) == []


async def test_an_index_by_hand_in_the_place_of_ours_needs_the_flag(database: Database) -> None:
    hot = next(i for i in MESSAGES.indexes if i.name == "idx_hot_conversation_data")
    await database.get_collection("messages").create_index(list(hot.keys), name="by_hand")
    report = await apply(database, clock=CLOCK)
    assert ("replace_index", hot.name) not in kinds(report)
    assert await index_of(database, "by_hand")
    assert (await schema_state.read(database)).version is None
    await apply(database, clock=CLOCK, drop_unknown=True)
    assert await differences(database) == []
    assert (await schema_state.read(database)).version == CATALOGUE.version


async def test_a_lifetime_is_changed_without_rebuilding_and_tells_what_it_deletes(
    watched: tuple[Database, Commands],
) -> None:
    database, commands = watched
    ended = {"status": "failed", "updated_at": datetime.now(UTC) - timedelta(hours=1)}
    jobs = [
        {**ended, "job_id": "a"},
        {**ended, "job_id": "b", "status": "pending"},
        {**ended, "job_id": "c", "updated_at": datetime.now(UTC)},
    ]
    await insert_unchecked(database, *jobs, into="processing_queue")
    ttl = next(i for i in CATALOGUE.collection("processing_queue").indexes if "ttl" in i.name)
    shorter = altered(replace(ttl, expire_after_seconds=1_800), collection="processing_queue")
    longer = altered(replace(ttl, expire_after_seconds=999_999), collection="processing_queue")
    (change,) = (await make_plan(database, shorter)).changes
    assert (change.risk, change.documents) == ("high", 1)
    (change,) = (await make_plan(database, longer)).changes
    assert (change.risk, change.documents) == ("low", 0)
    commands.sent.clear()
    await apply(database, longer, clock=CLOCK)
    assert "collMod" in commands.names()
    assert "dropIndexes" not in commands.names()
    assert await differences(database, longer) == []


async def test_a_plain_index_becomes_unique_by_way_of_prepare_unique(
    watched: tuple[Database, Commands],
) -> None:
    database, commands = watched
    plain = Index("idx_extra", (("conversation_id", 1), ("revision", 1)), "for a test")
    await apply(database, altered(plain), clock=CLOCK)
    await database.get_collection("messages").insert_one(message())
    commands.sent.clear()
    unique = altered(replace(plain, unique=True))
    assert kinds(await apply(database, unique, clock=CLOCK)) == [("convert_unique", "idx_extra")]
    assert "dropIndexes" not in commands.names()
    steps = [command["index"] for command in commands.sent if "collMod" in command]
    assert steps == [
        {"name": "idx_extra", "prepareUnique": True},
        {"name": "idx_extra", "unique": True},
    ]
    assert await differences(database, unique) == []


async def test_duplicates_stop_an_index_from_becoming_unique_and_are_shown(
    applied: Database,
) -> None:
    plain = Index("idx_extra", (("conversation_id", 1), ("revision", 1)), "for a test")
    await apply(applied, altered(plain), clock=CLOCK)
    inserted = await applied.get_collection("messages").insert_many([message(1), message(2)])
    with pytest.raises(errors.CatalogueError) as refusal:
        await apply(applied, altered(replace(plain, unique=True)), clock=CLOCK)
    assert "messages.idx_extra" in refusal.value.message
    (failure,) = refusal.value.details["failures"]
    assert set(failure["samples"][0]) == {str(_id) for _id in inserted.inserted_ids}
    left = await index_of(applied, "idx_extra")
    assert left is not None
    assert "prepareUnique" not in left
    await applied.get_collection("messages").insert_one(message(3))


async def test_duplicates_stop_a_new_unique_index_but_not_what_else_is_added(
    applied: Database,
) -> None:
    messages = applied.get_collection("messages")
    await messages.insert_many([message(1), message(2)])
    old = Index("idx_old", (("status", 1),), "for a test")
    await apply(applied, altered(old), clock=CLOCK)
    unique = Index(
        "idx_extra", (("conversation_id", 1), ("revision", 1)), "for a test", unique=True
    )
    useful = Index("idx_useful", (("role", 1),), "for a test")
    with pytest.raises(errors.CatalogueError, match=r"messages\.idx_extra cannot be unique"):
        await apply(applied, altered(unique, useful, version=2), clock=CLOCK)
    assert await index_of(applied, "idx_useful")
    kept = await index_of(applied, "idx_old")
    assert kept is not None
    assert "hidden" not in kept  # nothing is taken away after a failure
    assert (await schema_state.read(applied)).version == CATALOGUE.version


async def test_a_replacement_that_cannot_be_built_leaves_the_old_index(applied: Database) -> None:
    await applied.get_collection("messages").insert_many([message(1), message(2)])
    before = await index_of(applied, "idx_pinned")
    keys = (("conversation_id", 1), ("revision", 1))
    with pytest.raises(errors.CatalogueError, match="cannot be unique"):
        await apply(
            applied, altered(Index("idx_pinned", keys, "for a test", unique=True)), clock=CLOCK
        )
    assert await index_of(applied, "idx_pinned") == before


async def test_the_old_index_is_put_back_when_the_data_is_against_the_new_one(
    applied: Database,
) -> None:
    await insert_unchecked(applied, message(1, left=[1, 2], right=[1, 2]))
    before = await index_of(applied, "idx_pinned")
    parallel = Index("idx_pinned", (("left", 1), ("right", 1)), "two arrays: cannot be built")
    with pytest.raises(errors.MessageServiceError, match="arrays"):
        await apply(applied, altered(parallel), clock=CLOCK)
    assert await index_of(applied, "idx_pinned") == before


async def test_a_language_field_beside_the_text_does_no_harm(applied: Database) -> None:
    entries = applied.get_collection("message_search_index")
    for number, language in enumerate(("zh", "ja", "xx", "en-US")):
        await entries.insert_one(
            {
                "tenant_id": "default",
                "message_id": f"msg_00000000000{number}",
                "conversation_id": "conv_000000000001",
                "user_id": "user_000000000001",
                "indexed_content": {"full_text": "running"},
                "search_metadata": {"language": language},
                "created_at": CLOCK.now(),
            }
        )
    search = {"$text": {"$search": "running"}, "tenant_id": "default"}
    found = await entries.find({**search, "user_id": "user_000000000001"}).to_list()
    assert len(found) == 4


async def test_the_indexes_of_the_source_design_made_by_hand_are_brought_to_ours(
    database: Database,
) -> None:
    messages = database.get_collection("messages")
    await insert_unchecked(database, message(1), message(2))
    created = "timestamps.created_at"
    for keys, options in (
        ([("message_id", 1)], {"name": "idx_message_id_unique", "unique": True}),
        (
            [("conversation_id", 1), ("sequence_number", 1)],
            {"name": "idx_conversation_sequence", "background": True},
        ),
        ([(created, -1), ("_id", 1)], {"name": "idx_temporal_pagination", "background": True}),
        ([(created, 1)], {"name": "idx_message_ttl", "expireAfterSeconds": 63_072_000}),
        ([("conversation_id", "hashed")], {"name": "idx_shard_key"}),
        (
            [("conversation_id", 1), (created, -1)],
            {
                "name": "idx_hot_conversation_data",
                "storageEngine": {"wiredTiger": {"configString": "block_compressor=zstd"}},
            },
        ),
    ):
        await messages.create_index(keys, **options)
    plan = await make_plan(database)
    replaced = {c.target for c in plan.changes if c.kind.value == "replace_index"}
    assert len(replaced) == 5
    assert {c.risk for c in plan.changes if c.target in replaced} == {"high"}
    report = await apply(database, clock=CLOCK)
    assert report.left == ()
    assert await differences(database) == []
    assert await messages.count_documents({}) == 2


# --- validators and conformance ------------------------------------------------------------------


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
        found = report.collections[0]
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
    assert all(entry.violations == 0 for entry in report.collections[1:])


async def test_conformance_explains_no_more_than_it_is_asked_to(database: Database) -> None:
    await insert_unchecked(database, *({"n": n} for n in range(20)))
    found = (await conformance(database, samples=2, batch=3)).collections[0]
    assert (found.violations, len(found.samples)) == (20, 2)


# --- views ---------------------------------------------------------------------------------------


async def test_daily_message_stats_counts_by_tenant_and_day(applied: Database) -> None:
    today = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    today -= timedelta(days=1)
    before = today - timedelta(days=1)
    rows = [
        # tenant, day, user, conversation, tokens, cost
        ("default", today, 1, 1, 10, "0.10"),
        ("default", today, 1, 1, 20, "0.20"),
        ("default", today, 1, 2, None, None),
        ("default", today, 2, 2, 5, "0.05"),
        ("default", before, 2, 2, 7, "0.07"),
        ("acme", today, 1, 1, 1, "0.01"),
        ("default", today - timedelta(days=40), 9, 9, 100, "1.00"),
    ]
    documents = [
        message(
            number,
            tenant_id=tenant,
            user_id=f"user_{user:012d}",
            conversation_id=f"conv_{conversation:012d}",
            timestamps={"created_at": moment},
            token_usage=None
            if tokens is None
            else {"total_tokens": tokens, "total_cost": Decimal128(cost)},
        )
        for number, (tenant, moment, user, conversation, tokens, cost) in enumerate(rows, start=1)
    ]
    hole = message(99, message_type="tombstone", timestamps={"created_at": today})
    await applied.get_collection("messages").insert_many([*documents, hole])
    found = await applied.get_collection("daily_message_stats").find().to_list()

    def row(tenant: str, day: datetime, *values: object) -> tuple[object, ...]:
        return (tenant, day.strftime("%Y-%m-%d"), *values)

    assert [
        (
            r["tenant_id"],
            r["_id"],
            r["total_messages"],
            r["total_tokens"],
            str(r["total_cost"]),
            r["unique_users"],
            r["unique_conversations"],
        )
        for r in found
    ] == [
        row("acme", today, 1, 1, "0.01", 1, 1),
        row("default", today, 4, 35, "0.35", 2, 2),
        row("default", before, 1, 7, "0.07", 1, 1),
    ]


async def test_the_window_of_the_view_moves_with_the_servers_clock(applied: Database) -> None:
    stored = json.dumps((await options_of(applied, "daily_message_stats"))["pipeline"])
    assert "$$NOW" in stored
    assert "2025" not in stored
    assert "$addToSet" not in stored  # one array of all users passes 16 MB
    assert "$push" not in stored


async def test_a_changed_view_is_redefined_and_a_retired_one_of_ours_dropped(
    applied: Database,
) -> None:
    await applied.command({"collMod": "messages_current", "viewOn": "conversations",
                           "pipeline": []})  # fmt: skip
    await applied.command({"create": "by_hand", "viewOn": "messages", "pipeline": []})
    assert await differences(applied) == [
        ("change_view", "messages_current", "apply"),
        ("drop_view", "by_hand", "drop_unknown"),
    ]
    await apply(applied, clock=CLOCK)
    assert (await options_of(applied, "messages_current"))["viewOn"] == "messages"
    report = await apply(applied, altered(views=CATALOGUE.views[:1]), clock=CLOCK)
    assert kinds(report) == [("drop_view", "messages_current")]
    assert [change.target for change in report.left] == ["by_hand"]


async def test_a_collection_in_the_place_of_a_view_is_left_to_a_person(database: Database) -> None:
    await database.get_collection("messages_current").insert_one({"precious": True})
    report = await apply(database, clock=CLOCK, drop_unknown=True, drop_retired=True)
    assert [(c.kind.value, c.by) for c in report.left] == [
        ("wrong_kind", "hand"),
        ("record_version", "apply"),
    ]
    assert await database.get_collection("messages_current").count_documents({}) == 1


async def test_an_unknown_collection_is_drift_and_never_dropped(applied: Database) -> None:
    await applied.get_collection("notes").insert_one({"precious": True})
    await apply(applied, clock=CLOCK, drop_unknown=True, drop_retired=True)
    assert await differences(applied) == [("unknown_collection", "notes", "hand")]


# --- two at once ---------------------------------------------------------------------------------


async def test_applies_at_once_do_the_work_once(
    mongo_uri: str, settings: Settings, database: Database
) -> None:
    clients: list[AsyncMongoClient[Row]] = [build_client(settings, mongo_uri) for _ in range(3)]
    reports = await asyncio.gather(
        *(apply(open_database(client, database.name), clock=CLOCK) for client in clients)
    )
    for client in clients:
        await client.close()
    assert sorted(bool(report.done) for report in reports) == [False, False, True]
    assert all(report.left == () for report in reports)
    assert await differences(database) == []


async def test_services_that_connect_at_once_find_a_ready_database(
    mongo_uri: str, settings: Settings, database: Database
) -> None:
    clients: list[AsyncMongoClient[Row]] = [build_client(settings, mongo_uri) for _ in range(4)]

    async def connect(client: AsyncMongoClient[Row]) -> bytes:
        ours = open_database(client, database.name)
        await ensure(ours, CLOCK)
        return await schema_state.cursor_secret(ours, secrets.token_bytes)

    found = set(await asyncio.gather(*(connect(client) for client in clients)))
    for client in clients:
        await client.close()
    assert await differences(database) == []
    (secret,) = found
    assert len(secret) == 32


def test_processes_that_apply_at_once_do_the_work_once(mongo_uri: str, database: Database) -> None:
    command = [
        sys.executable, "-c", "from message_service.cli import main; main()",
        "--uri", mongo_uri, "--database", database.name, "db", "apply", "--json",
    ]  # fmt: skip
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    ended = [(process, *process.communicate(timeout=120)) for process in running]
    assert [(process.returncode, err) for process, _, err in ended] == [(0, "")] * 3
    reports = [json.loads(out) for _, out, _ in ended]
    assert sorted(bool(report["done"]) for report in reports) == [False, False, True]
    assert [report["left"] for report in reports] == [[], [], []]


async def test_an_apply_waits_for_the_lease_and_says_who_holds_it(database: Database) -> None:
    async with lock.held(database, "somebody else"):
        assert await lock.holder(database) == "somebody else"
        with pytest.raises(errors.CatalogueError, match="somebody else"):
            await apply(database, clock=CLOCK, wait=0)
    assert await lock.holder(database) is None
    await apply(database, clock=CLOCK, wait=0)


async def test_the_lease_of_a_holder_that_died_runs_out(database: Database) -> None:
    dead = lock.ApplyLease(database, "dead", 0.2)
    assert (await dead.lease.try_acquire())["holder"] == "dead"
    report = await apply(database, clock=CLOCK, wait=30)
    assert report.done
    with pytest.raises(errors.CatalogueError, match="lost"):
        await dead.renew()


async def test_a_holder_that_lives_keeps_its_lease_beyond_its_length(database: Database) -> None:
    async with lock.held(database, "alive", lease=0.3):
        locks = database.get_collection(schema_state.COLLECTION)
        first = await locks.find_one({"_id": "apply_lock"})
        assert first is not None
        later = first["expires_at"] + timedelta(seconds=0.3)

        async def renewed() -> bool:
            return (
                await locks.find_one({"_id": "apply_lock", "expires_at": {"$gt": later}})
                is not None
            )

        await until("the lease to be renewed", renewed)
        assert await lock.holder(database) == "alive"


async def test_an_apply_that_lost_its_lease_stops_before_the_next_step(database: Database) -> None:
    taken: list[str] = []

    def steal(line: str) -> None:
        taken.append(line)
        if len(taken) == 1:
            thief.start()

    class Thief:
        task: asyncio.Task[Any] | None = None

        def start(self) -> None:
            locks = database.get_collection(schema_state.COLLECTION)
            self.task = asyncio.create_task(
                locks.update_one({"_id": "apply_lock"}, {"$set": {"holder": "thief"}})
            )

    thief = Thief()
    with pytest.raises(errors.CatalogueError, match="lost"):
        await apply(database, clock=CLOCK, progress=steal)
    assert thief.task is not None
    await thief.task
    assert (await schema_state.read(database)).version is None
    locks = database.get_collection(schema_state.COLLECTION)
    lease = await locks.find_one({"_id": "apply_lock"})
    assert lease is not None
    assert lease["holder"] == "thief"  # not released by one who does not hold it


# --- the rest ------------------------------------------------------------------------------------


async def test_an_illegal_catalogue_changes_nothing(database: Database) -> None:
    literal = Index("idx_message_id_unique", (("message_id", 1),), "as designed", unique=True)
    with pytest.raises(errors.IllegalManifest, match="idx_message_id_unique"):
        await apply(database, altered(literal), clock=CLOCK)
    assert await database.list_collection_names() == []


async def test_sharding_is_printed_but_not_done_on_a_replica_set(applied: Database) -> None:
    report = await sharding.shard(applied)
    assert report.refusal is not None
    assert "not a mongos" in report.refusal
    assert report.sharded == ()
    assert len(report.shell) == len(report.commands) == 6
    assert not (await live(applied)).sharded


async def test_shard_keys_are_read_from_the_clusters_configuration(database: Database) -> None:
    # Where a cluster keeps them; a replica set lets us put the same documents there.
    collections = database.client.get_database("config").get_collection("collections")
    names = [f"{database.name}.a", f"{database.name}.b", f"{database.name}x.c"]
    key = {"conversation_id": "hashed", "date": 1.0}
    await collections.insert_many([{"_id": name, "key": key} for name in names])
    await collections.update_one({"_id": names[1]}, {"$set": {"dropped": True}})
    found = await read_shard_keys(database)
    await collections.delete_many({"_id": {"$in": names}})
    assert found == {"a": (("conversation_id", "hashed"), ("date", 1))}


async def test_status_tells_versions_and_validators(applied: Database) -> None:
    await applied.command({"collMod": "messages", "validationAction": "warn"})
    await applied.command({"collMod": "conversations", "validator": {}})
    found = await read_status(applied)
    validators = {entry.name: entry.validator for entry in found.collections}
    assert (found.stored_version, found.declared_version) == (CATALOGUE.version,) * 2
    assert found.differences == 2
    assert (validators["messages"], validators["conversations"]) == ("warns", "absent")
    assert validators["processing_queue"] == "in force"


def run(mongo_uri: str, database: str, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["--uri", mongo_uri, "--database", database, "db", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout


def test_the_commands_from_an_empty_database_to_drift(mongo_uri: str, database: Database) -> None:
    name = database.name
    assert run(mongo_uri, name, "drift")[0] == 5
    code, out = run(mongo_uri, name, "plan", "--json")
    assert code == 0
    assert {change["risk"] for change in json.loads(out)["changes"]} == {"none"}
    code, out = run(mongo_uri, name, "apply")
    assert code == 0
    assert "create_index        messages.idx_pinned" in out
    assert run(mongo_uri, name, "drift")[0] == 0
    assert "nothing to do" in run(mongo_uri, name, "apply")[1].lower()
    code, out = run(mongo_uri, name, "conformance", "--json")
    assert (code, json.loads(out)["conforming"]) == (0, True)
    code, out = run(mongo_uri, name, "status", "--json")
    assert (code, json.loads(out)["differences"]) == (0, 0)
    code, out = run(mongo_uri, name, "shard")
    assert code == 0
    assert f'sh.shardCollection("{name}.messages", {{"conversation_id": "hashed"}})' in out


def test_drift_names_what_was_done_by_hand(mongo_uri: str, database: Database) -> None:
    import pymongo

    run(mongo_uri, database.name, "apply")
    with pymongo.MongoClient[Row](mongo_uri) as client:
        client[database.name]["messages"].create_index([("role", 1)], name="by_hand")
        client[database.name]["messages"].insert_one(
            {"colour": "red"}, bypass_document_validation=True
        )
    code, out = run(mongo_uri, database.name, "drift", "--json")
    assert code == 5
    (change,) = json.loads(out)["changes"]
    assert (change["target"], change["by"], change["documents"]) == ("by_hand", "drop_unknown", 1)
    assert "by_hand" in run(mongo_uri, database.name, "plan")[1]
    code, out = run(mongo_uri, database.name, "conformance")
    assert code == 5
    assert "unknown fields: colour" in out
    assert run(mongo_uri, database.name, "apply", "--drop-unknown")[0] == 0
    assert run(mongo_uri, database.name, "drift")[0] == 0
