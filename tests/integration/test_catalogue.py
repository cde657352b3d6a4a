"""The catalogue engine against a real server: a new database, views, status, the commands."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from bson import Decimal128
from pymongo import AsyncMongoClient
from typer.testing import CliRunner

from message_service import errors
from message_service.catalogue.declared import CATALOGUE
from message_service.catalogue.model import Index
from message_service.cli import app
from message_service.database.client import build_client, open_database
from message_service.documents.row import Row
from message_service.schema import schema_state, sharding
from message_service.schema.apply import apply, ensure
from message_service.schema.live import live, read_shard_keys
from message_service.schema.status import read_status
from message_service.settings import Settings
from support.catalogues import (
    CLOCK,
    Commands,
    Database,
    altered,
    differences,
    kinds,
    message,
    options_of,
)


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
    assert len(report.shell) == len(report.commands) == 11
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
