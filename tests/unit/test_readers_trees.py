"""Flattening trees: what becomes of orphans, rings, dropped nodes and long threads."""

from __future__ import annotations

from message_service import ids
from message_service.interchange.reading.records import ImportedMessage
from message_service.interchange.reading.trees import FlatTree, flatten, safe_branch_name


def message(external_id: str, parent: str | None = None) -> ImportedMessage:
    return ImportedMessage(external_id=external_id, role="user", text=external_id, parent=parent)


def placed(flat: FlatTree) -> list[tuple[str, str | None, str]]:
    return [(m.external_id, m.parent, m.branch) for m in flat.messages]


def forks(flat: FlatTree) -> list[tuple[str, str, str | None]]:
    return [(b.name, b.parent, b.fork) for b in flat.branches]


def test_nothing_is_nothing() -> None:
    assert flatten([]) == FlatTree([], [])


def test_alternatives_become_branches_numbered_from_the_main_path_outwards() -> None:
    tree = [
        message("q"),
        message("a1", "q"),
        message("a2", "q"),
        message("q2", "a1"),
        message("x", "a2"),
        message("y", "a2"),
        message("q3", "a1"),
    ]
    flat = flatten(tree)
    assert placed(flat) == [
        ("q", None, "main"),
        ("a1", "q", "main"),
        ("q2", "a1", "main"),
        ("a2", "q", "alt-1"),
        ("x", "a2", "alt-1"),
        ("q3", "a1", "alt-2"),
        ("y", "a2", "alt-3"),
    ]
    assert forks(flat) == [
        ("alt-1", "main", "q"),
        ("alt-2", "main", "a1"),
        ("alt-3", "alt-1", "a2"),
    ]


def test_the_shown_path_is_main_and_may_end_above_a_leaf() -> None:
    tree = [message("q"), message("a1", "q"), message("a2", "q"), message("more", "a2")]
    flat = flatten(tree, shown="a2")
    assert placed(flat) == [
        ("q", None, "main"),
        ("a2", "q", "main"),
        ("a1", "q", "alt-1"),
        ("more", "a2", "alt-2"),
    ]
    assert forks(flat) == [("alt-1", "main", "q"), ("alt-2", "main", "a2")]


def test_children_of_dropped_nodes_move_up_to_the_nearest_kept_one() -> None:
    tree = [message("q"), message("a", "gap2"), message("first", "gap0")]
    dropped = {"gap0": None, "gap1": "q", "gap2": "gap1"}
    flat = flatten(tree, dropped=dropped, shown="gap2")
    assert placed(flat) == [("q", None, "main"), ("first", None, "alt-1"), ("a", "q", "alt-2")]
    assert forks(flat) == [("alt-1", "main", None), ("alt-2", "main", "q")]
    assert all(not m.custom for m in flat.messages)


def test_a_shown_node_that_is_unknown_means_the_first_path() -> None:
    flat = flatten([message("q"), message("a", "q")], shown="nowhere")
    assert [m.branch for m in flat.messages] == ["main", "main"]


def test_orphans_become_marked_roots() -> None:
    tree = [message("q"), message("lost", "gone"), message("below", "lost"), message("l2", "gap")]
    flat = flatten(tree, dropped={"gap": "gone too"})
    assert placed(flat) == [
        ("q", None, "main"),
        ("lost", None, "alt-1"),
        ("below", "lost", "alt-1"),
        ("l2", None, "alt-2"),
    ]
    assert [m.external_id for m in flat.messages if m.custom.get("orphaned")] == ["lost", "l2"]
    assert forks(flat) == [("alt-1", "main", None), ("alt-2", "main", None)]


def test_rings_are_broken_once() -> None:
    tree = [
        message("tail", "b"),
        message("a", "c"),
        message("b", "a"),
        message("c", "b"),
        message("self", "self"),
        message("root"),
        message("d", "dropped1"),
    ]
    flat = flatten(tree, dropped={"dropped1": "dropped2", "dropped2": "dropped1"})
    assert sorted(m.external_id for m in flat.messages) == sorted(m.external_id for m in tree)
    roots = {m.external_id for m in flat.messages if m.parent is None}
    assert roots == {"b", "self", "root", "d"}
    assert {m.external_id for m in flat.messages if m.custom.get("orphaned")} == roots - {"root"}


def test_a_very_long_thread_is_no_problem() -> None:
    size = 50_000
    tree = [message("0"), *(message(str(n), str(n - 1)) for n in range(1, size))]
    flat = flatten(tree[::-1], dropped={f"d{n}": f"d{n - 1}" for n in range(1, size)})
    assert [m.external_id for m in flat.messages] == [str(n) for n in range(size)]


def test_proposed_names_become_valid_and_unique() -> None:
    tree = [message("q"), *(message(f"a{n}", "q") for n in range(5))]
    names = {"a1": "gpt 4/ü", "a2": "gpt-4-", "a3": "main", "a4": "...", "a0": "unused"}
    flat = flatten(tree, name_branch=lambda start, _: names[start.external_id])
    assert [b.name for b in flat.branches] == ["gpt-4-", "gpt-4--2", "main-2", "branch"]


def test_every_name_made_safe_is_a_branch_name() -> None:
    for name in ("", "-x", "日本語", "a" * 500, "a b", "x\n", "RWKV-4-Raven-14B", "v1.3:8b"):
        safe = safe_branch_name(name)
        assert ids.check_branch("branch", safe) == safe
    assert safe_branch_name("v1.3:8b") == "v1.3:8b"
