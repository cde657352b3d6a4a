"""Any forest, however damaged: each node once, parents first, every leaf path readable."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from message_service import ids
from message_service.interchange.reading.records import MAIN_BRANCH, ImportedMessage
from message_service.interchange.reading.trees import FlatTree, flatten


def read_branch(flat: FlatTree, name: str) -> list[str]:
    """Read a branch as the store does: by numbers, the parent's part up to the fork first."""
    number = {m.external_id: n for n, m in enumerate(flat.messages, start=1)}
    parents = {b.name: (b.parent, number[b.fork] if b.fork else 0) for b in flat.branches}
    segments: list[tuple[str, int, int]] = []
    up_to = len(flat.messages)
    while name != MAIN_BRANCH:
        parent, fork = parents[name]
        segments.append((name, fork, up_to))
        name, up_to = parent, min(up_to, fork)
    segments.append((MAIN_BRANCH, 0, up_to))
    return [
        m.external_id
        for branch, after, until in reversed(segments)
        for n, m in enumerate(flat.messages, start=1)
        if m.branch == branch and after < n <= until
    ]


def path_to(flat: FlatTree, leaf: ImportedMessage) -> list[str]:
    by_id = {m.external_id: m for m in flat.messages}
    path = [leaf.external_id]
    while (parent := by_id[path[-1]].parent) is not None:
        path.append(parent)
    return path[::-1]


@st.composite
def forests(draw: st.DrawFn) -> tuple[list[ImportedMessage], dict[str, str | None], str | None]:
    """Nodes with any parent at all: rings, missing parents and dropped nodes included."""
    size = draw(st.integers(1, 25))
    names = [f"n{n}" for n in range(size)]
    wild = draw(st.booleans())
    messages: list[ImportedMessage] = []
    dropped: dict[str, str | None] = {}
    for n, name in enumerate(names):
        parents = [*names, "missing"] if wild else names[:n]
        parent = draw(st.sampled_from([None, *parents]))
        if draw(st.integers(0, 4)) == 0:
            dropped[name] = parent
        else:
            messages.append(
                ImportedMessage(external_id=name, role="user", text=name, parent=parent)
            )
    shown = draw(st.sampled_from([None, *names]))
    random.Random(draw(st.integers())).shuffle(messages)
    return messages, dropped, shown


@settings(max_examples=500)
@given(forests())
def test_any_forest_flattens_to_readable_branches(
    forest: tuple[list[ImportedMessage], dict[str, str | None], str | None],
) -> None:
    messages, dropped, shown = forest
    given_parents = {m.external_id: m.parent for m in messages}
    flat = flatten(messages, dropped=dropped, shown=shown)

    assert sorted(m.external_id for m in flat.messages) == sorted(given_parents)
    stored: set[str] = set()
    for message in flat.messages:
        assert message.parent is None or message.parent in stored
        stored.add(message.external_id)
        before = given_parents[message.external_id]
        if before in given_parents and not message.custom.get("orphaned"):
            assert message.parent == before

    known = {MAIN_BRANCH}
    for branch in flat.branches:
        assert branch.parent in known
        assert ids.check_branch("branch", branch.name) not in known
        known.add(branch.name)
    assert {m.branch for m in flat.messages} == (known if flat.messages else set())

    inner = {m.parent for m in flat.messages}
    leaves = [m for m in flat.messages if m.external_id not in inner]
    for leaf in leaves:
        assert read_branch(flat, leaf.branch) == path_to(flat, leaf)
    if shown in given_parents:
        by_id = {m.external_id: m for m in flat.messages}
        assert read_branch(flat, MAIN_BRANCH) == path_to(flat, by_id[shown])
