"""The comparison itself, without a server: live schemas are built by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from message_service import errors
from message_service.catalogue.collections.message_search_index import SEARCH_INDEX
from message_service.catalogue.declared import CATALOGUE
from message_service.catalogue.model import Catalogue, Index
from message_service.schema.changes import Change, ChangeKind
from message_service.schema.index_forms import IndexForm, canonical, declared_form, live_form
from message_service.schema.live import LiveCollection, LiveSchema
from message_service.schema.plan import diff
from message_service.schema.schema_state import SchemaState
from message_service.schema.validators import validator

MESSAGES = CATALOGUE.collection("messages")
APPLIED = SchemaState(
    version=CATALOGUE.version,
    created_indexes=frozenset(
        (c.name, index.name) for c in CATALOGUE.collections for index in c.indexes
    ),
    created_views=frozenset(view.name for view in CATALOGUE.views),
)


def as_declared(*, sharded: bool = False) -> LiveSchema:
    found = {
        c.name: LiveCollection(
            c.name,
            "collection",
            documents=10,
            validator=validator(c),
            indexes=tuple(declared_form(index) for index in c.indexes),
            shard_key=c.shard_key if sharded else None,
        )
        for c in CATALOGUE.collections
    }
    found |= {
        v.name: LiveCollection(v.name, "view", view_on=v.on, pipeline=v.pipeline)
        for v in CATALOGUE.views
    }
    return LiveSchema(found, APPLIED, sharded)


def with_messages(**changed: object) -> LiveSchema:
    found = as_declared()
    messages = replace(found.collections["messages"], **changed)  # type: ignore[arg-type]
    return replace(found, collections={**found.collections, "messages": messages})


def changes(found: LiveSchema, catalogue: Catalogue = CATALOGUE) -> list[Change]:
    return list(diff(catalogue, found).changes)


def briefly(found: LiveSchema) -> list[tuple[str, str, str]]:
    return [(c.kind.value, c.target, c.by) for c in changes(found)]


FORMS = {index.name: declared_form(index) for index in MESSAGES.indexes}


def test_nothing_differs_from_itself() -> None:
    assert changes(as_declared()) == []
    assert changes(as_declared(sharded=True)) == []


def test_an_empty_database_needs_everything_and_risks_nothing() -> None:
    plan = diff(CATALOGUE, LiveSchema({}, SchemaState()))
    created = {c.target for c in plan.changes if c.kind is ChangeKind.CREATE_INDEX}
    assert created == {i.name for c in CATALOGUE.collections for i in c.indexes}
    assert {c.risk for c in plan.changes} == {"none"}
    assert plan.changes[-1].kind is ChangeKind.RECORD_VERSION


@given(missing=st.sets(st.sampled_from(sorted(FORMS))))
def test_exactly_the_missing_indexes_are_created(missing: set[str]) -> None:
    kept = tuple(form for name, form in FORMS.items() if name not in missing)
    found = changes(with_messages(indexes=kept))
    assert {c.target for c in found} == missing
    assert {c.kind for c in found} <= {ChangeKind.CREATE_INDEX}
    assert all(c.risk == "low" and c.documents == 10 for c in found)


@given(order=st.permutations(list(ChangeKind)))
def test_what_adds_comes_before_what_removes(order: list[ChangeKind]) -> None:
    ranked = sorted(order, key=list(ChangeKind).index)
    first_removal = min(ranked.index(kind) for kind in ChangeKind if kind.removes)
    additions = {
        ChangeKind.CREATE_COLLECTION,
        ChangeKind.SET_VALIDATOR,
        ChangeKind.CREATE_INDEX,
        ChangeKind.CREATE_VIEW,
    }
    assert all(ranked.index(kind) < first_removal for kind in additions)
    assert ranked.index(ChangeKind.HIDE_INDEX) < ranked.index(ChangeKind.DROP_INDEX)


def with_option(name: str, **options: object) -> tuple[IndexForm, ...]:
    return tuple(
        replace(form, options={**form.options, **options}) if form.name == name else form
        for form in FORMS.values()
    )


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("idx_shard_key", {"background": True}, "replace_index"),
        ("idx_pinned", {"sparse": True}, "replace_index"),
        ("idx_pinned", {"hidden": True}, "unhide_index"),
        ("idx_pinned", {"prepareUnique": True}, "stop_prepare_unique"),
        ("idx_pinned", {"unique": True}, "replace_index"),
        ("idx_pinned", {"expireAfterSeconds": 5}, "replace_index"),
        ("idx_pinned", {"collation": {"locale": "en"}}, "replace_index"),
        ("idx_pinned", {"partialFilterExpression": {"pinned": 1}}, "replace_index"),
        ("idx_message_ttl", {"expireAfterSeconds": 60}, "change_ttl"),
        ("idx_client_message_id", {"unique": None}, "convert_unique"),
        ("idx_client_message_id", {"unique": None, "prepareUnique": True}, "convert_unique"),
    ],
)
def test_a_changed_option_is_changed_in_place_where_the_server_can(
    name: str, options: dict[str, object], expected: str
) -> None:
    assert briefly(with_messages(indexes=with_option(name, **options))) == [
        (expected, name, "apply")
    ]


def test_a_hidden_index_with_another_ttl_needs_both() -> None:
    found = with_messages(indexes=with_option("idx_message_ttl", hidden=True, expireAfterSeconds=9))
    assert [kind for kind, _, _ in briefly(found)] == ["unhide_index", "change_ttl"]


def stray(name: str = "by_hand", **options: object) -> IndexForm:
    return IndexForm(name, (("role", 1),), options)


def test_an_index_made_by_hand_is_reported_and_needs_a_flag() -> None:
    found = with_messages(indexes=(*FORMS.values(), stray()))
    assert briefly(found) == [("drop_index", "by_hand", "drop_unknown")]


def test_an_index_of_ours_is_hidden_before_it_is_dropped() -> None:
    state = replace(APPLIED, created_indexes=APPLIED.created_indexes | {("messages", "by_hand")})
    shown = replace(with_messages(indexes=(*FORMS.values(), stray())), state=state)
    hidden = replace(with_messages(indexes=(*FORMS.values(), stray(hidden=True))), state=state)
    assert briefly(shown) == [("hide_index", "by_hand", "apply")]
    assert briefly(hidden) == [("drop_index", "by_hand", "drop_retired")]


def test_an_index_by_hand_in_the_place_of_a_declared_one_needs_a_flag() -> None:
    twin = replace(FORMS["idx_hot_conversation_data"], name="by_hand")
    others = tuple(form for name, form in FORMS.items() if name != "idx_hot_conversation_data")
    assert briefly(with_messages(indexes=(*others, twin))) == [
        ("replace_index", "idx_hot_conversation_data", "drop_unknown"),
        ("drop_index", "by_hand", "drop_unknown"),
    ]


def test_a_renamed_index_of_ours_is_replaced_without_a_flag() -> None:
    twin = replace(FORMS["idx_hot_conversation_data"], name="old_name")
    others = tuple(form for name, form in FORMS.items() if name != "idx_hot_conversation_data")
    state = replace(APPLIED, created_indexes=APPLIED.created_indexes | {("messages", "old_name")})
    found = replace(with_messages(indexes=(*others, twin)), state=state)
    assert briefly(found) == [("replace_index", "idx_hot_conversation_data", "apply")]
    assert changes(found)[0].drops == ("old_name",)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"validator": {}}, ["set_validator", "promote_validator"]),
        ({"validator": {}, "documents": 0}, ["set_validator"]),
        ({"action": "warn"}, ["promote_validator"]),
        ({"level": "moderate"}, ["promote_validator"]),
        ({"level": "off", "documents": 0}, ["promote_validator"]),
        ({"options": {"capped": True, "size": 4096}}, ["foreign_options"]),
    ],
)
def test_a_validator_warns_first_where_there_are_documents(
    changed: dict[str, object], expected: list[str]
) -> None:
    assert [kind for kind, _, _ in briefly(with_messages(**changed))] == expected


def test_views_are_redefined_and_things_of_the_wrong_kind_left_to_a_person() -> None:
    found = as_declared()
    stale = LiveCollection("daily_message_stats", "view", view_on="messages", pipeline=())
    table = LiveCollection("messages_current", "collection")
    extra = LiveCollection("extra", "collection", documents=3)
    view = LiveCollection("old_view", "view", view_on="messages")
    altered = {s.name: s for s in (stale, table, extra, view)}
    found = replace(found, collections={**found.collections, **altered})
    assert briefly(found) == [
        ("change_view", "daily_message_stats", "apply"),
        ("drop_view", "old_view", "drop_unknown"),
        ("wrong_kind", "messages_current", "hand"),
        ("unknown_collection", "extra", "hand"),
    ]
    state = replace(APPLIED, created_views=APPLIED.created_views | {"old_view"})
    assert ("drop_view", "old_view", "apply") in briefly(replace(found, state=state))


def test_shard_keys_count_only_where_they_are_in_force() -> None:
    found = replace(as_declared(), sharded=True)
    assert {(kind, by) for kind, _, by in briefly(found)} == {("shard_collection", "shard")}
    messages = replace(found.collections["messages"], shard_key=(("user_id", 1),))
    found = replace(as_declared(sharded=True), collections={**as_declared(sharded=True).collections,
                                                            "messages": messages})  # fmt: skip
    assert briefly(found) == [("foreign_options", "messages", "hand")]


def test_another_version_is_a_difference() -> None:
    found = replace(as_declared(), state=replace(APPLIED, version=None))
    assert [kind for kind, _, _ in briefly(found)] == ["record_version"]


def test_an_illegal_catalogue_is_never_planned() -> None:
    unique = Index("u", (("message_id", 1),), "", unique=True)
    messages = replace(MESSAGES, indexes=(*MESSAGES.indexes, unique))
    with pytest.raises(errors.IllegalManifest):
        diff(Catalogue(1, (messages,), ()), as_declared())


def test_a_listed_index_is_read_as_the_server_shows_it() -> None:
    listed = {
        "v": 2,
        "key": {"tenant_id": 1.0, "user_id": 1, "_fts": "text", "_ftsx": 1},
        "name": "idx_optimized_text_search",
        "weights": {
            "search_metadata.topics": 5,
            "indexed_content.tokens": 7,
            "indexed_content.full_text": 10,
        },
        "default_language": "none",
        "language_override": "_text_language",
        "textIndexVersion": 3,
    }
    [declared] = [i for i in SEARCH_INDEX.indexes if i.name == "idx_optimized_text_search"]
    form = declared_form(declared)
    assert not live_form(listed).differences(form)
    for option in ({"weights": {"content.text": 1}}, {"default_language": "english"}):
        assert live_form({**listed, **option}).differences(form)


def test_values_mean_the_same_across_number_types_but_not_across_kinds() -> None:
    assert canonical({"a": 1, "b": [2.0]}) == canonical({"b": [2], "a": 1.0})
    assert canonical({"a": 1}) != canonical({"a": True})
    assert canonical({"a": 1, "b": 1}, ordered=True) != canonical({"b": 1, "a": 1}, ordered=True)
