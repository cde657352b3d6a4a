"""How indexes are brought to what is declared, whatever is there."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from message_service import errors
from message_service.catalogue.collections.messages import MESSAGES
from message_service.catalogue.declared import CATALOGUE
from message_service.catalogue.model import Index
from message_service.schema import schema_state
from message_service.schema.apply import apply
from message_service.schema.plan import make_plan
from support.catalogues import (
    CLOCK,
    Commands,
    Database,
    altered,
    differences,
    index_of,
    insert_unchecked,
    kinds,
    message,
)


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
        await apply(applied, altered(unique, useful, version=CATALOGUE.version + 1), clock=CLOCK)
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
        await messages.create_index(keys, **cast("dict[str, Any]", options))
    plan = await make_plan(database)
    replaced = {c.target for c in plan.changes if c.kind.value == "replace_index"}
    assert len(replaced) == 5
    assert {c.risk for c in plan.changes if c.target in replaced} == {"high"}
    report = await apply(database, clock=CLOCK)
    assert report.left == ()
    assert await differences(database) == []
    assert await messages.count_documents({}) == 2
