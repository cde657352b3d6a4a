from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from message_service import errors
from message_service.catalogue.collections.messages import MESSAGES
from message_service.catalogue.declared import CATALOGUE
from message_service.catalogue.model import Catalogue, Index, Keys, View
from message_service.schema import shard_rules
from message_service.schema.sharding import admin_commands, shell_lines

SHARD_KEY: Keys = (("conversation_id", "hashed"),)
SUPPORT = Index("support", SHARD_KEY, "the shard key")

SOURCE_DESIGN = {
    "messages": {
        "idx_message_id_unique": "message_id",
        "idx_conversation_sequence": "conversation_id sequence_number",
        "idx_user_chronological": "user_id -timestamps.created_at",
        "idx_temporal_pagination": "-timestamps.created_at _id",
        "idx_conversation_filtering": "conversation_id role message_type status",
        "idx_token_analytics": (
            "user_id llm_metadata.provider llm_metadata.model -timestamps.created_at"
        ),
        "idx_full_text_search": "~content.text ~custom_metadata.topics ~custom_metadata.intent",
        "idx_message_ttl": "timestamps.created_at",
        "idx_shard_key": "#conversation_id",
        "idx_deduplication": "content.content_hash conversation_id user_id",
        "idx_worker_performance": "processing_metadata.worker_id -timestamps.created_at",
        "idx_safety_audit": (
            "safety_metadata.content_filtered safety_metadata.manual_review_required "
            "-timestamps.created_at"
        ),
        "idx_hot_conversation_data": "conversation_id -timestamps.created_at",
    },
    "message_analytics": {
        "idx_conversation_analytics": "conversation_id aggregation_type -date",
        "idx_user_analytics": "user_id aggregation_type -date",
        "idx_global_analytics": "aggregation_type -date",
        "idx_analytics_ttl": "created_at",
    },
    "message_search_index": {
        "idx_search_message_id": "message_id",
        "idx_optimized_text_search": (
            "~indexed_content.full_text ~indexed_content.tokens ~search_metadata.topics"
        ),
        "idx_search_ranking": (
            "-search_weights.importance_score -search_weights.recency_score "
            "-search_weights.quality_score"
        ),
    },
    "processing_queue": {
        "idx_queue_processing": "status -priority queue_metadata.scheduled_for",
        "idx_queue_message": "message_id",
        "idx_queue_ttl": "updated_at",
    },
}
"""The 23 indexes of the source design: `-` descending, `~` text, `#` hashed."""

GIVEN_UP = ("messages", "idx_full_text_search")
"""The same words are indexed once, by idx_optimized_text_search (docs/deviations.md, D37)."""

NAMED = [(c, name, keys) for c, found in SOURCE_DESIGN.items() for name, keys in found.items()]


def design_keys(text: str) -> Keys:
    kinds: dict[str, Any] = {"-": -1, "~": "text", "#": "hashed"}
    return tuple(
        (word[1:], kinds[word[0]]) if word[0] in kinds else (word, 1) for word in text.split()
    )


def catalogue(*indexes: Index, shard_key: Keys | None = SHARD_KEY) -> Catalogue:
    return Catalogue(1, (replace(MESSAGES, shard_key=shard_key, indexes=indexes),), ())


def problems(*indexes: Index, shard_key: Keys | None = SHARD_KEY) -> list[str]:
    return [str(b) for b in shard_rules.breaches(catalogue(*indexes, shard_key=shard_key))]


def index(name: str, *keys: tuple[str, Any], **more: Any) -> Index:
    return Index(name, keys, "for a test", **more)


def test_the_declared_catalogue_is_legal() -> None:
    shard_rules.check(CATALOGUE)


def test_the_source_design_has_23_indexes() -> None:
    assert len(NAMED) == 23


@pytest.mark.parametrize(("collection", "name", "keys"), NAMED)
def test_every_index_of_the_source_design_is_declared_or_corrected(
    collection: str, name: str, keys: str
) -> None:
    found = {index.name: index for index in CATALOGUE.collection(collection).indexes}
    if (collection, name) == GIVEN_UP:
        assert name not in found
        return
    assert name in found
    assert not found[name].added
    if found[name].keys != design_keys(keys):
        assert found[name].correction


def test_no_other_index_passes_for_one_of_the_source_design() -> None:
    named = {(collection, name) for collection, name, _ in NAMED}
    for collection in CATALOGUE.collections:
        for found in collection.indexes:
            assert found.added == ((collection.name, found.name) not in named)


def test_the_source_designs_unique_message_id_is_refused_by_name() -> None:
    literal = index("idx_message_id_unique", ("message_id", 1), unique=True)
    with pytest.raises(errors.IllegalManifest) as refusal:
        shard_rules.check(catalogue(SUPPORT, literal))
    assert "messages.idx_message_id_unique" in refusal.value.message
    assert refusal.value.details["breaches"][0]["index"] == "idx_message_id_unique"


def test_the_source_designs_summary_key_would_be_refused_when_made_unique() -> None:
    key: Keys = (("conversation_id", "hashed"), ("date", 1))
    unique = index(
        "u", ("conversation_id", 1), ("aggregation_type", 1), ("date", -1), unique=True
    )  # fmt: skip
    support = Index("support", key, "the shard key")
    assert len(problems(support, unique, shard_key=key)) == 1


FIELDS = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4, unique=True)


