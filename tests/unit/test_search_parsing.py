"""The query language: what is understood, what is refused and how."""

import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from message_service import errors
from message_service.catalogue.demands import EntryField, FieldIs, Not, Said, condition
from message_service.search.filters import FEATURES, FILTERS
from message_service.search.parsing import MAX_QUERY, ClauseKind, parse_query


def shown(text: str) -> list[tuple[str, str]]:
    return [(clause.kind.value, clause.text) for clause in parse_query(text).clauses]


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("pizza", [("word", "pizza")]),
        ("Pizza NAPOLI", [("word", "pizza"), ("word", "napoli")]),
        ('"extra cheese" pizza', [("phrase", "extra cheese"), ("word", "pizza")]),
        ("“extra cheese”", [("phrase", "extra cheese")]),
        ("napo*", [("prefix", "napo")]),
        ("programación", [("word", "programacion")]),
        ("東京タワー", [("phrase", "東京タワー")]),
        ("東", [("prefix", "東")]),
        ("has:link", [("label", "has:link")]),
        ("topic:Travel x", [("label", "topic:travel"), ("word", "x")]),
        ("http://example.com", [("word", "http"), ("word", "example"), ("word", "com")]),
        ("pizza pizza", [("word", "pizza")]),
        ("the pizza", [("word", "pizza")]),
        ('"to be or not"', [("phrase", "to be or not")]),
        ("hello 世界", [("word", "hello"), ("phrase", "世界")]),
        (".*[a-z]+$", [("word", "a-z")]),
        ("C++ c# a+b", [("word", "c++"), ("word", "c#"), ("word", "b")]),
        (".NET asp.net", [("word", ".net"), ("word", "asp"), ("word", "net")]),
        ("...net .5", [("word", "net"), ("word", "5")]),
        ("extra\u00adordinary pass\u200bword", [("word", "extraordinary"), ("word", "password")]),
        ("🇯🇵🇫🇷 👍🏽", [("word", "🇯🇵"), ("word", "🇫🇷"), ("word", "👍")]),
        ("c++*", [("prefix", "c++")]),
    ],
)
def test_what_is_looked_for(text: str, clauses: list[tuple[str, str]]) -> None:
    assert shown(text) == clauses


def test_what_is_excluded() -> None:
    parsed = parse_query('pizza -pineapple -"tomato sauce" -has:link -role:tool')
    assert [(c.kind, c.text) for c in parsed.excluded] == [
        (ClauseKind.WORD, "pineapple"),
        (ClauseKind.PHRASE, "tomato sauce"),
        (ClauseKind.LABEL, "has:link"),
    ]
    assert parsed.demands == (Not(FieldIs(EntryField.ROLE, "tool")),)


def test_filters_become_equalities_and_ranges() -> None:
    parsed = parse_query("x role:user model:gpt-4o lang:ES from:2025-01-01 to:2025-01-31")
    assert parsed.demands == (
        FieldIs(EntryField.ROLE, "user"),
        FieldIs(EntryField.MODEL, "gpt-4o"),
        FieldIs(EntryField.LANGUAGE, "es"),
        Said(since=datetime(2025, 1, 1, tzinfo=UTC)),
        Said(until=datetime(2025, 2, 1, tzinfo=UTC), until_included=False),
    )
    assert [condition(demand) for demand in parsed.demands] == [
        {"search_metadata.role": "user"},
        {"search_metadata.model": "gpt-4o"},
        {"search_metadata.language": "es"},
        {"created_at": {"$gte": datetime(2025, 1, 1, tzinfo=UTC)}},
        {"created_at": {"$lt": datetime(2025, 2, 1, tzinfo=UTC)}},
    ]
    assert parse_query("x user:user_000000000001").within == {"user_id": "user_000000000001"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ('"open phrase', "quotation mark"),
        ("-pizza", "only excludes"),
        ("-pizza -role:user", "only excludes"),
        ("role:user", "only excludes or filters"),
        ("x" * (MAX_QUERY + 1), "characters"),
        ("pizza colour:red", "unknown filter"),
        ("pizza role:king", "not one of them"),
        ("pizza role:", "no value"),
        ('pizza role:""', "no value"),
        ("pizza has:wings", "not one of them"),
        ("pizza from:yesterday", "not a date"),
        ("pizza to:9999-12-31", "out of range"),
        ("pizza lang:klingon", "not a language code"),
        ("pizza user:bob", "not a user id"),
        ("pizza user:user_000000000001 user:user_000000000002", "twice"),
        ("a*", "too short a prefix"),
        (" ".join(f"word{n}" for n in range(30)), "too many parts"),
        ("pizza model:$where", "characters"),
    ],
)
def test_what_is_refused(text: str, problem: str) -> None:
    with pytest.raises(errors.InvalidInput, match=problem) as caught:
        parse_query(text)
    assert caught.value.exit_code == 2
    assert caught.value.fix


def test_only_stop_words_or_signs_ask_for_nothing() -> None:
    for text in ("the of and", "!!!", '"the"', "the -and", "*"):
        parsed = parse_query(text)
        assert not parsed.clauses
        assert parsed.ignored


def test_every_filter_example_is_accepted() -> None:
    for known in FILTERS:
        if not known.example.endswith("..."):
            parse_query(f"pizza {known.name}:{known.example}")
    for feature in FEATURES:
        parse_query(f"has:{feature.name}")


@given(st.text(max_size=120))
def test_any_text_is_understood_or_refused(text: str) -> None:
    try:
        parsed = parse_query(text)
    except errors.InvalidInput:
        return
    for demand in parsed.demands:
        for path in condition(demand):
            assert not path.startswith("$") or path == "$nor"


@given(
    st.lists(
        st.sampled_from(['"', "-", "*", ":", "role:", "has:", "pizza", "東京", " ", "$", "{", "a"]),
        max_size=25,
    )
)
def test_any_mixture_of_signs(parts: list[str]) -> None:
    with contextlib.suppress(errors.InvalidInput):
        parse_query("".join(parts))