@given(shard_fields=FIELDS, unique_fields=FIELDS, hashed=st.booleans(), direction=st.booleans())
def test_a_unique_index_is_legal_exactly_when_it_begins_with_the_shard_keys_fields(
    shard_fields: list[str], unique_fields: list[str], hashed: bool, direction: bool
) -> None:
    shard_key: Keys = tuple(
        (field, "hashed" if hashed and place == 0 else 1)
        for place, field in enumerate(shard_fields)
    )
    support = Index("support", (*shard_key, ("z", 1)), "the shard key")
    unique = Index("u", tuple((f, -1 if direction else 1) for f in unique_fields), "", unique=True)
    legal = unique_fields[: len(shard_fields)] == shard_fields
    assert (not problems(support, unique, shard_key=shard_key)) == legal
    assert not problems(unique, shard_key=None)


@pytest.mark.parametrize(
    "support",
    [
        index("s", ("conversation_id", 1)),
        index("s", ("conversation_id", "hashed"), partial={"pinned": True}),
        index("s", ("tenant_id", 1), ("conversation_id", "hashed")),
        index("s", ("conversation_id", 1), ("content.text", "text")),
    ],
)
def test_a_shard_key_needs_a_whole_index_that_begins_with_it(support: Index) -> None:
    assert any("no index supports" in problem for problem in problems(support))


def test_a_longer_index_supports_a_shorter_shard_key() -> None:
    assert not problems(index("s", ("conversation_id", "hashed"), ("sequence_number", 1)))


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        (index("i", ("a", "hashed"), unique=True), "cannot be unique"),
        (index("i", ("a", "hashed"), ("b", "hashed")), "only one field"),
        (index("i", ("a", "hashed"), ("b", "text")), "hashed field"),
        (index("i", ("a", 2)), "1 and -1"),
        (index("i", ("a", 1), ("a", -1)), "twice"),
        (index("i"), "no keys"),
        (index("i", *((f"f{n}", 1) for n in range(33))), "32 fields"),
        (index("i", ("a", 1), ("b", 1), expire_after_seconds=1), "one plain field"),
        (index("i", ("_id", 1), expire_after_seconds=1), "not _id"),
        (index("i", ("a", 1), expire_after_seconds=2**31), "0 to"),
        (index("i", ("a", 1), expire_after_seconds=-1), "0 to"),
        (index("i", ("a", "text"), weights={"b": 2}), "weight"),
        (index("i", ("a", 1), partial={"a": {"$exists": False}}), "exists"),
        (index("i", ("a", 1), partial={"$or": [{"a": {"$ne": 1}}]}), "$ne"),
        (index("i", ("a", 1), partial={}), "empty"),
    ],
)
def test_an_index_no_server_builds_is_refused(bad: Index, complaint: str) -> None:
    found = problems(bad, shard_key=None)
    assert any(complaint in problem for problem in found), found


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (index("a", ("x", 1)), index("a", ("y", 1))),
        (index("a", ("x", 1)), index("b", ("x", 1))),
        (index("a", ("x", 1)), index("b", ("x", 1), expire_after_seconds=5)),
        (index("a", ("x", "text")), index("b", ("y", 1), ("z", "text"))),
    ],
)
def test_indexes_the_server_refuses_beside_each_other_are_refused(
    first: Index, second: Index
) -> None:
    assert problems(first, second, shard_key=None)


def test_the_same_keys_may_stand_twice_when_one_is_unique_or_partial() -> None:
    plain = index("a", ("x", 1))
    assert not problems(plain, index("b", ("x", 1), unique=True), shard_key=None)
    assert not problems(plain, index("b", ("x", 1), partial={"y": 1}), shard_key=None)


@pytest.mark.parametrize(
    "shard_key",
    [(), (("a", -1),), (("a", "hashed"), ("b", "hashed")), (("a", 1), ("a", 1)), (("a", "text"),)],
)
def test_an_impossible_shard_key_is_refused(shard_key: Keys) -> None:
    assert problems(Index("s", shard_key or (("a", 1),), ""), shard_key=shard_key)


def test_names_are_declared_once_and_views_look_at_something() -> None:
    twice = Catalogue(1, (MESSAGES, MESSAGES), ())
    blind = Catalogue(1, (MESSAGES,), (View("v", "nowhere", (), ""),))
    assert [str(b) for b in shard_rules.breaches(twice)] == ["messages: the name is declared twice"]
    assert ["'nowhere'" in str(b) for b in shard_rules.breaches(blind)] == [True]


def test_the_sharding_commands_are_those_of_the_source_design_and_our_own() -> None:
    commands = {c["shardCollection"]: c["key"] for c in admin_commands(CATALOGUE, "chat")}
    assert commands["chat.messages"] == {"conversation_id": "hashed"}
    assert list(commands["chat.message_analytics"].items()) == [
        ("conversation_id", "hashed"),
        ("date", 1),
    ]
    assert commands["chat.message_search_index"] == {"conversation_id": "hashed"}
    assert "chat.processing_queue" not in commands
    line = 'sh.shardCollection("chat.messages", {"conversation_id": "hashed"})'
    assert line in shell_lines(CATALOGUE, "chat")
    assert len(shell_lines(CATALOGUE, "chat")) == len(commands)


def test_an_illegal_catalogue_is_not_sharded_either() -> None:
    with pytest.raises(errors.IllegalManifest):
        admin_commands(catalogue(SUPPORT, index("u", ("message_id", 1), unique=True)), "chat")
